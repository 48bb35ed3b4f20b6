"""The bare sink of C-FIND, C-GET and C-MOVE: answers, and sends images, with bytes made beforehand, so that what is
left is the load generator's own cost, that of the destination, and the kernel's. Looks nothing up and holds nothing.
"""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import Dataset

from benchmarks import messages
from benchmarks.asking import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from benchmarks.forks import die_with
from benchmarks.holdings import (
    LARGE_IMAGE,
    LARGE_SERIES,
    LARGE_STUDY,
    STUDY,
    TOKEN,
    WIDE_IMAGE,
    Holdings,
    Numbered,
)
from benchmarks.incoming import Reader
from benchmarks.load import Association, receive_pdu
from benchmarks.works import Work
from dimse.command_set import encode_command_set
from dimse.enums import DATA_SET_FOLLOWS
from dimse.messages import CFindRSP, CGetRSP, CMoveRSP, CStoreRQ, Response
from dul.decode import decode_pdu
from dul.encode import encode_pdu
from dul.negotiation import AcceptorPolicy, SupportedContext, answer
from dul.pdus import PDV, AAssociateRQ, AReleaseRP, PDataTF
from peers import HOST

_P_DATA_TF = 4
_NUMBER = re.compile(rb"\d{11}(?=[\0 ]|\Z)")


@contextmanager
def archive_sink(work: Work, holdings: Holdings, destination: int) -> Iterator[int]:
    """Serve one kind of work to one association, and yield the port.

    Args:
        destination: port that a C-MOVE goes to.
    """
    with socket.create_server((HOST, 0), backlog=4) as listener:
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            try:
                die_with(parent)
                connection, _ = listener.accept()
                _serve(connection, work, holdings, destination)
            finally:
                os._exit(0)
        try:
            yield listener.getsockname()[1]
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _serve(sock: socket.socket, work: Work, holdings: Holdings, destination: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = decode_pdu(*receive_pdu(sock))
    assert isinstance(request, AAssociateRQ)
    syntaxes = SupportedContext((messages.EXPLICIT_LE,), scu_role=True)
    supported = dict.fromkeys(
        (STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, messages.CT_IMAGE_STORAGE), syntaxes
    )
    sock.sendall(encode_pdu(answer(request, AcceptorPolicy(None, supported))))
    if work.kind == "find":
        _answer(sock, work, holdings)
    else:
        _retrieve(sock, work, holdings, destination)
    sock.sendall(encode_pdu(AReleaseRP()))


def _answer(sock: socket.socket, work: Work, holdings: Holdings) -> None:
    """Every match that is asked for, with its number where it has one."""
    reader = Reader(sock, keep=True)
    answers = _answers(work, holdings)
    numbered = Numbered(answers) if TOKEN in answers else None
    while (message := reader.next()).pdu_type == _P_DATA_TF:
        if numbered is not None and (number := _NUMBER.search(message.data)):
            numbered.become(int(number[0]))
        sock.sendall(answers if numbered is None else numbered.buffer)


def _retrieve(sock: socket.socket, work: Work, holdings: Holdings, destination: int) -> None:
    """Each image, to who asks or to the destination, and the final response."""
    reader, image = Reader(sock), _image(holdings.size)
    response = CGetRSP if work.kind == "get" else CMoveRSP
    final = response(
        message_id_being_responded_to=1,
        status=0,
        number_of_completed_suboperations=holdings.images,
        number_of_failed_suboperations=0,
        number_of_warning_suboperations=0,
    )
    while reader.next().pdu_type == _P_DATA_TF:
        if work.kind == "get":
            _send_images(sock, image, holdings.images)
        else:
            with Association(destination, work.asks) as association:
                _send_images(association.sock, image, holdings.images)
        sock.sendall(_alone(final))


def _answers(work: Work, holdings: Holdings) -> bytes:
    """All the answers to a C-FIND, with TOKEN in the place of a number that changes."""
    pending = CFindRSP(message_id_being_responded_to=1, status=0xFF00, command_data_set_type=DATA_SET_FOLLOWS)
    parts = []
    count = {"nothing": 0, "images": holdings.matches}.get(work.asks, 1)
    for number in range(count):
        match = Dataset()
        if work.asks == "images":
            match.SOPInstanceUID = f"{WIDE_IMAGE}{number:011d}"
            match.InstanceNumber = 1
        else:
            match.PatientID = f"BENCH{TOKEN.decode()}"
            match.StudyInstanceUID = STUDY + TOKEN.decode()
        parts.append(messages.p_data(1, pending, messages.encode_data_set(match), 0))
    parts.append(_alone(CFindRSP(message_id_being_responded_to=1, status=0)))
    return b"".join(parts)


def _send_images(sock: socket.socket, image: Numbered, count: int) -> None:
    """One C-STORE-RQ after the other, each when the one before is answered."""
    reader = Reader(sock)
    for number in range(count):
        image.become(number)
        sock.sendall(image.buffer)
        assert reader.next().number(0x0900) == 0


def _image(size: int) -> Numbered:
    uid = LARGE_IMAGE + TOKEN.decode()
    values = {"StudyInstanceUID": LARGE_STUDY, "SeriesInstanceUID": LARGE_SERIES, "SOPInstanceUID": uid}
    command = CStoreRQ(
        message_id=1, affected_sop_class_uid=messages.CT_IMAGE_STORAGE, affected_sop_instance_uid=uid
    )
    return Numbered(
        messages.p_data(messages.CT_ID, command, messages.ct_image(size, values), messages.LONGEST)
    )


def _alone(response: Response) -> bytes:
    """A response without a data set."""
    return encode_pdu(PDataTF((PDV(1, 3, encode_command_set(response)),)))
