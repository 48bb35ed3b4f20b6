"""What an acceptor answers, laid out by hand: A-ASSOCIATE-AC and -RJ, and the responses to every request.

Right by default; whatever can be said of an answer can be said wrongly. Knows no connection.
"""

import struct
from collections.abc import Iterable, Sequence

from dimse.enums import RESPONSE_BIT, CommandField
from services.conformance.accepted import Asked, Association
from services.conformance.associate_bytes import RawContext, uid
from services.conformance.building import (
    APPLICATION_CONTEXT,
    DATA,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    NO_DATA,
    application_context,
    command,
    item,
    maximum_length,
    p_data,
    pdu,
    pdv,
    ui,
    us,
    user_information,
)

OUR_MAXIMUM = 16384
"""The longest P-DATA-TF we announce to take, where a script names no other, in bytes after its header."""

VERSION_NAME = item(0x55, b"CONFORMANCE")
"""It may be left out; GDCM 3.0 cannot read an answer without it."""

COMMAND, LAST = 1, 2
"""Bits of the message control header (PS3.8 E.2)."""

_SUB_OPERATIONS = frozenset({CommandField.C_GET_RQ, CommandField.C_MOVE_RQ})
_N_WITH_INSTANCE = frozenset(
    {
        CommandField.N_EVENT_REPORT_RQ,
        CommandField.N_GET_RQ,
        CommandField.N_SET_RQ,
        CommandField.N_ACTION_RQ,
        CommandField.N_CREATE_RQ,
        CommandField.N_DELETE_RQ,
        CommandField.C_STORE_RQ,
    }
)

# -- A-ASSOCIATE-AC and -RJ


def answered_context(
    number: int, result: int, *transfer: bytes, reserved: int = 0, length: int | None = None
) -> bytes:
    """The answer to a presentation context (21H) with its transfer syntaxes (40H)."""
    names = b"".join(item(0x40, name, reserved=reserved) for name in transfer)
    return item(0x21, bytes([number, reserved, result, reserved]) + names, reserved=reserved, length=length)


def syntaxes(context: RawContext) -> tuple[bytes, bytes]:
    """What a proposed context names: its abstract syntax, and the first transfer syntax, which we take."""
    abstract = next((uid(each.value) for each in context.syntaxes if each.kind == 0x30), b"")
    return abstract, next(iter(context.transfer_syntaxes()), IMPLICIT)


def accepting(association: Association) -> list[bytes]:
    """An answer to every context proposed: accepted, with the first transfer syntax offered."""
    return [answered_context(c.id, 0, syntaxes(c)[1]) for c in association.rq.contexts]


def refusing(association: Association, result: int) -> list[bytes]:
    """An answer to every context proposed: refused."""
    return [answered_context(c.id, result, syntaxes(c)[1]) for c in association.rq.contexts]


def agree(association: Association, refused: Iterable[int] = (), *, none: bool = False) -> None:
    """Note that every context proposed is accepted, but for some, or that none is."""
    association.agreed.contexts = {
        c.id: syntaxes(c) for c in association.rq.contexts if not none and c.id not in refused
    }


def user_data(association: Association, *more: bytes, maximum: int = OUR_MAXIMUM) -> tuple[bytes, ...]:
    """The sub-items of a right answer: the three of every answer, the roles proposed, a user identity response."""
    roles = [item(0x54, each.value) for each in association.rq.sub_items(0x54)]
    identities = [item(0x59, b"\0\0") for each in association.rq.sub_items(0x58) if each.value[1:2] == b"\1"]
    return (maximum_length(maximum), IMPLEMENTATION_CLASS, *roles, VERSION_NAME, *identities, *more)


def a_associate_ac(
    association: Association,
    *items: bytes,
    version: int = 1,
    reserved: int = 0,
    titles: bytes = b"",
    length_off_by: int = 0,
) -> bytes:
    """An A-ASSOCIATE-AC of these items; the titles and the reserved bytes come back as they were sent."""
    back = association.rq.raw[10:74].ljust(64)
    fixed = struct.pack(">H", version) + bytes([reserved]) * 2 + (titles or back)
    body = fixed + b"".join(items)
    return pdu(2, body, reserved=reserved, length=len(body) + length_off_by)


def accept(
    association: Association,
    *,
    contexts: Sequence[bytes] | None = None,
    maximum: int = OUR_MAXIMUM,
    more: Sequence[bytes] = (),
    name: bytes = APPLICATION_CONTEXT,
    version: int = 1,
) -> bytes:
    """A right A-ASSOCIATE-AC, but for what is said otherwise; what the rules go by is noted.

    Args:
        contexts: answers instead of acceptance for all.
        maximum: the longest P-DATA-TF to announce, in bytes after its header; 0 for no limit.
        more: sub-items after the right ones.
        name: the application context name.
        version: the protocol version.
    """
    association.agreed.maximum = maximum
    if contexts is None:
        contexts = accepting(association)
        agree(association)
    data = user_information(*user_data(association, *more, maximum=maximum))
    return a_associate_ac(association, application_context(name), *contexts, data, version=version)


def reject(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return pdu(3, bytes([0, result, source, reason]))


# -- responses


def response(
    asked: Asked,
    status: int | None = 0,
    *,
    message_id: int | None = None,
    field: int | None = None,
    data_set: int = NO_DATA,
    counts: tuple[int | None, int, int, int] | None = None,
    more: Sequence[bytes] = (),
) -> bytes:
    """The command set of a response to a request.

    Args:
        asked: the request.
        status: None leaves the element out.
        message_id: another than the request's.
        field: another Command Field.
        data_set: Command Data Set Type.
        counts: of sub-operations: remaining (None leaves it out), completed, failed, with warnings.
        more: further elements.
    """
    elements = [ui(0x0002, asked.sop_class)] if asked.sop_class else []
    elements.append(us(0x0100, asked.field | RESPONSE_BIT if field is None else field))
    elements.append(us(0x0120, asked.message_id if message_id is None else message_id))
    elements.append(us(0x0800, data_set))
    if status is not None:
        elements.append(us(0x0900, status))
    if asked.sop_instance and asked.field in _N_WITH_INSTANCE:
        elements.append(ui(0x1000, asked.sop_instance))
    if counts is not None:
        elements += [us(0x1020 + n, count) for n, count in enumerate(counts) if count is not None]
    return command(*sorted((*elements, *more), key=_element_number))


def _element_number(element: bytes) -> int:
    return int.from_bytes(element[2:4], "little")


def final(asked: Asked, status: int = 0) -> bytes:
    """The command set of a right final response: without sub-operations where it could have had some."""
    counts = (None, 0, 0, 0) if asked.field in _SUB_OPERATIONS else None
    return response(asked, status, counts=counts)


def fragments(data: bytes, size: int) -> list[bytes]:
    """Data cut into pieces of a size; one empty piece where there is no data."""
    return [data[start : start + size] for start in range(0, len(data), size)] or [b""]


def in_pdus(
    association: Association, context_id: int, header: int, data: bytes, *, size: int | None = None
) -> bytes:
    """A command set or data set as P-DATA-TF PDUs of one fragment each, none longer than the SCU takes.

    Args:
        association: with the SCU.
        context_id: of the presentation context.
        header: 1 for a command set, 0 for a data set.
        data: all of it.
        size: of a fragment in bytes, even; None for the longest the SCU takes.
    """
    if size is None:
        size = max(2, (association.agreed.peer_maximum or OUR_MAXIMUM) - 6) & ~1
    pieces = fragments(data, size)
    return b"".join(
        p_data(pdv(context_id, header | (LAST if number == len(pieces) else 0), piece))
        for number, piece in enumerate(pieces, 1)
    )


def whole_answer(
    association: Association, asked: Asked, status: int = 0, *, size: int | None = None
) -> bytes:
    """Everything a right answer to a request consists of.

    A C-FIND gets one match, which is what was asked for, and then the final response.
    """
    pdus = b""
    if asked.field == CommandField.C_FIND_RQ and asked.data_set and not status:
        pdus += in_pdus(
            association, asked.context_id, COMMAND, response(asked, 0xFF00, data_set=DATA), size=size
        )
        pdus += in_pdus(association, asked.context_id, 0, asked.data_set, size=size)
    return pdus + in_pdus(association, asked.context_id, COMMAND, final(asked, status), size=size)
