import asyncio

import pytest

from certificates import self_signed, server_context
from dimse import status
from dimse.errors import DimseError
from dimse.messages import CEchoRQ, Response
from dimse.operation import Operation
from dul.errors import AssociationRejected, ConnectionLost
from dul.negotiation import ProposedContext
from loops import LoopFactory, run
from peers import echoscu, gdcmscu, pynetdicom_scp
from services import SCP, Verification, associate, echo, verification_context
from services.client_tls import client_context
from services.sop_classes import UNCOMPRESSED, VERIFICATION
from services.verification import echo_once

HOST = "127.0.0.1"
NAMES = {"called_ae": "SCP", "calling_ae": "SCU"}
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


class Answering(Verification):
    """Answers a C-ECHO with another status, or not at all."""

    def __init__(self, code: int | None, comment: str | None = None) -> None:
        self._code = code
        self._comment = comment

    async def perform(self, operation: Operation) -> Response:
        if self._code is None:
            await asyncio.sleep(60)
        return operation.response(self._code or 0, error_comment=self._comment)


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_an_echo_in_every_uncompressed_syntax(loop_factory: LoopFactory, syntax: str) -> None:
    async def test() -> None:
        async with (
            SCP("SCP", [Verification()]).listen(port=0) as port,
            associate(
                HOST, port, contexts=[ProposedContext(VERIFICATION, (syntax,))], **NAMES
            ) as association,
        ):
            assert association.context_for(VERIFICATION).transfer_syntax == syntax
            for _ in range(3):
                assert 0 < await echo(association) < 20

    run(test(), loop_factory)


def test_another_status_than_success_is_an_error(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        scp = SCP("SCP", [Answering(status.NOT_AUTHORIZED, "not you")])
        async with (
            scp.listen(port=0) as port,
            associate(HOST, port, contexts=[verification_context()], **NAMES) as association,
        ):
            with pytest.raises(DimseError, match=r"not authorized.*: not you") as caught:
                await echo(association)
            assert caught.value.status == status.NOT_AUTHORIZED

    run(test(), loop_factory)


def test_no_answer_is_a_timeout_and_the_association_stays(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with SCP("SCP", [Answering(None)]).listen(port=0) as port:
            with pytest.raises(TimeoutError):
                async with associate(HOST, port, contexts=[verification_context()], **NAMES) as association:
                    with pytest.raises(TimeoutError):
                        await echo(association, timeout=0.1)
                    assert association.is_established
                    raise TimeoutError

    run(test(), loop_factory)


def test_without_an_accepted_context_nothing_is_sent(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with (
            SCP("SCP", [Verification()]).listen(port=0) as port,
            associate(
                HOST, port, contexts=[ProposedContext(CT_IMAGE_STORAGE, UNCOMPRESSED)], **NAMES
            ) as association,
        ):
            with pytest.raises(DimseError, match=r"accepted no context for 1\.2\.840\.10008\.1\.1"):
                await echo(association)

    run(test(), loop_factory)


def test_a_data_set_that_does_not_belong_there_is_passed_over(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with (
            SCP("SCP", [Verification()]).listen(port=0) as port,
            associate(HOST, port, contexts=[verification_context()], **NAMES) as association,
        ):
            response, _ = await association.invoke(
                lambda message_id: CEchoRQ(
                    message_id=message_id, affected_sop_class_uid=VERIFICATION, command_data_set_type=0
                ),
                association.context_for(VERIFICATION),
                bytes(200_000),
            )
            assert response.status == status.SUCCESS
            await echo(association)

    run(test(), loop_factory)


def test_one_echo_with_everything_around_it(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with SCP("SCP", [Verification()]).listen(port=0) as port:
            assert await echo_once(HOST, port, "SCU", "SCP") > 0
            with pytest.raises(AssociationRejected):
                await echo_once(HOST, port, "SCU", "OTHER")
        with pytest.raises(ConnectionLost):
            await echo_once(HOST, port, "SCU", "SCP")

    run(test(), loop_factory)


def test_one_echo_over_tls(loop_factory: LoopFactory, tmp_path_factory: pytest.TempPathFactory) -> None:
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))

    async def test() -> None:
        tls = server_context(certificate, key)
        async with SCP("SCP", [Verification()]).listen("localhost", 0, tls=tls) as port:
            assert await echo_once("localhost", port, "SCU", "SCP", tls=client_context(ca=certificate)) > 0

    run(test(), loop_factory)


def test_pynetdicom_answers(loop_factory: LoopFactory) -> None:
    with pynetdicom_scp() as peer:
        assert run(echo_once(HOST, peer.port, "SCU", peer.ae_title), loop_factory) > 0


@pytest.mark.peer("echoscu", "gdcmscu")
@pytest.mark.parametrize("client", [echoscu, gdcmscu])
def test_other_clients_are_answered(loop_factory: LoopFactory, client: object) -> None:
    async def test() -> None:
        async with SCP("DICOM_SERVER", [Verification()]).listen(port=0) as port:
            outcome = await asyncio.to_thread(client, port)  # type: ignore[arg-type]
            assert outcome.ok, outcome

    run(test(), loop_factory)
