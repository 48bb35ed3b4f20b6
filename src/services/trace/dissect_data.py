"""P-DATA-TF: presentation data values, and the command and data sets in them (PS3.8 9.3.5, Annex E)."""

from collections.abc import Mapping

from msgspec import Struct

from dul.pdus import PDV, PDataTF
from services.printable import printable, shorten
from services.trace.cursor import Cursor
from services.trace.dissect_command import command_summary, dissect_command, has_data_set, take_command
from services.trace.dissect_data_set import DATA_SET_SHOWN, take_data_set
from services.trace.names import uid_name
from services.trace.reading import Due, command_elements

__all__ = ["Context", "Due", "dissect_command", "dissect_p_data", "p_data_summary"]

_COMMAND, _LAST = 1, 2
_COMMAND_FIELD = 0x0100
_GROUP_LENGTH = bytes.fromhex("00000000 04000000")  # tag and value length
_SUMMED_UP = 3


class Context(Struct, frozen=True):
    """A presentation context that was accepted."""

    abstract_syntax: str
    transfer_syntax: str


def dissect_p_data(
    body: Cursor, contexts: Mapping[int, Context], due: Due | None, *, data_sets: bool = False
) -> None:
    """Take the PDVs apart; bytes that make none are left.

    Args:
        body: after the header of the PDU.
        contexts: those accepted, by id.
        due: what the first fragment belongs to; None where that is not known.
        data_sets: take data sets apart too, as far as the fragment reaches in which one begins.
    """
    fragments = _Fragments(contexts, due, data_sets)
    while body.left >= 4 and not body.is_spent:
        length = body.number(4)
        inside = body.inside(4 + length)
        problem = ""
        if length < 2:
            problem = f"PDV-item-length {length}: context id and control header alone are 2 (PS3.8 9.3.5.1)"
        elif length + 4 > body.left:
            problem = f"PDV-item-length {length} goes beyond the PDU (PS3.8 9.3.5.1)"
        inside.take(4, "PDV-item-length", str(length), problem=problem)
        number, header = inside.number(1), inside.number(1, 1)
        meaning = f"context {number}, {_header(header)}" if inside.left > 1 else ""
        _context(inside, number, contexts.get(number))
        inside.take(1, "Message-control-header", f"{header:02X}H", meaning=_header(header))
        if not problem:
            fragments.take(inside, number, header)
        inside.take_rest("Fragment")
        body.group("PDV", inside, meaning=meaning)
    body.rest("bytes that are no PDV (PS3.8 9.3.5.1)")


def _context(inside: Cursor, number: int, context: Context | None) -> None:
    even = "" if number & 1 else f"presentation context id {number}: it is odd (PS3.8 9.3.2.2)"
    meaning = ""
    if context is not None:
        uids = (context.abstract_syntax, context.transfer_syntax)
        meaning = ", ".join(uid_name(uid) or shorten(printable(uid), 64) for uid in uids if uid)
    inside.take(1, "Presentation-context-ID", str(number), meaning=meaning, problem=even)


def _header(header: int) -> str:
    kind = "command" if header & _COMMAND else "data"
    return f"{kind}, last fragment" if header & _LAST else f"{kind}, more follow"


class _Fragments:
    """Takes the fragments of one PDU, and knows what each belongs to."""

    def __init__(self, contexts: Mapping[int, Context], due: Due | None, data_sets: bool) -> None:
        self._contexts = contexts
        self._due = due
        self._data_sets = data_sets

    def take(self, inside: Cursor, number: int, header: int) -> None:
        """Take the fragment that is left, on this context and with this control header."""
        odd = f"fragment of {inside.left} bytes: its length is even (PS3.8 E.1)" if inside.left & 1 else ""
        due, is_last = self._due, bool(header & _LAST)
        if header & _COMMAND:
            self._due = Due.REST_OF_COMMAND
            if is_last:
                self._due = None
                if due is not Due.REST_OF_COMMAND and inside.left and (due or _is_a_command(inside)):
                    self._take_command(inside, odd)
        else:
            self._due = Due.COMMAND if is_last else Due.REST_OF_DATA_SET
            context = self._contexts.get(number)
            if self._data_sets and due is Due.DATA_SET and context is not None and inside.left:
                data_set = inside.inside(inside.left)
                take_data_set(data_set, context.transfer_syntax, DATA_SET_SHOWN)
                inside.group("Fragment", data_set, meaning="a data set begins", problem=odd)
        inside.take_rest("Fragment", problem=odd)

    def _take_command(self, inside: Cursor, odd: str) -> None:
        elements = command_elements(inside.peek(inside.left))
        self._due = Due.DATA_SET if has_data_set(elements) else Due.COMMAND
        command = inside.inside(inside.left)
        take_command(command)
        inside.group("Fragment", command, meaning="a whole command set", problem=odd)


def _is_a_command(inside: Cursor) -> bool:
    """Whether this is a whole command set, as far as its bytes tell: it begins with a Command Group Length, or with
    other elements of group 0000 among which is the Command Field. The end of one that began earlier has neither,
    unless it was cut just there."""
    if inside.peek(8) == _GROUP_LENGTH:
        return True
    return inside.peek(2) == b"\0\0" and _COMMAND_FIELD in command_elements(inside.peek(inside.left))


def p_data_summary(pdu: PDataTF) -> str:
    """What a P-DATA-TF carries, in one line: "context 1, command, last: C-ECHO-RQ, Message ID 1"."""
    shown = [_pdv_summary(pdv) for pdv in pdu.pdvs[:_SUMMED_UP]]
    more = len(pdu.pdvs) - _SUMMED_UP
    return "; ".join(shown) + (f"; and {more} more PDV{'s' * (more > 1)}" if more > 0 else "")


def _pdv_summary(pdv: PDV) -> str:
    last = ", last" if pdv.is_last else ""
    if not pdv.is_command:
        return f"context {pdv.presentation_context_id}, data{last}, {len(pdv.data)} bytes"
    about = f": {command_summary(bytes(pdv.data))}" if pdv.is_last else f", {len(pdv.data)} bytes"
    return f"context {pdv.presentation_context_id}, command{last}{about}"
