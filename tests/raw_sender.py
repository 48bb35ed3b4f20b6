"""An SCU for C-STORE without any of the code under test: it sends the bytes it is given, and keeps the answers."""

import socket
from collections.abc import Sequence
from contextlib import closing

import raw_bytes
from corpus import Sample
from peers import HOST

DEADLINE = 60.0
"""Seconds to wait for each answer: generous, the machine may be busy."""
FRAGMENT = 32768


def send_raw(
    port: int, samples: Sequence[Sample], *, called: str = "SERVER", fragment: int = FRAGMENT
) -> dict[str, int]:
    """Send samples one after the other on one association, and release it.

    Args:
        samples: of at most 128 pairs of SOP class and transfer syntax: each gets a context of its own.
        fragment: bytes of a data set in each P-DATA-TF, even.

    Returns:
        the status of each by name; a sample whose context was not accepted is not sent, and left out.
    """
    pairs = list(dict.fromkeys((sample.sop_class, sample.transfer_syntax) for sample in samples))
    ids = {pair: 2 * number + 1 for number, pair in enumerate(pairs)}
    with closing(socket.create_connection((HOST, port), timeout=DEADLINE)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_request(ids, called))
        accepted = _accepted(_receive(connection))
        statuses = {}
        for message_id, sample in enumerate(samples, 1):
            context_id = ids[sample.sop_class, sample.transfer_syntax]
            if context_id in accepted:
                statuses[sample.name] = _store(connection, context_id, message_id, sample, fragment)
        connection.sendall(raw_bytes.RELEASE_RQ)
        assert _receive(connection) == raw_bytes.pdus_of(raw_bytes.RELEASE_RP)[0]
    return statuses


def _request(ids: dict[tuple[str, str], int], called: str) -> bytes:
    contexts = [
        raw_bytes.context(context_id, sop_class.encode(), syntax.encode())
        for (sop_class, syntax), context_id in ids.items()
    ]
    user = raw_bytes.user_information()
    return raw_bytes.a_associate_rq(raw_bytes.application_context(), *contexts, user, called=called.encode())


def _accepted(answer: raw_bytes.RawPDU) -> set[int]:
    """The contexts with result 0 in an A-ASSOCIATE-AC (PS3.8 9.3.3.2)."""
    assert answer.kind == 2, answer
    results = (value for kind, value in raw_bytes.items_of(answer.body[68:]) if kind == 0x21)
    return {value[0] for value in results if value[2] == 0}


def _store(connection: socket.socket, context_id: int, message_id: int, sample: Sample, fragment: int) -> int:
    command = raw_bytes.c_store_rq(message_id, sample.sop_class.encode(), sample.sop_instance.encode())
    connection.sendall(raw_bytes.message(context_id, command, *_fragments(sample.padded, fragment)))
    (response,) = raw_bytes.messages_of([_receive(connection)])
    assert (response.context_id, response.field, response.answered) == (context_id, 0x8001, message_id)
    assert response.uid(0x1000) == sample.sop_instance.encode()
    return response.status


def _fragments(data_set: bytes, length: int) -> list[bytes]:
    return [data_set[start : start + length] for start in range(0, len(data_set), length)]


def _receive(connection: socket.socket) -> raw_bytes.RawPDU:
    head = _exactly(connection, 6)
    body = _exactly(connection, int.from_bytes(head[2:], "big"))
    return raw_bytes.pdus_of(head + body)[0]


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        assert more, f"the server closed the connection after {received.hex()}"
        received += more
    return received
