import asyncio
import ssl
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from certificates import self_signed
from services.cli.client import CalledAE, CallingAE, Peer, new_app, run, tls_context
from services.cli.common import PeerAddress

PLAIN, SECURE = PeerAddress("pacs", 11112), PeerAddress("pacs", 2762, tls=True)


def test_without_tls_there_is_no_context() -> None:
    assert tls_context(PLAIN, None, None, None, False) is None


def test_a_dicoms_address_is_verified(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = tls_context(SECURE, certificate, certificate, key, False)
    assert context is not None
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_insecure_is_said_loudly(capsys: pytest.CaptureFixture[str]) -> None:
    context = tls_context(SECURE, None, None, None, True)
    assert context is not None
    assert context.verify_mode == ssl.CERT_NONE
    assert capsys.readouterr().err.startswith(
        "WARNING: --tls-insecure: the certificate of dicoms://pacs:2762 is not checked"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            (PLAIN, Path("a"), None, None, False),
            "--tls-ca: pacs://pacs:11112 is plain TCP; for TLS write dicoms://",
        ),
        ((PLAIN, None, Path("a"), None, False), "--tls-certificate: "),
        ((PLAIN, None, None, Path("a"), False), "--tls-private-key: "),
        ((PLAIN, None, None, None, True), "--tls-insecure: "),
        ((SECURE, Path("a"), None, None, True), "--tls-ca says whom to trust"),
        ((SECURE, None, None, Path("a"), False), "--tls-private-key needs the --tls-certificate"),
        ((SECURE, Path("/nowhere/a.pem"), None, None, False), "cannot read '/nowhere/a.pem'"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    arguments: tuple[PeerAddress, Path | None, Path | None, Path | None, bool],
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as caught:
        tls_context(*arguments)
    assert caught.value.exit_code == 2
    assert capsys.readouterr().err.startswith(f"error: {text}")


def test_the_options_of_all_clients() -> None:
    app = new_app("test")

    @app.command()
    def main(
        peer: Peer,
        aet: CallingAE = "A",
        called_ae: CalledAE = "B",
        x: Annotated[bool, typer.Option()] = False,
    ) -> None:
        typer.echo(f"{peer} {aet} {called_ae}")

    def output(*arguments: str) -> str:
        return CliRunner().invoke(app, list(arguments)).output

    assert output("localhost") == "pacs://localhost:11112 A B\n"
    assert output("dicoms://h:1", "--aet", "X", "--called-ae", "Y") == "dicoms://h:1 X Y\n"
    assert output("h", "-a", "X", "--called-aet", "Y") == "pacs://h:11112 X Y\n"
    for wrong in (("h:0",), ("h", "--aet", ""), ("h", "--called-ae", "SEVENTEEN_LETTERS")):
        assert CliRunner().invoke(app, list(wrong)).exit_code == 2


def test_run_returns_what_the_command_returns() -> None:
    async def answer() -> int:
        return 42

    assert run(answer()) == 42


def test_an_interrupt_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    async def interrupted() -> None:
        import os
        import signal

        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(10)

    with pytest.raises(typer.Exit) as caught:
        run(interrupted())
    assert caught.value.exit_code == 130
    assert capsys.readouterr().err == "interrupted\n"
