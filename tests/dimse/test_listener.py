"""What a listener is told of an association, and in which order."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from associations import ECHO, FIND, accepting, acceptor_of, open_requestor, propose
from dimse.enums import CommandField
from dimse.listener import AssociationListener
from dimse_services import VERIFICATION, Find, Performs, RecordingListener
from dul.enums import Role
from dul.errors import AssociationAborted, AssociationRejected, AssociationReleased, ConnectionLost
from memory_provider import MemoryProvider, settle
from raw_bytes import RELEASE_RQ, a_associate_rq, abort, c_echo_rq, c_find_rq, message, pdu
from services.verification import Verification

Run = Callable[[Coroutine[Any, Any, None]], None]

WHOLE_LIFE = ["connected", "established", "ended", "closed"]


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (RELEASE_RQ, AssociationReleased),
        (abort(0, 0), AssociationAborted),
        (abort(2, 6), AssociationAborted),
        (b"\x09", AssociationAborted),
        (b"", ConnectionLost),
    ],
    ids=["released", "aborted by the user", "aborted by the provider", "aborted by us", "lost"],
)
def test_the_life_of_an_association(run: Run, end: bytes, cause: type[Exception]) -> None:
    async def scenario() -> None:
        listener = RecordingListener()
        async with accepting(Verification(), listener=listener) as peer:
            await peer.send(message(ECHO, c_echo_rq(1)), end)
        assert listener.events == WHOLE_LIFE
        assert [type(each) for each in listener.causes] == [cause]
        assert peer.association.ended is listener.causes[0]

    run(scenario())


def test_a_connection_on_which_nothing_is_asked(run: Run) -> None:
    async def scenario() -> None:
        listener = RecordingListener()
        provider = MemoryProvider(Role.ACCEPTOR, acceptor_of([], listener=listener))
        provider.connect()
        provider.lose()
        await settle()
        assert listener.events == ["connected", "ended", "closed"]

    run(scenario())


def test_a_rejected_association_was_never_established(run: Run) -> None:
    async def scenario() -> None:
        listener = RecordingListener()
        provider = MemoryProvider(Role.ACCEPTOR, acceptor_of([], listener=listener))
        provider.connect()
        provider.feed(a_associate_rq(called=b"OTHER"))
        provider.lose()
        await settle()
        assert listener.events == ["connected", "ended", "closed"]
        assert [type(each) for each in listener.causes] == [AssociationRejected]

    run(scenario())


def test_the_requestor_is_told_the_same(run: Run) -> None:
    async def scenario() -> None:
        listener = RecordingListener()
        peer = open_requestor(propose(), listener=listener)
        await peer.send(pdu(3, bytes([0, 1, 1, 7])))
        assert listener.events == ["connected", "ended", "closed"]
        assert str(listener.causes[0]) == (
            "association rejected permanently: called AE title not recognized (source 1, reason 7)"
        )

    run(scenario())


def test_the_status_of_every_operation(run: Run) -> None:
    async def scenario() -> None:
        listener = RecordingListener()
        async with accepting(Verification(), Find(matches=2), listener=listener) as peer:
            await peer.send(message(ECHO, c_echo_rq(1)), message(FIND, c_find_rq(2), b"id"))
            await peer.send(message(FIND, c_echo_rq(3)))
        assert listener.statuses == [0x0000, 0x0000, 0x0211]
        assert listener.errors == []

    run(scenario())


def test_a_defect_is_logged_with_its_traceback_where_nobody_listens(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(operation: object) -> None:
        raise KeyError("a defect")

    async def scenario() -> None:
        service = Performs(CommandField.C_ECHO_RQ, VERIFICATION, broken)
        async with accepting(service, listener=AssociationListener()) as peer:
            await peer.send(message(ECHO, c_echo_rq(1)))
            assert await peer.answers() == [(1, 0x0110)]
            number = peer.association.number
        (record,) = caplog.records
        assert record.name == "dimse"
        assert record.levelno == logging.ERROR
        assert record.getMessage() == f"association {number}: an operation failed"
        assert record.exc_info is not None
        assert record.exc_info[0] is KeyError

    run(scenario())
