"""One PDU taken apart, byte by byte, whatever its bytes are (PS3.8 9.3).

The leaves cover every byte once and in order. What the standard forbids is marked where it stands; what takes the
other side's PDUs to know is not judged here.
"""

from collections.abc import Mapping

from dul.pdus import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AnyPDU, MaximumLengthSubItem, PDataTF
from services.printable import printable
from services.trace.cursor import Cursor
from services.trace.dissect_associate import dissect_associate
from services.trace.dissect_command import dissect_command
from services.trace.dissect_data import Context, Due, dissect_p_data, p_data_summary
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

__all__ = ["Context", "Due", "dissect", "dissect_command", "dissect_data_set"]

_HEADER = 6
_FIXED = {3, 5, 6, 7}
_RESERVED_VALUE = "reserved value"
_TLS_HANDSHAKE = 0x16


def dissect(
    read: ReadPDU,
    contexts: Mapping[int, Context] | None = None,
    *,
    due: Due | None = None,
    data_sets: bool = False,
) -> Dissection:
    """Take a PDU apart.

    Args:
        read: as `reading` handed it over, readable or not.
        contexts: those accepted on the association, by id: they tell what a P-DATA-TF is about, and how its data sets
            are encoded.
        due: what the first fragment of a P-DATA-TF belongs to, for who has followed its sender; None where that is
            not known: then a command set is recognised by how it begins.
        data_sets: take data sets apart too, as far as the fragment reaches in which one begins. Where one begins is
            told by `due`, and by the command sets in the same PDU.
    """
    raw = read.raw
    kind = raw[0] if raw else 0
    if kind not in PDU_NAMES:
        return _unreadable(read)
    cursor = Cursor(raw, 0, len(raw), kind=kind)
    _header(cursor, kind)
    match kind:
        case 1 | 2:
            dissect_associate(cursor, is_request=kind == 1)
        case 3:
            _reject(cursor)
        case 4:
            dissect_p_data(cursor, contexts or {}, due, data_sets=data_sets)
        case 7:
            _abort(cursor)
        case _:
            cursor.reserved(4)
    cursor.rest()
    return Dissection(
        raw=raw,
        name=PDU_NAMES[kind],
        summary=_summary(read.pdu) if read.pdu is not None else printable(str(read.error or "")),
        fields=tuple(cursor.fields),
        pdu=read.pdu,
        error=str(read.error or ""),
    )


def _header(cursor: Cursor, kind: int) -> None:
    cursor.take(1, "PDU-type", f"{kind:02X}H", meaning=PDU_NAMES[kind])
    cursor.reserved()
    if not cursor.left:
        return
    length, there = cursor.number(4), max(0, len(cursor.raw) - _HEADER)
    clause = PDU_CLAUSES[kind]
    problem = ""
    if kind in _FIXED and length != 4:
        problem = f"PDU-length {length}: that of an {PDU_NAMES[kind]} is 4 ({clause})"
    elif length != there:
        problem = f"PDU-length {length}, and {there} bytes follow (PS3.8 9.3.1)"
    elif kind == 4 and not length:
        problem = f"a P-DATA-TF without a PDV: it has one or more ({clause})"
    elif kind in (1, 2) and length < 68:
        problem = f"PDU-length {length}: the fixed fields alone have 68 bytes ({clause})"
    cursor.take(4, "PDU-length", str(length), problem=problem)


def _reject(body: Cursor) -> None:
    body.reserved()
    result, source, reason = (*body.peek(3), 0, 0, 0)[:3]
    _code(body, "Result", result, REJECT_RESULTS.get(result, ""), "PS3.8 9.3.4")
    _code(body, "Source", source, REJECT_SOURCES.get(source, ""), "PS3.8 9.3.4")
    _code(body, "Reason/Diag.", reason, REJECT_REASONS.get((source, reason), ""), "PS3.8 9.3.4")


def _abort(body: Cursor) -> None:
    body.reserved(2)
    source, reason = (*body.peek(2), 0, 0)[:2]
    _code(body, "Source", source, ABORT_SOURCES.get(source, ""), "PS3.8 9.3.8")
    why = (
        ABORT_REASONS.get(reason, "") if source == 2 else "not significant: only the service-provider has one"
    )
    _code(body, "Reason/Diag.", reason, why, "PS3.8 9.3.8")


def _code(body: Cursor, name: str, value: int, meaning: str, clause: str) -> None:
    problem = "" if meaning else f"{_RESERVED_VALUE} {value} ({clause})"
    body.take(1, name, str(value), meaning=meaning, problem=problem)


def _unreadable(read: ReadPDU) -> Dissection:
    cursor = Cursor(read.raw, 0, len(read.raw))
    why = str(read.error or "no PDU at all")
    if read.raw:
        problem = "unrecognized PDU: Evt19 (PS3.8 9.2, 9.3.1)"
        cursor.take(1, "PDU-type", f"{read.raw[0]:02X}H", meaning=_guess(read.raw), problem=problem)
        cursor.take_rest("Unreadable bytes")
    return Dissection(
        raw=read.raw, name="unrecognized PDU", summary=printable(why), fields=tuple(cursor.fields), error=why
    )


def _guess(raw: bytes) -> str:
    """What a peer speaks that does not speak DICOM here."""
    if raw[0] == _TLS_HANDSHAKE and raw[1:2] == b"\3":
        return "TLS: its sender expects an encrypted connection"
    line = raw[:64].partition(b"\n")[0].rstrip(b"\r")
    if b" HTTP/" in line or line.startswith(b"HTTP/"):
        return "HTTP: its sender takes this for a web server, or is one"
    return ""


def _summary(pdu: AnyPDU) -> str:
    match pdu:
        case AAssociateRQ():
            count = len(pdu.presentation_contexts)
            titles = f"{printable(pdu.calling_ae)} -> {printable(pdu.called_ae)}"
            return f"{titles}, {count} context{'s' * (count != 1)}{_maximum(pdu)}"
        case AAssociateAC():
            results = [context.result for context in pdu.presentation_contexts]
            of = f"{len(results)} context{'s' * (len(results) != 1)}"
            return f"accepted {results.count(0)} of {of}{_maximum(pdu)}"
        case AAssociateRJ():
            source, reason = pdu.reason.source, pdu.reason.reason
            result = REJECT_RESULTS.get(pdu.result, "reserved result")
            by = REJECT_SOURCES.get(source, "reserved source")
            why = REJECT_REASONS.get((source, reason), "reserved reason")
            return f"{result}, {by}: {why} ({pdu.result}/{source}/{reason})"
        case AAbort():
            source, reason = pdu.reason.source, pdu.reason.reason
            why = f": {ABORT_REASONS.get(reason, 'reserved reason')}" if source == 2 else ""
            return f"{ABORT_SOURCES.get(source, 'reserved source')}{why} ({source}/{reason})"
        case PDataTF():
            return p_data_summary(pdu)
        case _:
            return ""


def _maximum(pdu: AAssociateRQ | AAssociateAC) -> str:
    for item in pdu.user_data:
        if isinstance(item, MaximumLengthSubItem):
            return f", maximum length {item.maximum_length_received or 'not limited'}"
    return ""
