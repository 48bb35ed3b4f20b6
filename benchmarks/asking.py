"""The clients that ask an archive: C-FIND, C-GET and C-MOVE, requests encoded beforehand.

The first answer to a C-FIND is taken apart and looked at; the others have to be as long, with as many statuses and the
key in them. A C-GET answers each C-STORE with bytes made beforehand, decodes no data set, and counts: each image once,
each of them as many bytes as were stored. What is not exactly right is an error, and no figure comes of it.
"""

import re
import socket
import struct
from array import array
from collections.abc import Callable

from pydicom import Dataset

from benchmarks import messages
from benchmarks.holdings import (
    LARGE_IMAGE,
    LARGE_STUDY,
    STUDY,
    TOKEN,
    WIDE_IMAGE,
    WIDE_SERIES,
    WIDE_STUDY,
    Holdings,
    Numbered,
)
from benchmarks.incoming import Incoming, Reader
from benchmarks.load import Association, LoadError, Window
from benchmarks.works import Work
from dimse.command_set import encode_command_set
from dimse.messages import CFindRQ, CGetRQ, CMoveRQ, CStoreRSP, Message
from dul.encode import encode_pdu
from dul.negotiation import ProposedContext, build_request
from dul.pdus import PDV, PDataTF

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
CALLING_AE = "LOAD"
_ASKS_ID = 1
_PENDING = (0xFF00, 0xFF01)
_STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00"  # tag and length of (0000,0900)
_STUDY_KEYS = ("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "PatientName", "PatientID")
_TOKEN = TOKEN.decode()


def ask(work: Work, port: int, called_ae: str, window: Window, holdings: Holdings) -> None:
    """Do what `work` says within a window: the kinds `find`, `get` and `move`.

    Raises:
        LoadError: an answer did not come, or was not exactly right.
    """
    if work.kind == "find":
        _find(work, port, called_ae, window, holdings)
    else:
        _retrieve(work, port, called_ae, window, holdings)


# -- C-FIND


def _find(work: Work, port: int, called_ae: str, window: Window, holdings: Holdings) -> None:
    keys, uid, matches = _questions(holdings)[work.asks]
    command = CFindRQ(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND)
    with _associate(port, called_ae, STUDY_ROOT_FIND) as association:
        content = messages.p_data(_ASKS_ID, command, _identifier(keys), association.maximum_length)
        request = Numbered(content) if TOKEN in content else None
        buffer = content if request is None else request.buffer
        if request is not None:
            request.become(0)
        length = _first_answers(association.sock, buffer, uid, matches)
        again = _answers_again(association.sock, buffer, length, matches)
        number = 0

        def once() -> None:
            nonlocal number
            if request is not None:
                number = (number + 1) % holdings.studies
                request.become(number)
            answer = again()
            if matches == 1 and b"%s%011d" % (uid.encode(), number) not in answer:
                raise LoadError(f"the match is not the study {uid}{number:011d}")

        window.run(once, warm_up=20 if matches < 2 else 0)
    window.done *= max(matches, 1)


def _questions(holdings: Holdings) -> dict[str, tuple[dict[str, str], str, int]]:
    """By what is asked for: the keys, what the UID of a match begins with, and how many matches there are."""
    study = dict.fromkeys(_STUDY_KEYS, "") | {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""}
    return {
        "study": (study | {"StudyInstanceUID": STUDY + _TOKEN}, STUDY, 1),
        "patient": (study | {"PatientID": f"BENCH{_TOKEN}"}, STUDY, 1),
        "nothing": (study | {"StudyInstanceUID": "2.25.99" + _TOKEN}, STUDY, 0),
        "images": (
            {
                "QueryRetrieveLevel": "IMAGE",
                "StudyInstanceUID": WIDE_STUDY,
                "SeriesInstanceUID": WIDE_SERIES,
                "SOPInstanceUID": "",
                "InstanceNumber": "",
            },
            WIDE_IMAGE,
            holdings.matches,
        ),
    }


def _first_answers(sock: socket.socket, request: bytes | bytearray, uid: str, matches: int) -> int:
    """Ask once, see that the matches are those there should be, and return how long all answers are together."""
    sock.sendall(request)
    counted = _Counted(sock)
    reader = Reader(counted, keep=True)  # type: ignore[arg-type]
    found: set[bytes] = set()
    pattern = re.compile(re.escape(uid.encode()) + rb"\d{11}")
    number = 0
    while (answer := _response(reader.next())).number(0x0900) in _PENDING:
        found.update(pattern.findall(answer.data))
        number += 1
    _succeeded(answer)
    if number != matches or len(found) != matches:
        raise LoadError(f"{number} matches, {len(found)} different ones, and not {matches}")
    return counted.number


class _Counted:
    """A socket that counts what is received."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.number = 0

    def recv_into(self, view: memoryview) -> int:
        taken = self._sock.recv_into(view)
        self.number += taken
        return taken


def _answers_again(
    sock: socket.socket, request: bytes | bytearray, length: int, matches: int
) -> Callable[[], bytearray]:
    """What asks, and returns all the answers, which have to be as long as those before."""
    answer = bytearray(length)
    view = memoryview(answer)
    sendall, recv_into, acknowledge = sock.sendall, sock.recv_into, sock.setsockopt
    tcp, quickack = socket.IPPROTO_TCP, socket.TCP_QUICKACK

    def again() -> bytearray:
        sendall(request)
        taken = 0
        while taken < length:
            more = recv_into(view[taken:])
            if not more:
                raise LoadError("the peer closed the connection")
            taken += more
        acknowledge(tcp, quickack, 1)  # the kernel forgets it after a while
        last = answer.rfind(_STATUS) + len(_STATUS)
        if answer.count(_STATUS) != matches + 1 or answer[last : last + 2] != b"\0\0":
            raise LoadError(f"other answers than before, the last {bytes(answer[-100:]).hex()}")
        return answer

    return again


# -- C-GET and C-MOVE


def _retrieve(work: Work, port: int, called_ae: str, window: Window, holdings: Holdings) -> None:
    is_get = work.kind == "get"
    model = STUDY_ROOT_GET if is_get else STUDY_ROOT_MOVE
    command: Message = (
        CGetRQ(message_id=1, affected_sop_class_uid=model)
        if is_get
        else CMoveRQ(message_id=1, affected_sop_class_uid=model, move_destination=work.asks)
    )
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": LARGE_STUDY}
    with _associate(port, called_ae, model) as association:
        request = messages.p_data(_ASKS_ID, command, _identifier(keys), association.maximum_length)
        received = Received(memoryview(array("I", bytes(8 * holdings.images))))

        def once() -> None:
            association.sock.sendall(request)
            final = _sub_operations(association.sock, received)
            _succeeded(final)
            counts = [final.number(element) for element in (0x1021, 0x1022, 0x1023)]
            if counts != [holdings.images, 0, 0]:
                raise LoadError(f"completed, failed and warning: {counts}, and not {holdings.images}, 0, 0")

        window.run(once, warm_up=0)
    if is_get:
        received.check(holdings)
    window.done *= holdings.images


def _sub_operations(sock: socket.socket, received: "Received") -> Incoming:
    """Answer the sub-operations of a retrieval, and return its last response."""
    reader = Reader(sock)
    while True:
        message = reader.next()
        if message.pdu_type == 4 and message.number(0x0100) == 0x0001:
            sock.sendall(received.answer(message))
        elif _response(message).number(0x0900) not in _PENDING:
            return message


class Received:
    """The images that came, by number: how often, and the bytes of the data set.

    Args:
        counts: two numbers for each image.
    """

    def __init__(self, counts: memoryview) -> None:
        self._counts = counts
        self._answers: dict[int, tuple[bytearray, int, int]] = {}

    def answer(self, request: Incoming) -> bytearray:
        """Count a C-STORE-RQ, and return the response that says Success.

        Raises:
            LoadError: nobody stored this image.
        """
        uid = request.text(0x1000)
        stem, number = uid[: -len(TOKEN)], int(uid[-len(TOKEN) :] or b"0")
        if stem != LARGE_IMAGE.encode() or 2 * number >= len(self._counts):
            raise LoadError(f"an image that nobody asked for: {uid.decode(errors='replace')}")
        self._counts[2 * number] += 1
        self._counts[2 * number + 1] = request.size
        if request.context_id not in self._answers:
            self._answers[request.context_id] = _c_store_rsp(request.context_id)
        buffer, message_id, instance = self._answers[request.context_id]
        struct.pack_into("<H", buffer, message_id, request.number(0x0110))
        buffer[instance : instance + len(TOKEN)] = uid[-len(TOKEN) :]
        return buffer

    def check(self, holdings: Holdings) -> None:
        """See that each image came once, with all of its bytes.

        Raises:
            LoadError: otherwise; it says which one.
        """
        for number in range(holdings.images):
            times, size = self._counts[2 * number], self._counts[2 * number + 1]
            if times != 1 or size != holdings.size:
                raise LoadError(
                    f"image {number} came {times} times, the last with {size} bytes, and not {holdings.size}"
                )


def _c_store_rsp(context_id: int) -> tuple[bytearray, int, int]:
    """A response, and where the Message ID and the number of the instance stand in it."""
    marked = 0x5A5B
    response = CStoreRSP(
        message_id_being_responded_to=marked,
        affected_sop_class_uid=messages.CT_IMAGE_STORAGE,
        affected_sop_instance_uid=LARGE_IMAGE + _TOKEN,
        status=0,
    )
    buffer = bytearray(encode_pdu(PDataTF((PDV(context_id, 3, encode_command_set(response)),))))
    return buffer, buffer.index(struct.pack("<H", marked)), buffer.index(TOKEN)


# -- all of them


def _associate(port: int, called_ae: str, model: str) -> Association:
    contexts = [ProposedContext(model, (messages.EXPLICIT_LE,))]
    if model == STUDY_ROOT_GET:
        images = ProposedContext(
            messages.CT_IMAGE_STORAGE, (messages.EXPLICIT_LE,), scu_role=False, scp_role=True
        )
        contexts.append(images)
    request = build_request(
        called_ae=called_ae, calling_ae=CALLING_AE, contexts=contexts, maximum_length=messages.LONGEST
    )
    return Association(port, called_ae, request=encode_pdu(request))


def _identifier(keys: dict[str, str]) -> bytes:
    data_set = Dataset()
    for keyword, value in keys.items():
        setattr(data_set, keyword, value)
    return messages.encode_data_set(data_set)


def _response(message: Incoming) -> Incoming:
    if message.pdu_type != 4 or message.number(0x0900) < 0:
        raise LoadError(f"no response but a PDU of type {message.pdu_type}: {message.command.hex()}")
    return message


def _succeeded(response: Incoming) -> None:
    if response.number(0x0900):
        comment = response.text(0x0902).decode(errors="replace")
        raise LoadError(f"status {response.number(0x0900):04X}H {comment}")
