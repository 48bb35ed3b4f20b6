"""`dicom-echo`: does the other side answer at all, how fast, and if not, why (PS3.4 Annex A)?"""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.client import (
    CalledAE,
    CallingAE,
    Peer,
    TLSAuthorities,
    TLSCertificate,
    TLSInsecure,
    TLSPrivateKey,
    new_app,
    run,
    tls_context,
)
from services.cli.common import ExitCode, PeerAddress
from services.cli.round_trips import milliseconds, round_trip_statistics
from services.printable import printable

if TYPE_CHECKING:
    import ssl

app = new_app("dicom-echo")


@app.command()
def main(
    peer: Peer,
    aet: CallingAE = "DICOM_ECHO",
    called_ae: CalledAE = "DICOM_SERVER",
    count: Annotated[int, typer.Option("--count", "-c", min=1, help="C-ECHOs to send.")] = 1,
    new_association: Annotated[
        bool, typer.Option("--new-association", help="Each C-ECHO on an association of its own.")
    ] = False,
    stats: Annotated[bool, typer.Option("--stats", help="Print the round trips.")] = False,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Go step by step, and say where and why it fails.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each answer.")] = 30.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print each answer.")] = False,
    tls_ca: TLSAuthorities = None,
    tls_certificate: TLSCertificate = None,
    tls_private_key: TLSPrivateKey = None,
    tls_insecure: TLSInsecure = False,
) -> None:
    """Ask a DICOM peer for a sign of life with C-ECHO.

    \b
    Examples:
      dicom-echo pacs://localhost:11112 --aet TEST_SCU --called-ae MY_PACS
      dicom-echo pacs://localhost:11112 --called-ae MY_PACS --count 100 --stats
      dicom-echo pacs://localhost:11112 --called-ae MY_PACS --diagnose
      dicom-echo dicoms://pacs.hospital.local:2762 --called-ae PACS --tls-ca hospital.pem

    Exit code 0 means that every C-ECHO was answered, 1 that one was not, 2 that the command line makes no sense.
    """
    tls = tls_context(peer, tls_ca, tls_certificate, tls_private_key, tls_insecure)
    if diagnose:
        from services.cli.diagnose import diagnose as run_diagnosis

        works = run(run_diagnosis(peer, aet, called_ae, tls, timeout))
        raise typer.Exit(ExitCode.SUCCESS if works else ExitCode.FAILURE)
    echoes = Echoes(peer, aet, called_ae, tls, timeout, verbose)
    try:
        run(echoes.send(count, new_association))
    finally:
        echoes.report(count, stats)
    raise typer.Exit(ExitCode.FAILURE if echoes.failures else ExitCode.SUCCESS)


class Echoes:
    """C-ECHOs to one peer, and how they went.

    Attributes:
        round_trips: seconds of each that was answered.
        failures: associations that did not go well from beginning to end.
    """

    def __init__(
        self,
        peer: PeerAddress,
        calling_ae: str,
        called_ae: str,
        tls: "ssl.SSLContext | None",
        timeout: float,
        verbose: bool,
    ) -> None:
        self.round_trips: list[float] = []
        self.failures = 0
        self._where = f"{called_ae} at {peer.host}:{peer.port}"
        self._peer = peer
        self._calling_ae = calling_ae
        self._called_ae = called_ae
        self._tls = tls
        self._timeout = timeout
        self._verbose = verbose

    async def send(self, count: int, new_association: bool) -> None:
        """Send `count` C-ECHOs, on one association or on one each; what goes wrong is printed."""
        if not new_association:
            await self._send(count)
            return
        for _ in range(count):
            await self._send(1)

    async def _send(self, count: int) -> None:
        from dimse.errors import DimseError
        from dul.errors import NetworkError
        from services.scu import associate
        from services.verification import echo, verification_context

        try:
            async with associate(
                self._peer.host,
                self._peer.port,
                calling_ae=self._calling_ae,
                called_ae=self._called_ae,
                contexts=[verification_context()],
                tls=self._tls,
                timeout=self._timeout,
            ) as association:
                for _ in range(count):
                    self._answered(await echo(association, timeout=self._timeout))
        except TimeoutError:
            self._failed(f"no answer to the C-ECHO within {self._timeout:g} s")
        except (NetworkError, DimseError) as error:
            self._failed(error)

    def _answered(self, seconds: float) -> None:
        self.round_trips.append(seconds)
        if self._verbose:
            typer.echo(f"{self._where} answered C-ECHO {len(self.round_trips)} in {milliseconds(seconds)}")

    def _failed(self, error: Exception | str) -> None:
        self.failures += 1
        typer.echo(f"error: {printable(f'{self._where}: {error}')}", err=True)
        if isinstance(error, Exception):
            from services.cli.hints import hint

            text = hint(error)
            if text is not None:
                typer.echo(f"hint: {text}", err=True)

    def report(self, count: int, stats: bool) -> None:
        """Print how many were answered, and how fast."""
        answered = len(self.round_trips)
        if count == 1 and answered == 1 and not self._verbose:
            typer.echo(f"{self._where} answered in {milliseconds(self.round_trips[0])}")
        elif count > 1:
            typer.echo(f"{self._where} answered {answered} of {count} C-ECHOs ({answered / count:.0%})")
        if stats and answered:
            typer.echo(round_trip_statistics(self.round_trips))
