"""What is asked of a server that holds images: C-FIND, C-GET and C-MOVE, requests encoded beforehand.

Every answer is counted. Where one is missing or too many, or bytes are, a LoadError leaves the row without a figure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from benchmarks import messages
from benchmarks.destination import AE_TITLE as DESTINATION
from benchmarks.destination import Destination
from benchmarks.incoming import (
    C_STORE_RQ,
    COMMAND_FIELD,
    COMPLETED,
    STATUS,
    StoreResponses,
    messages_from,
    number,
)
from benchmarks.load import Association, LoadError, Window, Work, connect, receive_pdu
from dimse.messages import CFindRQ, CGetRQ, CMoveRQ
from dul.decode import decode_pdu
from dul.encode import encode_pdu
from dul.enums import ContextResult
from dul.negotiation import ProposedContext, build_request
from dul.pdus import AAssociateAC

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
"""Study Root."""

_PENDING = frozenset({b"\x00\xff", b"\x01\xff"})
_SUCCESS = b"\x00\x00"
_QUERY_ID, _STORE_ID = 1, 3
_RETRIEVED, _MATCHED = 1, 2
"""The workers of `messages.Instances` whose UIDs are used: a study and a series each."""

_ONE_STUDY = ("PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID")


@dataclass(frozen=True)
class Holding:
    """What every server holds: one study of `retrieved` images of `size` bytes, one of `matches` small images, in
    one series each; and where it moves them to."""

    retrieved: int
    matches: int
    size: int
    destination: Destination


def fill(port: int, called_ae: str, retrieved: int, matches: int, size: int, small: int) -> None:
    """Store on a server what it shall hold.

    Raises:
        LoadError: the server did not take it.
    """
    for worker, count, length in ((_RETRIEVED, retrieved, size), (_MATCHED, matches, small)):
        with Association(port, called_ae) as association:
            instances = messages.Instances(length, association.maximum_length)
            instances.become(worker)
            first, second = instances.counters
            instances.buffer[first] = instances.buffer[second] = b"%011d" % 1
            send = association.exchange(instances.buffer)
            for counter in range(2, count + 1):
                instances.buffer[first] = instances.buffer[second] = b"%011d" % counter
                send()


def job(work: Work, holding: Holding) -> Callable[[Work, int, str, Window], None]:
    """What a worker does for a kind of work."""
    return partial(_JOBS[work.kind], holding=holding)


def units(work: Work, holding: Holding) -> int:
    """How many of what its figure counts one request is for."""
    if work.kind == "find":
        return holding.matches if work.name.endswith(_STREAMED) else 1
    return holding.retrieved


_STREAMED = "streamed matches"


class _Query:
    """An association for one SOP class of Query/Retrieve, over which we take images where `is_get`."""

    def __init__(self, port: int, called_ae: str, sop_class: str, *, is_get: bool = False) -> None:
        contexts = [ProposedContext(sop_class, (messages.IMPLICIT_LE,))]
        if is_get:
            image = messages.CT_IMAGE_STORAGE
            contexts.append(ProposedContext(image, (messages.EXPLICIT_LE,), scu_role=False, scp_role=True))
        request = build_request(
            called_ae=called_ae, calling_ae="LOAD", contexts=contexts, maximum_length=messages.LONGEST
        )
        self.sock = connect(port)
        self.sock.sendall(encode_pdu(request))
        pdu_type, body = receive_pdu(self.sock)
        answer = decode_pdu(pdu_type, body)
        if not isinstance(answer, AAssociateAC):
            raise LoadError(f"association refused: {answer}")
        refused = [c for c in answer.presentation_contexts if c.result != ContextResult.ACCEPTANCE]
        if refused:
            raise LoadError(f"presentation contexts refused: {refused}")
        self.incoming = messages_from(self.sock)

    def __enter__(self) -> "_Query":
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        if kind is None:
            self.sock.sendall(messages.RELEASE_RQ)
            if receive_pdu(self.sock)[0] != 6:
                raise LoadError("release not confirmed")
        self.sock.close()

    def final(self, fields: dict[int, bytes]) -> bool:
        """Whether a response is the last one.

        Raises:
            LoadError: its status is neither Pending nor Success.
        """
        status = fields[STATUS]
        if status in _PENDING:
            return False
        if status != _SUCCESS:
            raise LoadError(f"status {int.from_bytes(status, 'little'):04X}H")
        return True


def _find(work: Work, port: int, called_ae: str, window: Window, *, holding: Holding) -> None:
    request, expected = _question(work, holding)
    with _Query(port, called_ae, FIND) as query:
        sendall, incoming, final = query.sock.sendall, query.incoming, query.final

        def ask() -> None:
            sendall(request)
            matches = 0
            for _, fields, size in incoming:
                if final(fields):
                    break
                matches += size > 0
            if matches != expected:
                raise LoadError(f"{matches} matches, {expected} expected")

        window.run(ask, warm_up=3 if expected < 2 else 1)


def _question(work: Work, holding: Holding) -> tuple[bytes, int]:
    """The C-FIND-RQ, and how many matches it has."""
    if work.name.endswith(_STREAMED):
        images = {"SOPInstanceUID": "", "InstanceNumber": ""} | _uids(_MATCHED)
        return _request(CFindRQ, FIND, "IMAGE", images), holding.matches
    is_held = not work.name.endswith("no match")
    study = dict.fromkeys(_ONE_STUDY, "") | {"StudyInstanceUID": _uids(_RETRIEVED if is_held else 999)["StudyInstanceUID"]}
    return _request(CFindRQ, FIND, "STUDY", study), int(is_held)


def _get(work: Work, port: int, called_ae: str, window: Window, *, holding: Holding) -> None:
    request = _request(CGetRQ, GET, "STUDY", _study())
    responses = StoreResponses()
    with _Query(port, called_ae, GET, is_get=True) as query:
        sendall, incoming = query.sock.sendall, query.incoming

        def retrieve() -> None:
            sendall(request)
            instances = total = 0
            for context_id, fields, size in incoming:
                if fields[COMMAND_FIELD] == C_STORE_RQ:
                    instances, total = instances + 1, total + size
                    sendall(responses.to(context_id, fields))
                elif query.final(fields):
                    break
            _check(holding, instances, total, number(fields, COMPLETED))

        window.run(retrieve, warm_up=0)


def _move(work: Work, port: int, called_ae: str, window: Window, *, holding: Holding) -> None:
    request = _request(CMoveRQ, MOVE, "STUDY", _study(), move_destination=DESTINATION)
    with _Query(port, called_ae, MOVE) as query:

        def move() -> None:
            before = holding.destination.taken()
            query.sock.sendall(request)
            for _, fields, _size in query.incoming:
                if query.final(fields):
                    break
            taken = holding.destination.taken()
            if taken.associations != before.associations + 1:
                raise LoadError(f"{taken.associations - before.associations} associations for one C-MOVE")
            _check(
                holding, taken.instances - before.instances, taken.size - before.size, number(fields, COMPLETED)
            )

        window.run(move, warm_up=0)


_JOBS: Mapping[str, Callable[..., None]] = {"find": _find, "get": _get, "move": _move}


def _check(holding: Holding, instances: int, size: int, completed: int | None) -> None:
    expected = holding.retrieved
    if instances != expected or completed != expected:
        raise LoadError(f"{instances} images came, {completed} are said to have come, {expected} were asked for")
    if size != expected * holding.size:
        raise LoadError(f"{size} bytes came, {expected * holding.size} are held")


def _uids(worker: int) -> dict[str, str]:
    """Study and series of `messages.Instances` for a worker."""
    return {"StudyInstanceUID": f"2.25.8{worker:03d}1", "SeriesInstanceUID": f"2.25.8{worker:03d}2"}


def _study() -> dict[str, str]:
    return {"StudyInstanceUID": _uids(_RETRIEVED)["StudyInstanceUID"]}


def _request(kind: type[Any], sop_class: str, level: str, keys: Mapping[str, str], **fields: Any) -> bytes:
    """A request in its P-DATA-TFs, the identifier in Implicit VR Little Endian."""
    identifier = pydicom.Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = True, True
    write_dataset(out, identifier)
    command = kind(message_id=1, affected_sop_class_uid=sop_class, **fields)
    return messages.p_data(_QUERY_ID, command, out.getvalue(), 0)
