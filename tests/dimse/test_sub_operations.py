"""Both sides invoke on one association: C-STORE sub-operations of a C-GET, event reports (PS3.4 C.4.3, J.3.3)."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest

from associations import (
    GET,
    STORE,
    accepting,
    joined,
    propose,
    requesting,
)
from dimse import status
from dimse.enums import CommandField
from dimse.messages import CEchoRQ, CFindRQ, CGetRQ, CStoreRQ, NEventReportRQ, Request
from dimse.operation import Operation
from dimse.service import Answer
from dimse_services import (
    CT_IMAGE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    VERIFICATION,
    Performs,
    Store,
)
from dul.errors import (
    AssociationReleased,
)
from dul.negotiation import ProposedContext, build_request
from memory_provider import settle
from raw_bytes import (
    RawPDU,
    c_cancel_rq,
    c_find_rq,
    c_store_rq,
    message,
    response,
    role,
)

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


async def get(operation: Operation, instances: int, at_once: int) -> AsyncGenerator[Answer, None]:
    """A C-GET: its sub-operations on the same association, `at_once` in flight (PS3.4 C.4.3)."""
    association = operation.association
    context = association.context_for(CT_IMAGE)
    room = asyncio.Semaphore(at_once)

    async def sub_operation(number: int) -> int:
        async with room:
            reply, _ = await association.invoke(store_rq, context, b"instance %04d" % number)
            return reply.status

    tasks = [asyncio.ensure_future(sub_operation(n)) for n in range(instances)]
    try:
        for done in asyncio.as_completed(tasks):
            assert await done == status.SUCCESS
            yield operation.response(status.PENDING), None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    yield operation.response(number_of_completed_suboperations=instances), None


def getting(instances: int, at_once: int = 64) -> Performs:
    return Performs(
        CommandField.C_GET_RQ, STUDY_ROOT_GET, lambda operation: get(operation, instances, at_once)
    )


@pytest.mark.parametrize(("performs", "at_once"), [(1, 1), (4, 4), (0, 8)])
def test_sub_operations_run_on_the_same_association(run: Run, performs: int, at_once: int) -> None:
    """The requestor performs C-STORE while its own C-GET is answered, as many at once as it allowed."""

    async def scenario() -> None:
        kept = Store()
        kept.gate.clear()
        request = propose(window=(1, performs), storage_scp=True)
        services = (getting(20), Store())
        async with joined(*services, requestor_services=[kept], request=request) as (requestor, acceptor):
            assert requestor.context_for(CT_IMAGE).as_scp
            replies: list[int] = []

            async def ask() -> None:
                context = requestor.context_for(STUDY_ROOT_GET)
                async for reply, _ in requestor.invoke_many(get_rq, context, b"identifier"):
                    replies.append(reply.status)

            asking = asyncio.create_task(ask())
            await settle(100)
            assert kept.running == at_once
            kept.gate.set()
            await asking
            assert replies == [status.PENDING] * 20 + [status.SUCCESS]
            assert kept.most_running == at_once
            assert sorted(bytes(sink.data) for sink in kept.sinks) == [
                b"instance %04d" % n for n in range(20)
            ]
            await requestor.release()
            await settle()
            assert isinstance(acceptor.ended, AssociationReleased)

    run(scenario())


def test_sub_operation_responses_in_any_order_go_with_a_cancel(run: Run) -> None:
    """Byte by byte: three C-STOREs in flight, answered backwards, while a C-CANCEL finds the C-GET."""

    async def scenario() -> None:
        finished: list[int] = []

        async def perform(operation: Operation) -> AsyncGenerator[Answer, None]:
            association = operation.association
            context = association.context_for(CT_IMAGE)
            tasks = [
                asyncio.ensure_future(association.invoke(store_rq, context, b"instance")) for _ in range(3)
            ]
            for task in asyncio.as_completed(tasks):
                reply, _ = await task
                finished.append(reply.message_id_being_responded_to)
            yield operation.response(status.CANCEL if operation.cancelled else status.SUCCESS), None

        services = (Performs(CommandField.C_GET_RQ, STUDY_ROOT_GET, perform), Store())
        roles = (role(CT_IMAGE.encode(), 1, 1),)
        async with accepting(*services, invokes=1, performs=3, sub_items=roles) as peer:
            get_command = c_find_rq(77, STUDY_ROOT_GET.encode()).replace(b"\x20\0", b"\x10\0", 1)
            await peer.send(message(GET, get_command, b"identifier"))
            stores = await peer.messages()
            assert [(each.field, each.data_set) for each in stores] == [(1, b"instance")] * 3
            ids = [each.number(0x0110) for each in stores]
            cancel = message(GET, c_cancel_rq(77))
            answers = [message(STORE, response(0x8001, each)) for each in reversed(ids)]
            await peer.send(answers[0], cancel, *answers[1:])
            assert finished == ids[::-1]
            assert await peer.answers() == [(77, 0xFE00)]

    run(scenario())


def test_the_same_message_id_in_both_directions_is_no_clash(run: Run) -> None:
    async def scenario() -> None:
        kept = Store()
        async with requesting(kept, storage_scp=True, sub_items=(role(CT_IMAGE.encode(), 1, 1),)) as peer:
            association = peer.association
            mine = asyncio.create_task(
                association.invoke(store_rq, association.context_for(CT_IMAGE), b"mine")
            )
            (sent,) = await peer.messages()
            assert sent.number(0x0110) == 1
            await peer.send(message(STORE, c_store_rq(1), b"theirs"))
            assert await peer.answers() == [(1, 0)]
            assert not mine.done()
            await peer.send(message(STORE, response(0x8001, 1)))
            assert (await mine)[0].status == 0
            assert kept.sinks[0].data == b"theirs"

    run(scenario())


def test_an_event_report_comes_to_the_requestor(run: Run) -> None:
    """N-EVENT-REPORT: the acceptor invokes, on the association it was asked on (PS3.4 J.3.3)."""
    commitment = "1.2.840.10008.1.20.1"

    async def scenario() -> None:
        received: list[bytes] = []

        async def take(operation: Operation) -> object:
            received.append(operation.data_set)
            return operation.response()

        service = Performs(CommandField.N_EVENT_REPORT_RQ, commitment, take, scu_role=True)
        request = build_request(
            called_ae="SERVER",
            calling_ae="TESTER",
            contexts=[ProposedContext(commitment, ("1.2.840.10008.1.2",), True, True)],
        )
        async with joined(service, requestor_services=[service], request=request) as (_, acceptor):
            reply, _ = await acceptor.invoke(
                lambda message_id: NEventReportRQ(
                    message_id=message_id,
                    affected_sop_class_uid=commitment,
                    affected_sop_instance_uid="1.2.840.10008.1.20.1.1",
                    event_type_id=1,
                    command_data_set_type=0,
                ),
                acceptor.context_for(commitment),
                b"event information.",
            )
            assert reply.status == 0
            assert received == [b"event information."]

    run(scenario())
