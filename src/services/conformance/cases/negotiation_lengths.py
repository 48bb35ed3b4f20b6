"""Items and sub-items of lengths that do not add up: beyond the list (PS3.8 9.3.1, 9.3.2; PS3.7 D.3.3)."""

import struct

from services.conformance.building import (
    CT_IMAGE,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    VERIFICATION,
    item,
    maximum_length,
)
from services.conformance.case import Case
from services.conformance.cases.negotiation_items import (
    NAME,
    USER,
    invalid,
    requesting,
    surplus,
    with_user_data,
)
from services.conformance.cases.negotiation_titles import DEFAULT_CONTEXT


def _field(value: bytes, off_by: int = 0) -> bytes:
    return struct.pack(">H", len(value) + off_by) + value


_BEYOND_ITS_ITEM = (
    (
        "a",
        "An abstract syntax",
        (
            NAME,
            item(0x20, b"\1\0\0\0" + item(0x40, IMPLICIT) + item(0x30, VERIFICATION, length=400)),
            USER,
        ),
    ),
    (
        "b",
        "A transfer syntax",
        (
            NAME,
            item(0x20, b"\1\0\0\0" + item(0x30, VERIFICATION) + item(0x40, IMPLICIT, length=400)),
            USER,
        ),
    ),
    ("c", "The application context", (item(0x10, b"1.2.3", length=60000), DEFAULT_CONTEXT, USER)),
    ("d", "A presentation context", (NAME, item(0x20, DEFAULT_CONTEXT[4:], length=60000), USER)),
    ("e", "The user information", (NAME, DEFAULT_CONTEXT, item(0x50, USER[4:], length=60000))),
    (
        "f",
        "The maximum length",
        (
            NAME,
            DEFAULT_CONTEXT,
            item(0x50, IMPLEMENTATION_CLASS + item(0x51, bytes(4), length=500)),
        ),
    ),
    (
        "g",
        "The Implementation Class UID",
        (
            NAME,
            DEFAULT_CONTEXT,
            item(0x50, maximum_length(16384) + item(0x52, b"2.25.1", length=9)),
        ),
    ),
    ("h", "An unknown item", (NAME, DEFAULT_CONTEXT, USER, item(0x7F, b"", length=1))),
)

_BEYOND_ITS_SUB_ITEM = (
    ("i", "The UID of a role selection", item(0x54, _field(CT_IMAGE, 100) + b"\1\1")),
    ("j", "The UID of a SOP class extended negotiation", item(0x56, _field(CT_IMAGE, 100))),
    ("k", "The first UID of a common extended negotiation", item(0x57, _field(CT_IMAGE, 100))),
    (
        "l",
        "The related classes of a common extended negotiation",
        item(0x57, _field(CT_IMAGE) + _field(b"1.2.840.10008.4.2") + _field(_field(CT_IMAGE, 100))),
    ),
)

CASES: tuple[Case, ...] = (
    *(
        invalid(
            f"negotiation-201{letter}",
            f"{what} with a length beyond what is around it",
            "PS3.8 9.3.1, 9.3.2",
            requesting(*items),
        )
        for letter, what, items in _BEYOND_ITS_ITEM
    ),
    *(
        invalid(
            f"negotiation-201{letter}",
            f"{what} with a length beyond its sub-item",
            "PS3.7 D.3.3",
            with_user_data(sub_item),
        )
        for letter, what, sub_item in _BEYOND_ITS_SUB_ITEM
    ),
    *(
        surplus(
            f"negotiation-202{letter}",
            f"{count} byte{'s' * (count > 1)} behind the last item of {where}",
            "PS3.8 9.3.1, 9.3.2",
            requesting(*items),
        )
        for letter, count, where, items in (
            ("a", 1, "the PDU", (NAME, DEFAULT_CONTEXT, USER, b"\0")),
            ("b", 3, "the PDU", (NAME, DEFAULT_CONTEXT, USER, b"\0\0\0")),
            ("c", 1, "a presentation context", (NAME, item(0x20, DEFAULT_CONTEXT[4:] + b"\0"), USER)),
            ("d", 3, "a presentation context", (NAME, item(0x20, DEFAULT_CONTEXT[4:] + b"\0\0\0"), USER)),
            ("e", 1, "the user information", (NAME, DEFAULT_CONTEXT, item(0x50, USER[4:] + b"\0"))),
            ("f", 3, "the user information", (NAME, DEFAULT_CONTEXT, item(0x50, USER[4:] + b"\0\0\0"))),
        )
    ),
    *(
        (surplus if too_long else invalid)(
            f"negotiation-202{letter}", f"A {what}", clause, with_user_data(sub_item)
        )
        for letter, what, clause, too_long, sub_item in (
            ("g", "window sub-item of 3 bytes", "PS3.7 D.3.3.3", False, item(0x53, bytes(3))),
            ("h", "window sub-item of 5 bytes", "PS3.7 D.3.3.3", True, item(0x53, bytes(5))),
            ("i", "role selection of one role", "PS3.7 D.3.3.4", False, item(0x54, _field(CT_IMAGE) + b"\1")),
            (
                "j",
                "role selection of three roles",
                "PS3.7 D.3.3.4",
                True,
                item(0x54, _field(CT_IMAGE) + b"\1\1\1"),
            ),
            ("k", "role selection of 0 bytes", "PS3.7 D.3.3.4", False, item(0x54, b"")),
            ("l", "SOP class extended negotiation of 1 byte", "PS3.7 D.3.3.5", False, item(0x56, b"\0")),
            ("m", "common extended negotiation of 0 bytes", "PS3.7 D.3.3.6", False, item(0x57, b"")),
        )
    ),
)
