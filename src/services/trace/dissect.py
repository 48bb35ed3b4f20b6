"""One PDU taken apart, byte by byte, whatever its bytes are (PS3.8 9.3).

The leaves cover every byte once and in order. What the standard forbids is marked where it stands; what takes the
other side's PDUs to know is not judged here.
"""

from collections.abc import Mapping

from msgspec import Struct

from dul.pdus import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AnyPDU, MaximumLengthSubItem, PDataTF
from services.printable import printable
from services.trace.cursor import Cursor
from services.trace.dissect_associate import dissect_associate
from services.trace.dissect_data import dissect_command, dissect_p_data, p_data_summary
from services.trace.dissect_data_set import dissect_data_set
from services.trace.fields import Dissection
from services.trace.names import (
    ABORT_REASONS,
    ABORT_SOURCES,
    REJECT_REASONS,
    REJECT_RESULTS,
    REJECT_SOURCES,
)
from services.trace.reading import ReadPDU
from services.trace.texts import PDU_CLAUSES, PDU_NAMES

__all__ = ["Context", "dissect", "dissect_command", "dissect_data_set"]

_HEADER = 6
_FIXED = {3, 5, 6, 7}


class Context(Struct, frozen=True):
    """A presentation context that was accepted."""

    abstract_syntax: str
    transfer_syntax: str


def dissect(read: ReadPDU, contexts: Mapping[int, Context] | None = None) -> Dissection:
    """Take a PDU apart.

    Args:
        read: as `reading` handed it over, readable or not.
        contexts: those accepted on the association, by id, for the names of what P-DATA is about.
    """
    raw = read.raw
    kind = raw[0] if raw else 0
    if kind not in PDU_NAMES:
        return _unreadable(read)
    cursor = Cursor(raw, 0, len(raw))
    _header(cursor, kind)
    body = Cursor(raw, cursor.position, len(raw))
    match kind:
        case 1 | 2:
            dissect_associate(body, is_request=kind == 1)
        case 3:
            _reject(body)
        case 4:
            dissect_p_data(body)
        case 7:
            _abort(body)
        case _:
            body.reserved(4)
    body.rest()
    return Dissection(
        raw=raw,
        name=PDU_NAMES[kind],
        summary=_summary(read.pdu, contexts or {}) if read.pdu is not None else str(read.error),
        fields=(*cursor.fields, *body.fields),
        pdu=read.pdu,
        error=str(read.error or ""),
    )


def _header(cursor: Cursor, kind: int) -> None:
    cursor.take(1, "PDU-type", f"{kind:02X}H", meaning=PDU_NAMES[kind], clause=PDU_CLAUSES[kind])
    cursor.reserved()
    if not cursor.left:
        return
    length, there = cursor.number(4), len(cursor.raw) - _HEADER
    problem = ""
    if kind in _FIXED and length != 4:
        problem = f"PDU-length {length}: that of an {PDU_NAMES[kind]} is 4 ({PDU_CLAUSES[kind]})"
    elif length != there:
        problem = f"PDU-length {length}, and {there} bytes follow (PS3.8 9.3.1)"
    elif kind == 4 and not length:
        problem = "a P-DATA-TF without a PDV: it has one or more (PS3.8 9.3.5)"
    cursor.take(4, "PDU-length", str(length), problem=problem)


def _reject(body: Cursor) -> None:
    body.reserved()
    result, source, reason = (*body.peek(3), 0, 0, 0)[:3]
    unknown = "reserved value (PS3.8 9.3.4)"
    meaning = REJECT_RESULTS.get(result, "")
    body.take(1, "Result", str(result), meaning=meaning, problem="" if meaning else unknown)
    meaning = REJECT_SOURCES.get(source, "")
    body.take(1, "Source", str(source), meaning=meaning, problem="" if meaning else unknown)
    meaning = REJECT_REASONS.get((source, reason), "")
    body.take(1, "Reason/Diag.", str(reason), meaning=meaning, problem="" if meaning else unknown)


def _abort(body: Cursor) -> None:
    body.reserved(2)
    source, reason = (*body.peek(2), 0, 0)[:2]
    clause = "PS3.8 9.3.8"
    meaning = ABORT_SOURCES.get(source, "")
    body.take(
        1,
        "Source",
        str(source),
        meaning=meaning,
        clause=clause,
        problem="" if meaning else f"reserved value ({clause})",
    )
    if source == 2:
        meaning = ABORT_REASONS.get(reason, "")
        problem = "" if meaning else f"reserved value ({clause})"
    else:
        meaning, problem = "not significant: only the service-provider gives reasons", ""
    body.take(1, "Reason/Diag.", str(reason), meaning=meaning, clause=clause, problem=problem)


def _unreadable(read: ReadPDU) -> Dissection:
    cursor = Cursor(read.raw, 0, len(read.raw))
    why = str(read.error or "no PDU at all")
    if read.raw:
        first = read.raw[0]
        known = 1 <= first <= 7
        cursor.take(
            1, "PDU-type", f"{first:02X}H", problem="" if known else "unrecognized PDU: Evt19 (PS3.8 9.2)"
        )
        if cursor.left:
            cursor.take(
                cursor.left, "Unreadable bytes", explanation="Nobody can say where the next PDU begins."
            )
    return Dissection(
        raw=read.raw, name="unrecognized PDU", summary=printable(why), fields=tuple(cursor.fields), error=why
    )


def _summary(pdu: AnyPDU, contexts: Mapping[int, Context]) -> str:
    match pdu:
        case AAssociateRQ():
            count = len(pdu.presentation_contexts)
            titles = f"{printable(pdu.calling_ae)} -> {printable(pdu.called_ae)}"
            return f"{titles}, {count} context{'s' * (count != 1)}{_maximum(pdu)}"
        case AAssociateAC():
            results = [context.result for context in pdu.presentation_contexts]
            return f"accepted {results.count(0)} of {len(results)} contexts{_maximum(pdu)}"
        case AAssociateRJ():
            source, reason = pdu.reason.source, pdu.reason.reason
            names = (
                REJECT_RESULTS.get(pdu.result, "reserved result"),
                REJECT_SOURCES.get(source, "reserved source"),
                REJECT_REASONS.get((source, reason), "reserved reason"),
            )
            return f"{', '.join(names)} ({pdu.result}/{source}/{reason})"
        case AAbort():
            source, reason = pdu.reason.source, pdu.reason.reason
            why = f": {ABORT_REASONS.get(reason, 'reserved reason')}" if source == 2 else ""
            return f"{ABORT_SOURCES.get(source, 'reserved source')}{why} ({source}/{reason})"
        case PDataTF():
            names_of = {number: context.abstract_syntax for number, context in contexts.items()}
            return p_data_summary(pdu, names_of)
        case _:
            return ""


def _maximum(pdu: AAssociateRQ | AAssociateAC) -> str:
    for item in pdu.user_data:
        if isinstance(item, MaximumLengthSubItem):
            longest = item.maximum_length_received
            return f", maximum length {longest or 'not limited'}"
    return ""
