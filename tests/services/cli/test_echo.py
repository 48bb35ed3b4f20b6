import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from certificates import self_signed, server_context
from dimse import status
from dimse.association import Association
from dimse.messages import Response
from dimse.operation import Operation
from dul.enums import RejectResult
from dul.pdus import AAssociateRJ, AAssociateRQ
from dul.reasons import RejectReason
from peers import free_port, storescp
from scps import in_a_thread
from services import SCP, Verification
from services.cli.echo import app


class Counting(SCP):
    """Counts its associations."""

    count = 0

    def established(self, association: Association) -> None:
        self.count += 1


def scp() -> Counting:
    return Counting("MY_PACS", [Verification()])


def echo(port: int, *options: str, scheme: str = "pacs") -> Any:
    arguments = [f"{scheme}://localhost:{port}", "--aet", "TEST_SCU", "--called-ae", "MY_PACS", *options]
    return CliRunner().invoke(app, arguments)


def test_the_line_of_the_usage_contract() -> None:
    with in_a_thread(scp()) as port:
        result = echo(port)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"MY_PACS at localhost:{port} answered in ")
    assert result.stderr == ""


def test_several_on_one_association() -> None:
    server = scp()
    with in_a_thread(server) as port:
        result = echo(port, "--count", "5", "--stats")
    lines = result.stdout.splitlines()
    assert lines[0] == f"MY_PACS at localhost:{port} answered 5 of 5 C-ECHOs (100%)"
    assert lines[1].startswith("round trip: min ")
    assert server.count == 1


def test_several_on_an_association_each() -> None:
    server = scp()
    with in_a_thread(server) as port:
        result = echo(port, "-c", "3", "--new-association")
    assert result.exit_code == 0
    assert server.count == 3


def test_verbose_tells_of_each() -> None:
    with in_a_thread(scp()) as port:
        result = echo(port, "-c", "2", "-v")
    lines = result.stdout.splitlines()
    assert [line.partition(" in ")[0] for line in lines] == [
        f"MY_PACS at localhost:{port} answered C-ECHO 1",
        f"MY_PACS at localhost:{port} answered C-ECHO 2",
        f"MY_PACS at localhost:{port} answered 2 of 2 C-ECHOs (100%)",
    ]


# -- what goes wrong


def test_a_rejection_comes_with_a_hint() -> None:
    with in_a_thread(SCP("OTHER", [Verification()])) as port:
        result = echo(port, "--stats")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"error: MY_PACS at localhost:{port}: association rejected permanently: called AE title not recognized "
        "(source 1, reason 7)",
        "hint: the peer has another AE title than the one we called: say it with --called-ae (letter case counts)",
    ]


def test_where_nothing_listens() -> None:
    port = free_port()
    result = echo(port)
    assert result.exit_code == 1
    assert f"cannot connect to localhost:{port}" in result.stderr
    assert "hint: nothing listens there" in result.stderr


class Third(Verification):
    """Refuses the third."""

    def __init__(self, code: int | None) -> None:
        self.count = 0
        self._code = code

    async def perform(self, operation: Operation) -> Response:
        self.count += 1
        if self.count != 3:
            return operation.response()
        if self._code is None:
            operation.association.abort()
        return operation.response(self._code or 0)


def test_another_status_than_success_is_a_failure() -> None:
    with in_a_thread(SCP("MY_PACS", [Third(status.NOT_AUTHORIZED)])) as port:
        result = echo(port, "-c", "5")
    assert result.exit_code == 1
    assert "not authorized (0124H)" in result.stderr
    assert result.stdout == f"MY_PACS at localhost:{port} answered 2 of 5 C-ECHOs (40%)\n"


def test_with_new_associations_the_rest_is_still_tried() -> None:
    with in_a_thread(SCP("MY_PACS", [Third(None)])) as port:
        result = echo(port, "-c", "5", "--new-association")
    assert result.exit_code == 1
    assert "the peer aborted" in result.stderr
    assert result.stdout == f"MY_PACS at localhost:{port} answered 4 of 5 C-ECHOs (80%)\n"


def test_no_answer_in_time() -> None:
    class Silent(Verification):
        async def perform(self, operation: Operation) -> Response:
            import asyncio

            await asyncio.sleep(10)
            raise AssertionError

    with in_a_thread(SCP("MY_PACS", [Silent()])) as port:
        result = echo(port, "--timeout", "0.2")
    assert result.exit_code == 1
    assert result.stderr == f"error: MY_PACS at localhost:{port}: no answer to the C-ECHO within 0.2 s\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("http://localhost",),
        ("localhost", "-c", "0"),
        ("localhost", "--timeout", "0"),
        ("localhost", "--x"),
    ],
)
def test_a_command_line_that_makes_no_sense(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, list(arguments)).exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom services.cli.echo import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'pydicom', 'msgspec', 'uvloop', 'asyncio', 'dul', 'dimse'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


# -- TLS


def test_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with in_a_thread(scp(), server_context(certificate, key)) as port:
        trusted = echo(port, "--tls-ca", str(certificate), scheme="dicoms")
        unknown = echo(port, scheme="dicoms")
        insecure = echo(port, "--tls-insecure", scheme="dicoms")
    assert trusted.exit_code == 0, trusted.output
    assert unknown.exit_code == 1
    assert (
        "hint: the certificate is not trusted: name the authority that issued it with --tls-ca"
        in unknown.stderr
    )
    assert insecure.exit_code == 0
    assert insecure.stderr.startswith("WARNING: --tls-insecure")


def test_tls_where_the_peer_has_none() -> None:
    with in_a_thread(scp()) as port:
        result = echo(port, "--tls-insecure", scheme="dicoms")
    assert result.exit_code == 1
    assert "hint: does the peer speak TLS on this port?" in result.stderr


# -- diagnosis


def test_the_diagnosis_of_a_peer_that_works() -> None:
    with in_a_thread(scp()) as port:
        result = echo(port, "--diagnose")
    assert result.exit_code == 0, result.output
    steps = [line.partition(":")[0] for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert steps == ["name", "connection", "association, TEST_SCU calls MY_PACS", "C-ECHO", "release"]


def test_the_diagnosis_of_a_peer_that_rejects() -> None:
    class Full(SCP):
        def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ:
            return AAssociateRJ(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)

    with in_a_thread(Full("MY_PACS", [Verification()])) as port:
        result = echo(port, "--diagnose")
    assert result.exit_code == 1
    assert "FAILED: association rejected for now: local limit exceeded (source 3, reason 2)" in result.stdout
    assert (
        result.stdout.splitlines()[-1]
        .strip()
        .startswith("hint: the peer has as many associations as it takes")
    )


@pytest.mark.peer("storescp")
def test_storescp_answers(tmp_path: Path) -> None:
    with storescp(tmp_path / "received", ae_title="MY_PACS") as peer:
        result = echo(peer.port, "--diagnose")
    assert result.exit_code == 0, result.output
    assert "implementation 1.2.276.0.7230010.3.0.3." in result.stdout
    assert "OFFIS_DCMTK" in result.stdout
