"""What is looked at in every response: does it repeat what its request says, and is it laid out by the book?

The rules are those of PS3.7 9.3 and 10.3 (which fields of a response equal the request's), 6.3.1 (how a command set is
laid out) and of PS3.8 Annex E and D.1 (how it travels). Reads the bytes themselves. A check is a `conversation.Check`;
the first line of its docstring completes "expects ..., ...".
"""

import itertools
import struct
from collections.abc import Sequence
from typing import NamedTuple

from dul.pdus import PDataTF
from services.conformance.associate_bytes import asked, pdus, received, sent
from services.conformance.checks import all_of, named, tolerable, wrong
from services.conformance.connection import Connection, Event
from services.conformance.conversation import Check, Conversation
from services.conformance.verdict import Finding
from services.printable import printable
from services.trace.reading import MessageReader, PDUReader, ReadMessage, command_elements

COMMAND_FIELD, MESSAGE_ID, ANSWERED_ID, DATA_SET_TYPE, STATUS = 0x0100, 0x0110, 0x0120, 0x0800, 0x0900
AFFECTED_CLASS, REQUESTED_CLASS = 0x0002, 0x0003
AFFECTED_INSTANCE, REQUESTED_INSTANCE = 0x1000, 0x1001

C_STORE, C_FIND, C_ECHO = 0x8001, 0x8020, 0x8030
NO_DATA_SET = 0x0101
PENDING = (0xFF00, 0xFF01)

_UIDS = (AFFECTED_CLASS, REQUESTED_CLASS, AFFECTED_INSTANCE, REQUESTED_INSTANCE)
_NUMBERS = (COMMAND_FIELD, ANSWERED_ID, DATA_SET_TYPE, STATUS)

# -- reading


class RawElement(NamedTuple):
    """One element of a command set, as it stands in the bytes; the value may be shorter than its length."""

    group: int
    number: int
    length: int
    value: bytes

    @property
    def tag(self) -> str:
        """As the standard writes it."""
        return f"({self.group:04X},{self.number:04X})"


def elements(command: bytes) -> tuple[list[RawElement], bytes]:
    """The elements of a command set in their order, and the bytes left over that are none."""
    found = []
    start = 0
    while start + 8 <= len(command):
        group, number, length = struct.unpack_from("<HHI", command, start)
        start += 8
        found.append(RawElement(group, number, length, command[start : start + length]))
        start += length
    return found, command[start:]


def number_of(command: bytes, element: int) -> int | None:
    """The value of a US element of a command set; None where it is missing or no number of 2 bytes."""
    value = command_elements(command).get(element)
    return int.from_bytes(value, "little") if value is not None and len(value) == 2 else None


def messages_sent(connection: Connection) -> list[ReadMessage]:
    """The messages that were sent on a connection, as far as their bytes are kept."""
    reader, found = MessageReader(), []
    for read in PDUReader().feed(sent(connection)):
        if isinstance(read.pdu, PDataTF):
            found += reader.feed(read.pdu)
    return found


def request_of(conversation: Conversation, response: ReadMessage) -> ReadMessage | None:
    """The request on the current connection that a response answers, by its Message ID; the last one of that ID."""
    wanted = number_of(response.command, ANSWERED_ID)
    for message in reversed(messages_sent(conversation.connection)):
        if wanted is not None and number_of(message.command, MESSAGE_ID) == wanted:
            return message
    return None


# -- the rules


def answers_its_request(conversation: Conversation, event: Event) -> Finding | None:
    """laid out by the book, with the context, operation and UIDs of its request."""
    response = event.message
    if response is None:
        return None
    faults = (
        layout_fault(response.command),
        data_set_fault(response),
        fragment_fault(conversation),
        echo_fault(request_of(conversation, response), response),
    )
    for fault in faults:
        if fault is not None:
            return fault
    return padding_fault(response.command)


def layout_fault(command: bytes) -> Finding | None:
    """What is wrong with the layout of a command set of the peer (PS3.7 6.3.1)."""
    found, rest = elements(command)
    if rest or any(len(each.value) < each.length for each in found):
        return wrong("elements that end where the command set does", f"{len(rest)} bytes left over", _LAYOUT)
    for each in found:
        if each.group:
            return wrong("elements of group 0000 only", each.tag, _LAYOUT)
        if each.length % 2:
            return wrong("values of even length", f"{each.tag} of {each.length} bytes", _LAYOUT)
    numbers = [each.number for each in found]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        return wrong("elements in ascending order, none twice", _tags(found), _LAYOUT)
    return _group_length_fault(command, found) or _numbers_fault(command)


_LAYOUT = "a command set is in Implicit VR Little Endian, its elements in ascending order (PS3.7 6.3.1)"


def _group_length_fault(command: bytes, found: Sequence[RawElement]) -> Finding | None:
    expected = f"a group length (0000,0000) of {max(0, len(command) - 12)}"
    why = "the first element, it counts the bytes after it (PS3.7 6.3.1, E.1)"
    if not found or found[0].number or found[0].length != 4:
        return wrong(expected, "none at the beginning", why)
    got = int.from_bytes(found[0].value, "little")
    return None if got == len(command) - 12 else wrong(expected, str(got), why)


def _numbers_fault(command: bytes) -> Finding | None:
    for number in _NUMBERS:
        if number_of(command, number) is None:
            return wrong(
                f"(0000,{number:04X}) with 2 bytes", "none", "every response has it (PS3.7 9.3, 10.3)"
            )
    return None


def data_set_fault(response: ReadMessage) -> Finding | None:
    """What is wrong with a response's data set: only some have one (PS3.7 9.3)."""
    announced = number_of(response.command, DATA_SET_TYPE) != NO_DATA_SET
    field, status = number_of(response.command, COMMAND_FIELD), number_of(response.command, STATUS)
    if field in (C_STORE, C_ECHO) and announced:
        return wrong("Command Data Set Type 0101H", "another", "this response has no data set (PS3.7 9.3)")
    if field == C_FIND and announced != (status in PENDING):
        expected = "an identifier" if status in PENDING else "no identifier"
        return wrong(expected, "the opposite", "with pending responses and no others (PS3.4 C.4.1.1.3)")
    return None


def fragment_fault(conversation: Conversation) -> Finding | None:
    """What is wrong with the P-DATA-TFs that came so far: too long, or with odd fragments (PS3.8 D.1, E.1)."""
    limits = [int.from_bytes(each.value) for each in asked(conversation).sub_items(0x51)]
    for pdu in pdus(received(conversation.connection)):
        if pdu[0] != 4:
            continue
        if limits and 0 < limits[0] < len(pdu) - 6:
            return wrong(f"P-DATA-TFs of {limits[0]} bytes at most", f"one of {len(pdu) - 6}", "PS3.8 D.1")
        if len(pdu) % 2:
            return wrong("fragments of even length", f"a P-DATA-TF of {len(pdu) - 6} bytes", "PS3.8 E.1")
    return None


def echo_fault(request: ReadMessage | None, response: ReadMessage) -> Finding | None:
    """What a response does not repeat of its request (PS3.7 9.3, 10.3); nothing where that is not known."""
    if request is None:
        return None
    if response.context_id != request.context_id:
        expected, got = f"a response on context {request.context_id}", f"on {response.context_id}"
        return wrong(expected, got, "it travels on the context of its request")
    asked_field, got_field = (
        number_of(request.command, COMMAND_FIELD),
        number_of(response.command, COMMAND_FIELD),
    )
    if asked_field is not None and got_field != asked_field | 0x8000:
        return wrong(f"Command Field {asked_field | 0x8000:04X}H", f"{got_field or 0:04X}H", "PS3.7 E.1")
    questions, answers = command_elements(request.command), command_elements(response.command)
    for named_as in ((AFFECTED_CLASS, REQUESTED_CLASS), (AFFECTED_INSTANCE, REQUESTED_INSTANCE)):
        said = _first_uid(questions, named_as)
        repeated = _first_uid(answers, named_as)
        if said and repeated and said != repeated:
            what = "SOP Class" if AFFECTED_CLASS in named_as else "SOP Instance"
            return wrong(
                f"{what} UID {_text(said)}", _text(repeated), "equal to the request's (PS3.7 9.3, 10.3)"
            )
    return None


def _first_uid(values: dict[int, bytes], numbers: Sequence[int]) -> bytes:
    for number in numbers:
        value = values.get(number, b"").rstrip(b"\0 ")
        if value:
            return value
    return b""


def padding_fault(command: bytes) -> Finding | None:
    """What is odd about the padding of a response's UIDs (PS3.5 9.1)."""
    for each in elements(command)[0]:
        body = each.value.rstrip(b"\0")
        if each.number in _UIDS and (body.rstrip(b" ") != body or len(each.value) - len(body) > 1):
            why = "a UID is padded with one NUL, to an even length (PS3.5 6.2, 9.1)"
            return tolerable(f"{each.tag} padded with at most one NUL", repr(_text(each.value)), why)
    return None


def padded_with_nul(conversation: Conversation, event: Event) -> Finding | None:
    """with its UIDs padded to even length by one NUL."""
    if event.message is None:
        return None
    fault = padding_fault(event.message.command)
    return None if fault is None else wrong(fault.expected, fault.got, fault.why)


def all_rules_and(check: Check) -> Check:
    """`answers_its_request` and, before it, another check, whose title it gets."""
    return all_of(check, answers_its_request, title=(check.__doc__ or "").splitlines()[0])


def repeats(*numbers: int) -> Check:
    """Make a check that these elements are there, and hold what those of the request hold.

    Args:
        numbers: of elements of group 0000.
    """

    def check(conversation: Conversation, event: Event) -> Finding | None:
        fault = answers_its_request(conversation, event)
        if fault is not None or event.message is None:
            return fault
        request = request_of(conversation, event.message)
        questions = command_elements(request.command) if request is not None else {}
        answers = command_elements(event.message.command)
        for number in numbers:
            said = questions.get(number, b"").rstrip(b"\0 ")
            if number not in answers:
                why = "its presence is optional in this response (PS3.7 9.1)"
                return tolerable(f"(0000,{number:04X}) {_text(said)}", "none", why)
            if answers[number].rstrip(b"\0 ") != said:
                return wrong(f"(0000,{number:04X}) {_text(said)}", _text(answers[number]), "PS3.7 9.3")
        return None

    return named("with " + ", ".join(f"(0000,{number:04X})" for number in numbers) + " of its request", check)


def _tags(found: Sequence[RawElement]) -> str:
    return " ".join(each.tag for each in found[:16])


def _text(value: bytes) -> str:
    return printable(value.decode("latin-1"))
