"""The acceptor on loopback: listening, deciding, ending."""

import asyncio
import socket
from contextlib import suppress

import pytest

from archive_samples import CT_IMAGE_STORAGE, EXPLICIT_LE, data_set
from dimse import status
from dimse.association import Association
from dimse.errors import DimseError
from dimse.operation import Operation
from dul.enums import RejectResult
from dul.errors import AssociationAborted, AssociationRejected, ConnectionLost
from dul.framing import PDULimits
from dul.negotiation import AcceptorPolicy, ProposedContext
from dul.pdus import AAssociateRJ, AAssociateRQ
from dul.provider import ProviderOptions
from dul.reasons import RejectReason
from dul.timers import Timers
from loops import LoopFactory, run
from peers import free_port
from services import (
    SCP,
    ReceivedInstance,
    Storage,
    Verification,
    associate,
    echo,
    store,
    verification_context,
)

HOST = "127.0.0.1"


def connect(port: int, called_ae: str = "SCP", calling_ae: str = "SCU", **options: object) -> object:
    settings: dict[str, object] = {"contexts": [verification_context()]}
    return associate(HOST, port, called_ae=called_ae, calling_ae=calling_ae, **(settings | options))  # type: ignore[arg-type]


async def listening(port: int) -> None:
    """Wait until somebody does."""
    while True:
        with suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return
        await asyncio.sleep(0.005)


async def keep(instance: ReceivedInstance) -> None:
    await instance.read()


def test_one_scp_performs_several_services(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        contexts = [verification_context(), ProposedContext(CT_IMAGE_STORAGE, (EXPLICIT_LE,))]
        async with (
            SCP("SCP", [Verification(), Storage(keep)]).listen(port=0) as port,
            connect(port, contexts=contexts) as association,  # type: ignore[attr-defined]
        ):
            await echo(association)
            response = await store(
                association,
                sop_class_uid=CT_IMAGE_STORAGE,
                sop_instance_uid="1.2.3",
                data_set=data_set(),
                transfer_syntax_uid=EXPLICIT_LE,
            )
            assert response.status == status.SUCCESS

    run(test(), loop_factory)


def test_without_a_title_every_name_is_answered_to(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with SCP(None, [Verification()]).listen(port=0) as port:
            for title in ("ONE", "OTHER"):
                async with connect(port, called_ae=title) as association:  # type: ignore[attr-defined]
                    await echo(association)

    run(test(), loop_factory)


def test_many_associations_at_a_time(loop_factory: LoopFactory) -> None:
    async def one(port: int) -> None:
        async with connect(port) as association:  # type: ignore[attr-defined]
            for _ in range(5):
                await echo(association)

    async def test() -> None:
        scp = SCP("SCP", [Verification()])
        async with scp.listen(port=0) as port:
            await asyncio.gather(*(one(port) for _ in range(20)))
            while scp.associations:
                await asyncio.sleep(0.005)

    run(test(), loop_factory)


class Judging(SCP):
    """Refuses one caller, and lets another call it by any name."""

    def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ | None:
        if request.calling_ae != "UNWANTED":
            return None
        return AAssociateRJ(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)

    def policy_for(self, request: AAssociateRQ, association: Association) -> AcceptorPolicy:
        if request.calling_ae != "FRIEND":
            return self.policy
        return AcceptorPolicy(ae_title=None, supported=self.registry.supported)


def test_subclasses_decide(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with Judging("SCP", [Verification()]).listen(port=0) as port:
            with pytest.raises(AssociationRejected) as caught:
                async with connect(port, calling_ae="UNWANTED"):  # type: ignore[attr-defined]
                    pass
            assert caught.value.reason == RejectReason.LOCAL_LIMIT_EXCEEDED
            async with connect(port, calling_ae="FRIEND", called_ae="X") as association:  # type: ignore[attr-defined]
                await echo(association)
            with pytest.raises(AssociationRejected):
                async with connect(port, called_ae="X"):  # type: ignore[attr-defined]
                    pass

    run(test(), loop_factory)


def test_an_operation_may_be_forbidden(loop_factory: LoopFactory) -> None:
    def authorize(operation: Operation) -> None:
        raise DimseError(status.NOT_AUTHORIZED, "nobody may")

    async def test() -> None:
        async with (
            SCP("SCP", [Verification()], authorize=authorize).listen(port=0) as port,
            connect(port) as association,  # type: ignore[attr-defined]
        ):
            with pytest.raises(DimseError, match="nobody may") as caught:
                await echo(association)
            assert caught.value.status == status.NOT_AUTHORIZED

    run(test(), loop_factory)


def test_limits_and_window_are_announced(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        options = ProviderOptions(limits=PDULimits(p_data_tf=20_000), timers=Timers())
        scp = SCP("SCP", [Verification()], options=options, window=(1, 3))
        async with (
            scp.listen(port=0) as port,
            connect(port, window=(5, 5)) as association,  # type: ignore[attr-defined]
        ):
            assert association.negotiated.maximum_length == 20_000
            assert association.negotiated.invoked == 3
            await asyncio.gather(*(echo(association) for _ in range(10)))

    run(test(), loop_factory)


def test_the_end_of_the_block_aborts_what_is_open(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with SCP("SCP", [Verification()]).listen(port=0) as port:
            opening = connect(port)
            association = await opening.__aenter__()  # type: ignore[attr-defined]
        await association.wait_closed()
        assert isinstance(association.ended, AssociationAborted)
        assert await opening.__aexit__(None, None, None) is False  # type: ignore[attr-defined]
        with pytest.raises(ConnectionLost):
            async with connect(port):  # type: ignore[attr-defined]
                pass

    run(test(), loop_factory)


def test_finish_waits_for_what_is_open_and_not_for_who_asked_for_nothing(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        scp = SCP("SCP", [Verification()])
        async with scp.listen(port=0) as port:
            _, idle = await asyncio.open_connection(HOST, port)
            async with connect(port) as association:  # type: ignore[attr-defined]
                finishing = asyncio.create_task(scp.finish(10))
                await asyncio.sleep(0.05)
                assert not finishing.done()
                assert len(scp.associations) == 1
                await echo(association)
            await finishing
            idle.close()

    run(test(), loop_factory)


def test_a_socket_bound_already_is_listened_on(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        sock = socket.create_server((HOST, 0))
        expected = sock.getsockname()[1]
        async with SCP("SCP", [Verification()]).listen(sock=sock) as port:
            assert port == expected
            async with connect(port) as association:  # type: ignore[attr-defined]
                await echo(association)

    run(test(), loop_factory)


def test_a_port_that_is_taken_is_an_os_error(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        with socket.create_server((HOST, 0)) as sock, pytest.raises(OSError, match="address already in use"):
            async with SCP("SCP", []).listen(port=sock.getsockname()[1]):
                pass

    run(test(), loop_factory)


def test_serving_ends_when_it_is_cancelled(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        port = free_port()
        serving = asyncio.create_task(SCP("SCP", [Verification()]).serve(HOST, port))
        await listening(port)
        async with connect(port) as association:  # type: ignore[attr-defined]
            await echo(association)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    run(test(), loop_factory)
