"""What the standard asks of everything an SCU sends: its A-ASSOCIATE-RQ, its P-DATA-TF PDUs, its messages.

Looks at bytes; knows no connection and no script. Each function yields what is wrong, and nothing where all is right.
What receivers must not test anyway (reserved fields) is tolerated, everything else fails.
"""

import re
from collections.abc import Collection, Iterator

from msgspec import Struct, field

from dimse.enums import NO_DATA_SET, RESPONSE_BIT, CommandField
from dul.pdus import PDataTF
from services.conformance.associate_bytes import RawAssociate, RawContext, uid
from services.conformance.building import APPLICATION_CONTEXT
from services.conformance.checks import LONGEST_UID, LONGEST_VERSION_NAME
from services.printable import printable, shorten
from services.trace.reading import ReadMessage

_UID = re.compile(rb"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
_FORBIDDEN_IN_A_TITLE = re.compile(rb"[^\x20-\x5b\x5d-\x7e]")
_DEFINED_SUB_ITEMS = frozenset(range(0x51, 0x5A))


class Problem(Struct, frozen=True):
    """Something an SCU did against a rule.

    Attributes:
        rule: what it should have done.
        got: what it did.
        clause: where the rule stands.
        fails: False where receivers have to live with it.
    """

    rule: str
    got: str
    clause: str
    fails: bool = True


class Agreed(Struct):
    """What holds on an association.

    Attributes:
        contexts: accepted presentation contexts: abstract and transfer syntax.
        maximum: the longest P-DATA-TF we announced to take, in bytes after its header; 0 for no limit.
        peer_maximum: the same of the SCU.
        window: how many operations the SCU may have outstanding; 0 for any number.
        spoilt: the association was accepted in a way that leaves open which contexts there are.
    """

    contexts: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    maximum: int = 0
    peer_maximum: int = 0
    window: int = 1
    spoilt: bool = False


# -- A-ASSOCIATE-RQ


def in_request(rq: RawAssociate) -> Iterator[Problem]:
    """What is wrong with an A-ASSOCIATE-RQ (PS3.8 9.3.2; PS3.7 D.3.3)."""
    if not rq.version & 1:
        yield Problem("protocol version with bit 0 set", f"{rq.version:04X}H", "PS3.8 9.3.2")
    elif rq.version != 1:
        yield Problem("no other bit of the protocol version", f"{rq.version:04X}H", "PS3.8 9.3.2", False)
    for name, title in (("Called", rq.titles[:16]), ("Calling", rq.titles[16:])):
        yield from _in_title(name, title)
    yield from _in_reserved(rq)
    yield from _in_items(rq)
    for context in rq.contexts:
        yield from _in_context(context)
    yield from _in_user_data(rq)


def _in_title(name: str, title: bytes) -> Iterator[Problem]:
    clause = "PS3.8 9.3.2; PS3.5 6.2, VR AE"
    if not title.strip(b" "):
        yield Problem(f"a {name} AE Title that is not blank", "16 spaces", clause)
    elif _FORBIDDEN_IN_A_TITLE.search(title):
        yield Problem(
            f"a {name} AE Title of the default repertoire, without backslash and control characters",
            f"'{_text(title)}'",
            clause,
        )


def _in_reserved(rq: RawAssociate) -> Iterator[Problem]:
    fields = {
        "byte 2": rq.raw[1:2],
        "bytes 9 and 10": rq.raw[8:10],
        "bytes 43 to 74": rq.reserved,
        "the items": bytes(item.reserved for item in (*rq.items, *rq.user_data) if item.kind != 0x57),
        "the contexts": b"".join(bytes((c.result,)) + c.reserved for c in rq.contexts),
        "their syntaxes": bytes(item.reserved for c in rq.contexts for item in c.syntaxes),
    }
    for where, value in fields.items():
        if any(value):
            yield Problem(
                f"00H in the reserved fields of {where}", shorten(value.hex(), 24), "PS3.8 9.3.2", False
            )


def _in_items(rq: RawAssociate) -> Iterator[Problem]:
    kinds = [item.kind for item in rq.items]
    if kinds != sorted(kinds):
        yield Problem("items in ascending order", _kinds(kinds), "PS3.8 9.3.2", False)
    for kind in sorted(set(kinds) - {0x10, 0x20, 0x50}):
        yield Problem("items the standard defines", f"an item of type {kind:02X}H", "PS3.8 9.3.2", False)
    for item in rq.items:
        if item.kind == 0x10 and item.value != APPLICATION_CONTEXT:
            padded = uid(item.value) == APPLICATION_CONTEXT
            expected = f"the application context name {APPLICATION_CONTEXT.decode()}, unpadded"
            yield Problem(expected, f"'{_text(item.value)}'", "PS3.7 A.2.1; PS3.8 Annex F", not padded)


def _in_context(context: RawContext) -> Iterator[Problem]:
    where = f"in presentation context {context.id}"
    kinds = [item.kind for item in context.syntaxes]
    if kinds.count(0x30) != 1 or kinds.count(0x40) < 1 or set(kinds) - {0x30, 0x40}:
        yield Problem(f"one abstract and some transfer syntaxes {where}", _kinds(kinds), "PS3.8 9.3.2.2")
    elif kinds[0] != 0x30:
        yield Problem(f"the abstract syntax first {where}", _kinds(kinds), "PS3.8 9.3.2.2", False)
    for item in context.syntaxes:
        yield from _in_uid(where, item.value, "PS3.8 9.3.2.2, Annex F")
    names = context.transfer_syntaxes()
    if len(set(names)) < len(names):
        yield Problem(f"each transfer syntax once {where}", "one twice", "PS3.8 9.3.2.2", False)


def _in_uid(where: str, value: bytes, clause: str) -> Iterator[Problem]:
    bare = uid(value)
    if not _UID.fullmatch(bare) or len(bare) > LONGEST_UID:
        yield Problem(f"a UID {where}", f"'{_text(value)}'", f"{clause}; PS3.5 9.1")
    elif bare != value:
        yield Problem(f"a UID without padding {where}", f"'{_text(value)}'", clause, False)


def _in_user_data(rq: RawAssociate) -> Iterator[Problem]:
    lengths, classes = rq.sub_items(0x51), rq.sub_items(0x52)
    if len(lengths) != 1:
        yield Problem("one Maximum Length sub-item", f"{len(lengths)}", "PS3.8 D.1")
    elif 0 < int.from_bytes(lengths[0].value) < 8:
        got = f"{int.from_bytes(lengths[0].value)}"
        yield Problem("a Maximum Length that can carry a fragment: 0, or 8 and more", got, "PS3.8 D.1, E.1")
    if len(classes) != 1:
        yield Problem("one Implementation Class UID", f"{len(classes)}", "PS3.7 D.3.3.2.1")
    for item in classes:
        yield from _in_uid("as Implementation Class UID", item.value, "PS3.7 D.3.3.2.1")
    for item in rq.sub_items(0x55):
        if not 1 <= len(item.value) <= LONGEST_VERSION_NAME:
            expected = "an Implementation Version Name of 1 to 16 characters"
            yield Problem(expected, f"'{_text(item.value)}'", "PS3.7 D.3.3.2.3")
    for kind in (0x53, 0x55, 0x58):
        if len(rq.sub_items(kind)) > 1:
            yield Problem(
                f"one sub-item {kind:02X}H at the most", f"{len(rq.sub_items(kind))}", "PS3.7 D.3.3"
            )
    yield from _in_roles(rq)
    for item in rq.user_data:
        if item.kind not in _DEFINED_SUB_ITEMS or item.kind == 0x59:
            expected = "sub-items the standard defines for a request"
            yield Problem(expected, f"one of type {item.kind:02X}H", "PS3.7 D.3.3", False)


def _in_roles(rq: RawAssociate) -> Iterator[Problem]:
    proposed = {uid(item.value) for c in rq.contexts for item in c.syntaxes if item.kind == 0x30}
    for item in rq.sub_items(0x54):
        end = 2 + int.from_bytes(item.value[:2])
        if uid(item.value[2:end]) not in proposed:
            expected = "role selection for abstract syntaxes it proposes"
            yield Problem(expected, f"'{_text(item.value[2:end])}'", "PS3.7 D.3.3.4.1", False)
        if any(role > 1 for role in item.value[end:]):
            yield Problem("roles 0 or 1", item.value[end:].hex(), "PS3.7 D.3.3.4.1")


# -- P-DATA-TF and the short PDUs


def in_short_pdu(raw: bytes) -> Iterator[Problem]:
    """What is wrong with an A-RELEASE-RQ, A-RELEASE-RP or A-ABORT (PS3.8 9.3.6 to 9.3.8)."""
    if raw[0] not in (5, 6, 7):
        return
    if len(raw) != 10:
        yield Problem("PDU-length 4 where it is fixed", f"{len(raw) - 6}", "PS3.8 9.3.6 to 9.3.8")
        return
    reserved = raw[1:2] + (raw[6:8] if raw[0] == 7 else raw[6:10])
    if any(reserved):
        clause = "PS3.8 9.3.6 to 9.3.8"
        yield Problem("00H in the reserved fields of its short PDUs", reserved.hex(), clause, False)
    if raw[0] == 7 and not (raw[8] == 0 or (raw[8] == 2 and raw[9] in (0, 1, 2, 4, 5, 6))):
        yield Problem(
            "an A-ABORT with a source and reason of Table 9-26", f"{raw[8]}/{raw[9]}", "PS3.8 9.3.8"
        )


def in_p_data(raw: bytes, pdu: PDataTF, agreed: Agreed) -> Iterator[Problem]:
    """What is wrong with a P-DATA-TF (PS3.8 9.3.5, Annexes D.1 and E)."""
    length = len(raw) - 6
    if agreed.maximum and length > agreed.maximum:
        expected = f"no P-DATA-TF longer than the {agreed.maximum} bytes announced to it"
        yield Problem(expected, f"one of {length}", "PS3.8 D.1")
    if raw[1]:
        yield Problem("00H in the reserved byte of a P-DATA-TF", f"{raw[1]:02X}H", "PS3.8 9.3.5", False)
    for pdv in pdu.pdvs:
        if not agreed.spoilt and pdv.presentation_context_id not in agreed.contexts:
            expected = "fragments on accepted presentation contexts only"
            yield Problem(expected, f"one on context {pdv.presentation_context_id}", "PS3.8 9.3.5.1, 9.3.3.2")
        if len(pdv.data) % 2:
            yield Problem("fragments of even length", f"one of {len(pdv.data)} bytes", "PS3.8 E.1")
        if pdv.message_control_header & 0xFC:
            got = f"{pdv.message_control_header:02X}H"
            yield Problem("bits 2 to 7 of the message control header 0", got, "PS3.8 E.2", False)


# -- messages

_ANY_RQ = frozenset({0x0100, 0x0110, 0x0800})
_REQUIRED: dict[int, frozenset[int]] = {
    CommandField.C_STORE_RQ: _ANY_RQ | {0x0002, 0x0700, 0x1000},
    CommandField.C_FIND_RQ: _ANY_RQ | {0x0002, 0x0700},
    CommandField.C_GET_RQ: _ANY_RQ | {0x0002, 0x0700},
    CommandField.C_MOVE_RQ: _ANY_RQ | {0x0002, 0x0600, 0x0700},
    CommandField.C_ECHO_RQ: _ANY_RQ | {0x0002},
    CommandField.N_EVENT_REPORT_RQ: _ANY_RQ | {0x0002, 0x1000, 0x1002},
    CommandField.N_GET_RQ: _ANY_RQ | {0x0003, 0x1001},
    CommandField.N_SET_RQ: _ANY_RQ | {0x0003, 0x1001},
    CommandField.N_ACTION_RQ: _ANY_RQ | {0x0003, 0x1001, 0x1008},
    CommandField.N_CREATE_RQ: _ANY_RQ | {0x0002},
    CommandField.N_DELETE_RQ: _ANY_RQ | {0x0003, 0x1001},
    CommandField.C_CANCEL_RQ: frozenset({0x0100, 0x0120, 0x0800}),
}
"""Elements a request must have (PS3.7 9.3, 10.3)."""

_ANY_RSP = frozenset({0x0100, 0x0120, 0x0800, 0x0900})
_WITH_DATA_SET = frozenset(
    {CommandField.C_STORE_RQ, CommandField.C_FIND_RQ, CommandField.C_GET_RQ, CommandField.C_MOVE_RQ}
)
_WITHOUT_DATA_SET = frozenset({CommandField.C_ECHO_RQ, CommandField.C_CANCEL_RQ, CommandField.N_DELETE_RQ})
_TWO_BYTES = frozenset({0x0100, 0x0110, 0x0120, 0x0700, 0x0800, 0x0900})


def label(command_field: int) -> str:
    """The name of a message by its Command Field: "C-ECHO-RQ"."""
    try:
        return CommandField(command_field).label
    except ValueError:
        return f"{command_field:04X}H"


class _Element(Struct, frozen=True):
    group: int
    number: int
    value: bytes


def _elements(command: bytes) -> tuple[list[_Element], bytes]:
    """The elements of a command set in Implicit VR Little Endian, and the bytes that are none."""
    found, start = [], 0
    while start + 8 <= len(command):
        length = int.from_bytes(command[start + 4 : start + 8], "little")
        end = start + 8 + length
        if end > len(command):
            break
        group = int.from_bytes(command[start : start + 2], "little")
        number = int.from_bytes(command[start + 2 : start + 4], "little")
        found.append(_Element(group, number, command[start + 8 : end]))
        start = end
    return found, command[start:]


def in_message(message: ReadMessage, agreed: Agreed) -> Iterator[Problem]:
    """What is wrong with a message: its fragments, its command set, its data set (PS3.7 6.3.1, 9.3, 10.3, E.1)."""
    if message.error:
        yield Problem("messages by PS3.7", _text(message.error.encode()), "PS3.7 6.3.1, E.1; PS3.8 E.1")
    elements, rest = _elements(message.command)
    yield from _in_command_form(message.command, elements, rest)
    values = {each.number: each.value for each in reversed(elements) if each.group == 0}
    command_field = int.from_bytes(values.get(0x0100, b""), "little")
    name = label(command_field)
    required = _ANY_RSP if command_field & RESPONSE_BIT else _REQUIRED.get(command_field)
    if required is None:
        yield Problem("a Command Field of PS3.7 E.1", name, "PS3.7 E.1")
        return
    missing = sorted(required - values.keys())
    if missing:
        numbers = ", ".join(f"(0000,{number:04X})" for number in missing)
        yield Problem(f"every element a {name} must have", f"{numbers} missing", "PS3.7 9.3, 10.3")
    for number in sorted(_TWO_BYTES & values.keys()):
        if len(values[number]) != 2:
            got = f"{len(values[number])} bytes"
            yield Problem(f"2 bytes in (0000,{number:04X})", got, "PS3.7 E.1")
    yield from _in_meaning(message, command_field, values, agreed)


def _in_command_form(command: bytes, elements: list[_Element], rest: bytes) -> Iterator[Problem]:
    if rest:
        yield Problem("a command set that ends with an element", f"{len(rest)} bytes more", "PS3.7 6.3.1")
    tags = [(each.group, each.number) for each in elements]
    if any(group for group, _ in tags):
        yield Problem("elements of group 0000 alone in a command set", "others", "PS3.7 6.3.1")
    if tags != sorted(set(tags)):
        yield Problem("command elements in ascending order, each once", "others", "PS3.7 6.3.1; PS3.5 7.1")
    if any(len(each.value) % 2 for each in elements):
        yield Problem("command elements of even length", "an odd one", "PS3.5 7.1.1")
    if not tags or tags[0] != (0, 0):
        yield Problem("Command Group Length first", "none", "PS3.7 6.3.1, E.1")
    elif elements[0].value != (len(command) - 12).to_bytes(4, "little"):
        got = f"{int.from_bytes(elements[0].value, 'little')} before {len(command) - 12} bytes"
        yield Problem("a Command Group Length that is right", got, "PS3.7 6.3.1, E.1")


def _in_meaning(
    message: ReadMessage, command_field: int, values: dict[int, bytes], agreed: Agreed
) -> Iterator[Problem]:
    name = label(command_field)
    has_data = int.from_bytes(values.get(0x0800, b"\1\1"), "little") != NO_DATA_SET
    if command_field in _WITH_DATA_SET and not has_data:
        yield Problem(f"a data set with a {name}", "none", "PS3.7 9.3")
    if command_field in _WITHOUT_DATA_SET and has_data:
        yield Problem(f"no data set with a {name}", "one", "PS3.7 9.3, 10.3")
    if 0x0700 in values and int.from_bytes(values[0x0700], "little") > 2:
        yield Problem("Priority 0, 1 or 2", values[0x0700].hex(), "PS3.7 E.1")
    for number in (0x0002, 0x0003, 0x1000, 0x1001):
        bare = values.get(number, b"0").rstrip(b"\0")
        if not _UID.fullmatch(bare) or len(bare) > LONGEST_UID:
            got = f"'{_text(values[number])}'"
            yield Problem(f"a UID, padded with NUL, in (0000,{number:04X})", got, "PS3.5 6.2, 9.1")
    abstract, transfer = agreed.contexts.get(message.context_id, (b"", b""))
    sop_class = uid(values.get(0x0002, values.get(0x0003, b"")))
    if abstract and sop_class and not command_field & RESPONSE_BIT and _must_agree(abstract, sop_class):
        expected = "the SOP Class UID of the command to be the abstract syntax of its context"
        yield Problem(expected, f"'{_text(sop_class)}'", "PS3.7 9.3; PS3.4")
    if message.data_set is not None:
        yield from _in_data_set(message, transfer, sop_class, uid(values.get(0x1000, b"")), command_field)


def _must_agree(abstract: bytes, sop_class: bytes) -> bool:
    """Composite services go by their own class; Meta SOP Classes (print) carry others."""
    return abstract != sop_class and not abstract.startswith(
        (b"1.2.840.10008.5.1.1.", b"1.2.840.10008.5.1.4.34.")
    )


_EXPLICIT_LONG = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_IMPLICIT = b"1.2.840.10008.1.2"
_OTHER_BYTE_ORDER = frozenset({b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99", b""})


def _in_data_set(
    message: ReadMessage, transfer: bytes, sop_class: bytes, sop_instance: bytes, command_field: int
) -> Iterator[Problem]:
    if message.data_set_length % 2:
        yield Problem(
            "a data set of even length", f"{message.data_set_length} bytes", "PS3.5 7.1.1; PS3.8 E.1"
        )
    if not message.data_set_length:
        yield Problem("a data set with elements where one is announced", "an empty one", "PS3.7 9.3")
    if transfer in _OTHER_BYTE_ORDER or message.data_set is None:
        return
    names = dict(_first_elements(message.data_set, transfer == _IMPLICIT))
    groups = {tag >> 16 for tag in names}
    if groups & {0, 2, 4, 6}:
        yield Problem("no element of groups 0000 to 0006 in a data set", "some", "PS3.5 7.1; PS3.10 7.1")
    if command_field != CommandField.C_STORE_RQ:
        return
    for tag, in_command, what in ((0x00080016, sop_class, "Class"), (0x00080018, sop_instance, "Instance")):
        value = names.get(tag)
        if value is None or uid(value) != in_command:
            got = "none" if value is None else f"'{_text(value)}'"
            expected = f"the SOP {what} UID of the command in the data set"
            yield Problem(f"{expected}, as its transfer syntax writes it", got, "PS3.4 B.2.2; PS3.7 9.1.1.1")


def _first_elements(data: bytes, implicit: bool) -> Iterator[tuple[int, bytes]]:
    """The elements up to (0008,0018), as far as they can be made out."""
    start = 0
    while start + 8 <= len(data):
        tag = int.from_bytes(data[start : start + 2], "little") << 16
        tag |= int.from_bytes(data[start + 2 : start + 4], "little")
        if tag > 0x00080018:
            return
        if implicit:
            start, length = start + 8, int.from_bytes(data[start + 4 : start + 8], "little")
        elif data[start + 4 : start + 6] in _EXPLICIT_LONG:
            start, length = start + 12, int.from_bytes(data[start + 8 : start + 12], "little")
        else:
            start, length = start + 8, int.from_bytes(data[start + 6 : start + 8], "little")
        if start + length > len(data):
            return
        yield tag, data[start : start + length]
        start += length


def in_order(message_id: int, outstanding: Collection[int], window: int) -> Iterator[Problem]:
    """What is wrong with a request that comes while others have no final response (PS3.7 D.3.3.3, 9.1)."""
    if message_id in outstanding:
        expected = "a Message ID that no outstanding operation has"
        yield Problem(expected, f"{message_id} again", "PS3.7 9.3, E.1")
    elif window and len(outstanding) >= window:
        expected = f"no more than {window} outstanding operation{'s' * (window > 1)}, as negotiated"
        yield Problem(expected, f"{len(outstanding) + 1}", "PS3.7 D.3.3.3")


def _kinds(kinds: list[int]) -> str:
    return " ".join(f"{kind:02X}H" for kind in kinds) or "none"


def _text(value: bytes) -> str:
    return shorten(printable(value.decode("latin-1")))
