"""Associations as DIMSE sees them: established, used in both directions, released, aborted."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from associations import (
    ECHO,
    FIND,
    GET,
    STORE,
    accept_bytes,
    accepting,
    joined,
    open_requestor,
    propose,
    requesting,
)
from dimse import status
from dimse.association import Association
from dimse.errors import DimseError
from dimse.messages import CEchoRQ, CFindRQ, CGetRQ, CStoreRQ, Request
from dimse_services import (
    CT_IMAGE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    VERIFICATION,
    Find,
    Store,
)
from dul.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionLost,
)
from dul.timers import Timers
from memory_provider import settle
from raw_bytes import (
    RELEASE_RQ,
    RawPDU,
    abort,
    c_echo_rq,
    c_find_rq,
    message,
    pdu,
    role,
)
from services.verification import Verification, echo

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


# -- establishing, as requestor


def test_accepted(run: Run) -> None:
    async def scenario() -> None:
        peer = open_requestor(propose())
        waiting = asyncio.create_task(peer.association.wait_established())
        await settle()
        assert not waiting.done()
        assert not peer.association.is_established
        await peer.send(accept_bytes(0, 3, 0, 0))
        await waiting
        assert peer.association.is_established
        assert sorted(peer.association.negotiated.contexts) == [ECHO, FIND, GET]
        peer.provider.lose()

    run(scenario())


@pytest.mark.parametrize(
    ("answer", "error", "sent"),
    [
        (pdu(3, bytes([0, 2, 3, 2])), AssociationRejected, []),
        (abort(2, 1), AssociationAborted, []),
        (b"", ConnectionLost, []),
        (RELEASE_RQ, AssociationAborted, [(7, bytes([0, 0, 2, 2]))]),
        (b"\x09", AssociationAborted, [(7, bytes([0, 0, 2, 1]))]),
        (accept_bytes(0, 0, 0, 0, 0), AssociationAborted, [(7, bytes([0, 0, 2, 6]))]),
        (accept_bytes(peer_maximum=7), AssociationAborted, [(7, bytes([0, 0, 2, 6]))]),
    ],
    ids=["RJ", "abort", "FIN", "release", "no PDU", "a context never proposed", "no room for a fragment"],
)
def test_not_accepted(run: Run, answer: bytes, error: type[Exception], sent: list[tuple[int, bytes]]) -> None:
    async def scenario() -> None:
        peer = open_requestor(propose())
        waiting = asyncio.create_task(peer.association.wait_established())
        await peer.send(answer)
        if not answer:
            peer.provider.lose()
        with pytest.raises(error):
            await waiting
        with pytest.raises(error):
            await peer.association.wait_established()
        assert not peer.association.is_established
        assert await peer.pdus() == sent
        peer.provider.lose()

    run(scenario())


def test_no_answer_in_time(run: Run) -> None:
    async def scenario() -> None:
        peer = open_requestor(propose(), timers=Timers(association=0.01))
        with pytest.raises(AssociationAborted, match=r"within 0\.01 s"):
            await peer.association.wait_established()
        assert await peer.pdus() == [ABORTED_BY_USER]
        peer.provider.lose()

    run(scenario())


def test_cancelled_while_it_waits_for_the_answer(run: Run) -> None:
    async def scenario() -> None:
        peer = open_requestor(propose())
        waiting = asyncio.create_task(peer.association.wait_established())
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await peer.pdus() == [ABORTED_BY_USER]
        peer.provider.lose()

    run(scenario())


def test_a_context_is_found_by_syntax_and_role(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            find_context = peer.association.context_for
            assert find_context(CT_IMAGE).id == STORE
            assert find_context(CT_IMAGE, "1.2.840.10008.1.2").id == STORE
            with pytest.raises(DimseError, match=r"no context for 1\.2\.3$"):
                find_context("1.2.3")
            with pytest.raises(DimseError, match=r"in 1\.2\.840\.10008\.1\.2\.1$") as raised:
                find_context(CT_IMAGE, "1.2.840.10008.1.2.1")
            assert raised.value.status == status.SOP_CLASS_NOT_SUPPORTED
        async with accepting(Store()) as peer:  # an acceptor is no SCU where no role selection made it one
            with pytest.raises(DimseError, match="no context"):
                peer.association.context_for(CT_IMAGE)
        async with accepting(Store(), sub_items=(role(CT_IMAGE.encode(), 1, 1),)) as peer:
            assert peer.association.context_for(CT_IMAGE).id == STORE

    run(scenario())


# -- much of it


def test_a_thousand_echoes_one_after_the_other(run: Run) -> None:
    async def scenario() -> None:
        async with joined(Verification()) as (requestor, acceptor):
            for _ in range(1000):
                await echo(requestor)
            assert acceptor.provider.pdus_received == 1001
            assert not list(acceptor.operations)

    run(scenario())


def test_a_thousand_echoes_without_waiting(run: Run) -> None:
    async def scenario() -> None:
        async with accepting(Verification()) as peer:
            await peer.send(*(message(ECHO, c_echo_rq(n)) for n in range(1000)))
            for _ in range(200):
                await settle(50)
            assert await peer.answers() == [(n, 0) for n in range(1000)]

    run(scenario())


@pytest.mark.parametrize("maximum", [0, 8, 12, 128, 16384])
def test_the_peers_maximum_length_bounds_what_we_send(run: Run, maximum: int) -> None:
    async def scenario() -> None:
        identifier = bytes(range(250)) * 80
        async with accepting(Find(matches=2, match=identifier), peer_maximum=maximum) as peer:
            await peer.send(message(FIND, c_find_rq(1), b"identifier"))
            for _ in range(1000):
                await settle(20)
                if not list(peer.association.operations):
                    break
            sent = await peer.pdus()
            assert max(len(each.body) for each in sent) <= (maximum or 131072)
            peer.provider._sent += b"".join(pdu(each.kind, each.body) for each in sent)
            assert [each.data_set for each in await peer.messages()] == [identifier, identifier, None]

    run(scenario())


def test_associations_are_numbered(run: Run) -> None:
    async def scenario() -> None:
        async with joined(Verification()) as (requestor, acceptor):
            assert isinstance(requestor, Association)
            assert requestor.number != acceptor.number

    run(scenario())


# -- cancelling: before the first PDU, between two, while waiting


def test_cancelled_between_two_pdus_the_association_is_aborted(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association

            def pieces() -> Iterator[bytes]:
                yield bytes(20_000)
                peer.provider.block_writing()
                yield bytes(20_000)

            task = asyncio.create_task(
                association.invoke(store_rq, association.context_for(CT_IMAGE), pieces())
            )
            behind = asyncio.create_task(
                association.invoke(store_rq, association.context_for(CT_IMAGE), b"behind the window")
            )
            await settle()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(AssociationAborted, match="in part"):
                await behind
            assert kinds(await peer.pdus())[-1] == 7

    run(scenario())


def test_a_data_set_that_cannot_be_read_aborts_and_says_what_happened(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association

            def pieces() -> Iterator[bytes]:
                yield bytes(20_000)
                raise OSError("the disk is gone")

            with pytest.raises(OSError, match="the disk is gone"):
                await association.invoke(store_rq, association.context_for(CT_IMAGE), pieces())
            assert isinstance(association.ended, AssociationAborted)
            assert kinds(await peer.pdus())[-1] == 7

    run(scenario())


@pytest.mark.parametrize("when", ["before the first PDU", "between two PDUs"])
def test_who_is_sending_when_the_peer_aborts_learns_that(run: Run, when: str) -> None:
    async def scenario() -> None:
        async with requesting(invokes=2) as peer:
            association = peer.association

            def pieces() -> Iterator[bytes]:
                yield bytes(20_000)
                peer.provider.block_writing()
                yield bytes(20_000)

            if when == "before the first PDU":
                peer.provider.block_writing()
            context = association.context_for(CT_IMAGE)
            tasks = [
                asyncio.create_task(association.invoke(store_rq, context, data))
                for data in (pieces(), b"two")
            ]
            await settle()
            await peer.send(abort(2, 6))
            for task in tasks:
                with pytest.raises(AssociationAborted, match="the peer aborted"):
                    await task

    run(scenario())
