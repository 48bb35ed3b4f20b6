"""How associations end: released by either side or both, aborted, and with what in progress."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest

from associations import (
    ECHO,
    FIND,
    GET,
    STORE,
    accepting,
    requesting,
)
from dimse import status
from dimse.enums import CommandField
from dimse.messages import CEchoRQ, CFindRQ, CGetRQ, CStoreRQ, Request
from dimse.operation import Operation
from dimse.service import Answer
from dimse_services import (
    CT_IMAGE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    VERIFICATION,
    Find,
    Performs,
    Store,
    pending,
)
from dul.enums import State
from dul.errors import (
    AssociationAborted,
    AssociationEnded,
    AssociationReleased,
    LocalProtocolError,
)
from dul.timers import Timers
from memory_provider import settle
from raw_bytes import (
    RELEASE_RP,
    RELEASE_RQ,
    RawPDU,
    abort,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    message,
    role,
)
from services.verification import Verification

Run = Callable[[Coroutine[Any, Any, None]], None]

ABORTED_BY_USER = (7, b"\0\0\0\0")


def echo_rq(message_id: int) -> Request:
    return CEchoRQ(message_id=message_id, affected_sop_class_uid=VERIFICATION)


def store_rq(message_id: int) -> Request:
    return CStoreRQ(
        message_id=message_id, affected_sop_class_uid=CT_IMAGE, affected_sop_instance_uid="2.25.1"
    )


def find_rq(message_id: int) -> Request:
    return CFindRQ(message_id=message_id, affected_sop_class_uid=STUDY_ROOT_FIND)


def get_rq(message_id: int) -> Request:
    return CGetRQ(message_id=message_id, affected_sop_class_uid=STUDY_ROOT_GET)


def kinds(pdus: list[RawPDU]) -> list[int]:
    return [each.kind for each in pdus]


# -- release


def test_the_requestor_releases(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            releasing = asyncio.create_task(peer.association.release())
            assert kinds(await peer.pdus()) == [5]
            await peer.send(RELEASE_RP)
            await releasing
            assert isinstance(peer.association.ended, AssociationReleased)
            assert not peer.association.is_established
            await peer.association.release()
            assert await peer.pdus() == []

    run(scenario())


def test_an_acceptor_may_not_release(run: Run) -> None:
    async def scenario() -> None:
        async with accepting(Verification()) as peer:
            with pytest.raises(LocalProtocolError, match="only the requestor"):
                await peer.association.release()
            assert peer.association.is_established

    run(scenario())


@pytest.mark.parametrize("answer", [b"", abort(0, 0)], ids=["silence", "abort"])
def test_a_release_that_is_not_answered(run: Run, answer: bytes) -> None:
    async def scenario() -> None:
        async with requesting(timers=Timers(release=0.02)) as peer:
            releasing = asyncio.create_task(peer.association.release())
            assert kinds(await peer.pdus()) == [5]
            await peer.send(answer)
            await asyncio.sleep(0.04)
            assert kinds(await peer.pdus()) == ([] if answer else [7])
            peer.provider.lose()
            with pytest.raises(AssociationAborted):
                await releasing

    run(scenario())


def test_a_release_waits_until_the_peers_operations_are_answered(run: Run) -> None:
    """In Sta7 no response could be sent any more."""

    async def scenario() -> None:
        kept = Store()
        kept.gate.clear()
        async with requesting(kept, storage_scp=True, sub_items=(role(CT_IMAGE.encode(), 1, 1),)) as peer:
            await peer.send(message(STORE, c_store_rq(1), b"data"))
            releasing = asyncio.create_task(peer.association.release())
            assert await peer.pdus() == []
            kept.gate.set()
            assert kinds(await peer.pdus()) == [4, 5]
            await peer.send(RELEASE_RP)
            await releasing

    run(scenario())


def test_a_request_that_crosses_our_release_is_performed_but_cannot_be_answered(run: Run) -> None:
    async def scenario() -> None:
        kept = Store()
        async with requesting(kept, storage_scp=True, sub_items=(role(CT_IMAGE.encode(), 1, 1),)) as peer:
            releasing = asyncio.create_task(peer.association.release())
            assert kinds(await peer.pdus()) == [5]
            await peer.send(message(STORE, c_store_rq(1), b"data"))  # AR-6
            assert kept.performed == [1]
            assert await peer.pdus() == []
            assert peer.association.ended is None
            await peer.send(RELEASE_RP)
            await releasing

    run(scenario())


def test_a_release_by_the_acceptor_is_answered_too(run: Run) -> None:
    async def scenario() -> None:
        kept = Store()
        kept.gate.clear()
        async with requesting(kept, storage_scp=True, sub_items=(role(CT_IMAGE.encode(), 1, 1),)) as peer:
            await peer.send(message(STORE, c_store_rq(1), b"data"), RELEASE_RQ)
            assert await peer.pdus() == []
            releasing = asyncio.create_task(peer.association.release())
            await settle()
            kept.gate.set()
            assert kinds(await peer.pdus()) == [4, 6]
            peer.provider.lose()
            await releasing
            assert isinstance(peer.association.ended, AssociationReleased)

    run(scenario())


def test_a_sub_operation_cannot_be_answered_after_the_peers_release(run: Run) -> None:
    """The C-GET learns at once that its C-STORE stays unanswered, and the release is not held up."""

    async def scenario() -> None:
        raised: list[Exception] = []

        async def perform(operation: Operation) -> AsyncGenerator[Answer, None]:
            association = operation.association
            for _ in range(2):
                try:
                    await association.invoke(store_rq, association.context_for(CT_IMAGE), b"instance")
                except AssociationEnded as error:
                    raised.append(error)
            yield operation.response(status.SUBOPERATIONS_COMPLETE_WITH_FAILURES), None

        services = (Performs(CommandField.C_GET_RQ, STUDY_ROOT_GET, perform), Store())
        async with accepting(*services, sub_items=(role(CT_IMAGE.encode(), 1, 1),)) as peer:
            get_command = c_find_rq(77, STUDY_ROOT_GET.encode()).replace(b"\x20\0", b"\x10\0", 1)
            await peer.send(message(GET, get_command, b"identifier"))
            assert len(await peer.messages()) == 1
            await peer.send(RELEASE_RQ)
            assert kinds(await peer.pdus()) == [4, 6]
            assert [type(error) for error in raised] == [AssociationReleased] * 2

    run(scenario())


def test_nothing_may_come_after_the_peers_release(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.gate.clear()
        async with accepting(service) as peer:
            await peer.send(message(STORE, c_store_rq(1), b"data"), RELEASE_RQ, message(ECHO, c_echo_rq(2)))
            assert await peer.pdus() == [(7, bytes([0, 0, 2, 2]))]
            assert isinstance(peer.association.ended, AssociationAborted)
            assert service.running == 0

    run(scenario())


def test_a_release_collision_as_requestor(run: Run) -> None:
    """Sta7 -AR-8-> Sta9 -AR-9-> Sta11 -AR-3-> Sta1: we answer first."""

    async def scenario() -> None:
        async with requesting() as peer:
            releasing = asyncio.create_task(peer.association.release())
            assert kinds(await peer.pdus()) == [5]
            await peer.send(RELEASE_RQ)
            assert kinds(await peer.pdus()) == [6]
            assert peer.provider.state is State.Sta11
            assert peer.association.ended is None
            await peer.send(RELEASE_RP)
            await releasing
            assert isinstance(peer.association.ended, AssociationReleased)
            assert peer.provider.is_closed

    run(scenario())


def test_a_release_collision_as_acceptor(run: Run) -> None:
    """Sta7 -AR-8-> Sta10 -AR-10-> Sta12 -AR-4-> Sta13; only a tester's acceptor asks for release at all."""

    async def scenario() -> None:
        async with accepting(Verification()) as peer:
            peer.provider.release_request()
            assert kinds(await peer.pdus()) == [5]
            await peer.send(RELEASE_RQ)
            assert peer.provider.state is State.Sta10
            assert await peer.pdus() == []
            assert peer.association.ended is None
            await peer.send(RELEASE_RP)
            assert kinds(await peer.pdus()) == [6]
            assert peer.provider.state is State.Sta13
            assert isinstance(peer.association.ended, AssociationReleased)

    run(scenario())


def test_a_release_collision_with_an_operation_in_progress(run: Run) -> None:
    """Nothing can be sent in Sta9 (Evt9), so nothing is waited for and nothing goes wrong."""

    async def scenario() -> None:
        kept = Store()
        kept.gate.clear()
        async with requesting(kept, storage_scp=True, sub_items=(role(CT_IMAGE.encode(), 1, 1),)) as peer:
            releasing = asyncio.create_task(peer.association.release())
            assert kinds(await peer.pdus()) == [5]
            await peer.send(message(STORE, c_store_rq(1), b"data"), RELEASE_RQ)
            assert kinds(await peer.pdus()) == [6]
            kept.gate.set()
            assert await peer.pdus() == []
            await peer.send(RELEASE_RP)
            await releasing
            assert isinstance(peer.association.ended, AssociationReleased)

    run(scenario())


# -- abort


def test_an_abort_ends_everything_at_once(run: Run) -> None:
    async def scenario() -> None:
        service = Find(matches=100)
        service.gate.clear()
        async with accepting(service) as peer:
            await peer.send(message(FIND, c_find_rq(1), b"identifier"))
            peer.association.abort("enough")
            peer.association.abort("again")
            assert await peer.pdus() == [ABORTED_BY_USER]
            assert str(peer.association.ended) == "enough"
            assert service.ended == ["CancelledError"]
            assert not peer.association.can_send

    run(scenario())


def test_a_time_out_is_an_abort(run: Run) -> None:
    async def scenario() -> None:
        async with accepting() as peer:
            peer.association.timed_out("nothing happened")
            assert await peer.pdus() == [ABORTED_BY_USER]
            assert str(peer.association.ended) == "nothing happened"

    run(scenario())


def test_closed_is_when_the_operations_have_ended_too(run: Run) -> None:
    async def scenario() -> None:
        cleaning = asyncio.Event()

        async def perform(operation: Operation) -> AsyncGenerator[Answer, None]:
            try:
                yield pending(operation), b"match"
                await asyncio.sleep(60)
            finally:
                await cleaning.wait()

        async with accepting(Performs(CommandField.C_FIND_RQ, STUDY_ROOT_FIND, perform)) as peer:
            await peer.send(message(FIND, c_find_rq(1), b"identifier"))
            closing = asyncio.create_task(peer.association.wait_closed())
            peer.provider.lose()
            await settle()
            assert not closing.done()
            cleaning.set()
            await closing

    run(scenario())


def test_what_is_sent_after_the_end_says_how_it_ended(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            context = peer.association.context_for(VERIFICATION)
            await peer.send(abort(0, 0))
            with pytest.raises(AssociationAborted):
                await peer.association.send(context, echo_rq(1))
            with pytest.raises(AssociationAborted):
                await peer.association.invoke(echo_rq, context)
            with pytest.raises(AssociationAborted):
                async for _ in peer.association.invoke_many(find_rq, context, b"identifier"):
                    pass

    run(scenario())
