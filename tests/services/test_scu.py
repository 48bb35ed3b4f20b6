"""Opening associations as their requestor, against SCPs of ours, of others, and against no SCP at all."""

import asyncio
import logging
from pathlib import Path

import pytest

from certificates import self_signed, server_context
from dimse.listener import AssociationListener
from dul.errors import (
    AssociationAborted,
    AssociationEnded,
    AssociationRejected,
    AssociationReleased,
    ConnectionLost,
)
from dul.machine import Transition
from dul.negotiation import ProposedContext
from dul.observation import Observation, PDUReceived, PDUSent
from dul.reasons import RejectReason
from dul.timers import Timers
from loops import LoopFactory, run
from peers import free_port, pynetdicom_scp
from scps import in_a_thread
from services import SCP, Verification, associate, echo, verification_context
from services.client_tls import client_context
from ul_peers import ABORT_BY_USER

HOST = "127.0.0.1"
NAMES = {"called_ae": "SCP", "calling_ae": "SCU"}


class Heard(AssociationListener):
    """What a listener was told."""

    def __init__(self) -> None:
        self.ends: list[object] = []

    def ended(self, association: object, cause: object) -> None:
        self.ends.append(cause)


def scp() -> SCP:
    return SCP("SCP", [Verification()])


def test_an_association_is_released_at_the_end_of_the_block(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        heard = Heard()
        async with scp().listen(port=0) as port:
            async with associate(
                HOST, port, contexts=[verification_context()], listener=heard, **NAMES
            ) as association:
                assert association.is_established
                assert association.negotiated.called_ae == "SCP"
            assert not association.is_established
        assert isinstance(association.ended, AssociationReleased)
        assert heard.ends == [association.ended]

    run(test(), loop_factory)


def test_a_block_that_raises_aborts(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        server, heard = scp(), Heard()
        server.ended = heard.ended  # type: ignore[method-assign]
        async with server.listen(port=0) as port:
            with pytest.raises(KeyError):
                async with associate(HOST, port, contexts=[verification_context()], **NAMES):
                    raise KeyError("what went wrong")
            while not heard.ends:
                await asyncio.sleep(0.005)
        assert [type(end) for end in heard.ends] == [AssociationAborted]

    run(test(), loop_factory)


def test_a_rejection_says_its_reason(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with scp().listen(port=0) as port:
            with pytest.raises(AssociationRejected, match="called AE title not recognized") as caught:
                async with associate(
                    HOST, port, contexts=[verification_context()], called_ae="OTHER", calling_ae="SCU"
                ):
                    pass
            assert caught.value.reason == RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED

    run(test(), loop_factory)


def test_where_nothing_listens_the_port_is_named(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        port = free_port()
        with pytest.raises(ConnectionLost, match=f"cannot connect to {HOST}:{port}"):
            async with associate(HOST, port, contexts=[verification_context()], **NAMES):
                pass

    run(test(), loop_factory)


def test_a_peer_that_does_not_answer_is_aborted(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        received = asyncio.Queue[bytes]()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(100)
            rest = await reader.read()
            await received.put(rest)
            writer.close()

        server = await asyncio.start_server(silent, HOST, 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(AssociationEnded, match=r"no answer to the A-ASSOCIATE-RQ within 0.2 s"):
                async with associate(HOST, port, contexts=[verification_context()], timeout=0.2, **NAMES):
                    pass
            assert (await received.get()).endswith(ABORT_BY_USER)

    run(test(), loop_factory)


def test_what_cannot_be_encoded_is_refused_before_anything_is_sent(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        with pytest.raises(ValueError, match="SEVENTEEN_LETTERS"):
            async with associate(
                HOST, 1, called_ae="SEVENTEEN_LETTERS", calling_ae="A", contexts=[verification_context()]
            ):
                pass

    run(test(), loop_factory)


def test_cancelled_while_it_waits_for_the_answer_it_aborts(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        requested, received = asyncio.Event(), asyncio.Queue[bytes]()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(100)
            requested.set()
            await received.put(await reader.read())
            writer.close()

        async def try_it(port: int) -> None:
            async with associate(HOST, port, contexts=[verification_context()], **NAMES):
                pass

        server = await asyncio.start_server(silent, HOST, 0)
        async with server:
            task = asyncio.create_task(try_it(server.sockets[0].getsockname()[1]))
            await requested.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await received.get()).endswith(ABORT_BY_USER)

    run(test(), loop_factory)


@pytest.mark.parametrize("turns", range(8))
def test_cancelled_in_any_turn_of_connecting_it_just_ends(turns: int, loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async def one() -> None:
            async with associate(HOST, port, contexts=[verification_context()], **NAMES):
                await asyncio.Event().wait()

        async with scp().listen(port=0) as port:
            task = asyncio.ensure_future(one())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.02)  # the listener may be about to accept

    run(test(), loop_factory)


def test_the_observer_sees_every_pdu_and_every_transition(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        seen: list[Observation] = []
        async with (
            scp().listen(port=0) as port,
            associate(
                HOST, port, contexts=[verification_context()], observe=seen.append, **NAMES
            ) as association,
        ):
            await echo(association)
        assert [o.raw[0] for o in seen if isinstance(o, PDUSent)] == [1, 4, 5]
        assert [o.raw[0] for o in seen if isinstance(o, PDUReceived)] == [2, 4, 6]
        assert {o.action_name for o in seen if isinstance(o, Transition)} >= {
            "AE-1",
            "AE-2",
            "AE-3",
            "AR-1",
            "AR-3",
        }

    run(test(), loop_factory)


def test_a_peer_that_never_closes_is_left_after_a_moment(
    loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.scu._PATIENCE", 0.1)

    async def test() -> None:
        hold = asyncio.Event()

        async def rejects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(100)
            writer.write(bytes.fromhex("03 00 00000004 00 02 03 01"))
            await hold.wait()
            writer.close()

        server = await asyncio.start_server(rejects, HOST, 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(AssociationRejected) as caught:
                async with associate(HOST, port, contexts=[verification_context()], **NAMES):
                    pass
            assert (caught.value.result, caught.value.reason) == (2, RejectReason.TEMPORARY_CONGESTION)
            hold.set()

    run(test(), loop_factory)


def test_over_tls(loop_factory: LoopFactory, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)

    async def test() -> None:
        async with scp().listen("localhost", 0, tls=server_context(certificate, key)) as port:
            tls = client_context(ca=certificate)
            async with associate(
                "localhost", port, contexts=[verification_context()], tls=tls, **NAMES
            ) as association:
                await echo(association)

    run(test(), loop_factory)


def test_a_certificate_nobody_vouches_for_is_refused(loop_factory: LoopFactory, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)

    async def test(port: int) -> None:
        with pytest.raises(ConnectionLost, match="certificate verify failed"):
            async with associate(
                "localhost", port, contexts=[verification_context()], tls=client_context(), **NAMES
            ):
                pass

    with in_a_thread(scp(), server_context(certificate, key)) as port:
        run(test(port), loop_factory)


def test_what_is_announced(loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "pynetdicom")

    async def test(port: int) -> None:
        async with associate(
            HOST,
            port,
            contexts=[verification_context(), ProposedContext("1.2.3.4", ("1.2.840.10008.1.2",))],
            maximum_length=16384,
            window=(4, 1),
            timers=Timers(release=5.0),
            called_ae="PYNETDICOM",
            calling_ae="SCU",
        ) as association:
            assert association.provider.timers.release == 5.0
            assert len(association.negotiated.contexts) == 1
            assert association.negotiated.invoked == 1  # pynetdicom performs one at a time

    with pynetdicom_scp() as peer:
        run(test(peer.port), loop_factory)
    (request,) = peer.requests
    assert request.maximum_length_received == 16384
    assert request.calling_ae_title == "SCU"
    (window,) = [
        item for item in request.user_information if hasattr(item, "maximum_number_operations_invoked")
    ]
    assert (window.maximum_number_operations_invoked, window.maximum_number_operations_performed) == (4, 1)


def test_a_peer_that_aborts_ends_the_block_with_its_reason(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        server = scp()
        async with server.listen(port=0) as port:
            with pytest.raises(AssociationAborted, match="the peer aborted"):
                async with associate(HOST, port, contexts=[verification_context()], **NAMES) as association:
                    (theirs,) = server.associations
                    theirs.abort()
                    await echo(association)

    run(test(), loop_factory)
