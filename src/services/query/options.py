"""What extended negotiation agrees on for a C-FIND (PS3.4 C.5.1.1, Table C.5-2)."""

from msgspec import Struct

OFFERED = bytes([1, 1, 1, 0, 0, 1, 1])
"""By byte: relational queries, combined date-time, fuzzy names, time zone adjustment, multi-frame conversion, empty
values, multiple values. Zones are not adjusted and frames not converted: both are answered with 0."""


class Options(Struct, frozen=True, gc=False):
    """How one peer's queries are read.

    Attributes:
        relational: unique keys above the level may be missing (PS3.4 C.4.1.2.2).
        combined_date_time: a range of dates and one of times are one range of moments (PS3.4 C.2.2.2.5).
        fuzzy: names also match by how they sound.
        empty_values: the value `""`, two quotation marks, matches what is empty (PS3.4 C.2.2.2.7).
        universal_star: for peers that send `*` as a date, a time or a number and mean every value; not negotiated.
    """

    relational: bool = False
    combined_date_time: bool = False
    fuzzy: bool = False
    empty_values: bool = False
    universal_star: bool = False


def negotiate(application_information: bytes, *, universal_star: bool = False) -> tuple[bytes, Options]:
    """Answer the Service Class Application Information that a requestor proposes for C-FIND.

    Args:
        application_information: of its SOP Class Extended Negotiation Sub-item; bytes that are missing are 0.
        universal_star: see `Options`.

    Returns:
        the acceptor's bytes, no more of them than were proposed, and what they agree on.
    """
    agreed = bytes(
        int(wanted == 1 and offered == 1)
        for wanted, offered in zip(application_information, OFFERED, strict=False)
    )
    flags = agreed.ljust(len(OFFERED), b"\0")
    return agreed, Options(
        relational=flags[0] == 1,
        combined_date_time=flags[1] == 1,
        fuzzy=flags[2] == 1,
        empty_values=flags[5] == 1,
        universal_star=universal_star,
    )
