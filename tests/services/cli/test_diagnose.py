import socket
import ssl
from pathlib import Path

import pytest

from certificates import self_signed, server_context
from dimse import status
from dimse.errors import DimseError
from dimse.operation import Operation
from dul.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dul.negotiation import SupportedContext
from loops import LoopFactory, run
from peers import free_port
from scps import in_a_thread
from services import SCP, Verification
from services.cli.common import PeerAddress
from services.cli.diagnose import diagnose
from services.client_tls import client_context
from services.sop_classes import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

LOCALHOST = "localhost"


class OnlyImplicit(Verification):
    sop_classes = {VERIFICATION: SupportedContext(frozenset({IMPLICIT_VR_LITTLE_ENDIAN}))}  # noqa: RUF012


def diagnosed(
    scp: SCP | None,
    loop_factory: LoopFactory,
    capsys: pytest.CaptureFixture[str],
    *,
    host: str = LOCALHOST,
    server_tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    timeout: float = 5.0,
) -> tuple[bool, list[str]]:
    def ask(port: int) -> bool:
        peer = PeerAddress(host, port, client_tls is not None)
        return run(diagnose(peer, "SCU", "SCP", client_tls, timeout), loop_factory)

    if scp is None:
        works = ask(free_port())
    else:
        with in_a_thread(scp, server_tls) as port:
            works = ask(port)
    return works, capsys.readouterr().out.splitlines()


def test_what_the_peer_says_of_itself_is_told(
    loop_factory: LoopFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    works, lines = diagnosed(SCP("SCP", [OnlyImplicit()]), loop_factory, capsys)
    assert works
    assert lines[0].startswith("name: localhost is ")
    assert lines[1].startswith("connection: 127.0.0.1 takes connections on port ")
    assert lines[2].startswith("association, SCU calls SCP: accepted (")
    assert lines[3:8] == [
        f"    implementation {IMPLEMENTATION_CLASS_UID}, {IMPLEMENTATION_VERSION_NAME}",
        "    takes P-DATA-TF PDUs of up to 131072 bytes",
        "    Verification in Explicit VR Little Endian: transfer syntax not supported",
        "    Verification in Implicit VR Little Endian: accepted",
        "    Verification in Explicit VR Big Endian: transfer syntax not supported",
    ]
    assert lines[8].startswith("C-ECHO: 5 of 5 answered; round trip: min ")
    assert lines[9].startswith("release: confirmed (")
    assert len(lines) == 10


def test_a_name_that_does_not_exist(loop_factory: LoopFactory, capsys: pytest.CaptureFixture[str]) -> None:
    works, lines = diagnosed(None, loop_factory, capsys, host="no-such-host.invalid")
    assert not works
    assert lines[0].startswith("name: FAILED: ")
    assert lines[1] == "    hint: no such host name: is it spelled right, and does the name service know it?"


def test_a_port_where_nothing_listens(loop_factory: LoopFactory, capsys: pytest.CaptureFixture[str]) -> None:
    works, lines = diagnosed(None, loop_factory, capsys)
    assert not works
    assert lines[1].startswith("connection: FAILED: ")
    assert lines[2] == "    hint: nothing listens there: is the server running, and is this its port?"


def test_a_peer_that_accepts_no_verification(
    loop_factory: LoopFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    works, lines = diagnosed(SCP("SCP", []), loop_factory, capsys)
    assert not works
    assert "    Verification in Implicit VR Little Endian: abstract syntax not supported" in lines
    assert lines[-1].startswith("C-ECHO: FAILED: ")
    assert "accepted no context for 1.2.840.10008.1.1" in lines[-1]


def test_a_peer_that_refuses_the_echo(loop_factory: LoopFactory, capsys: pytest.CaptureFixture[str]) -> None:
    def authorize(operation: Operation) -> None:
        raise DimseError(status.NOT_AUTHORIZED, "not you")

    works, lines = diagnosed(SCP("SCP", [Verification()], authorize=authorize), loop_factory, capsys)
    assert not works
    assert lines[-1] == "C-ECHO: FAILED: Failure: refused: not authorized (0124H): not you"


def test_a_peer_that_never_answers(loop_factory: LoopFactory, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        peer = PeerAddress(LOCALHOST, sock.getsockname()[1])
        assert not run(diagnose(peer, "SCU", "SCP", None, 0.2), loop_factory)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith(
        "association, SCU calls SCP: FAILED: no answer to the A-ASSOCIATE-RQ within 0.2 s"
    )


def test_the_handshake_of_tls(
    loop_factory: LoopFactory, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    server = server_context(certificate, key)
    works, lines = diagnosed(
        SCP("SCP", [Verification()]),
        loop_factory,
        capsys,
        server_tls=server,
        client_tls=client_context(ca=certificate),
    )
    assert works
    assert lines[2].startswith("TLS: TLSv1.3 with TLS_")
    assert "; certificate valid until " in lines[2]


def test_a_certificate_that_is_not_checked_is_said_to_be(
    loop_factory: LoopFactory, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    works, lines = diagnosed(
        SCP("SCP", [Verification()]),
        loop_factory,
        capsys,
        server_tls=server_context(*self_signed(tmp_path)),
        client_tls=client_context(insecure=True),
    )
    assert works
    assert "; the certificate was not checked" in lines[2]


def test_a_certificate_that_is_not_trusted(
    loop_factory: LoopFactory, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    works, lines = diagnosed(
        SCP("SCP", [Verification()]),
        loop_factory,
        capsys,
        server_tls=server_context(*self_signed(tmp_path)),
        client_tls=client_context(),
    )
    assert not works
    assert lines[-2].startswith("TLS: FAILED: [SSL: CERTIFICATE_VERIFY_FAILED]")
    assert lines[-1] == (
        "    hint: the certificate is not trusted: name the authority that issued it with --tls-ca"
    )
