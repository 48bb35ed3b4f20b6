"""`dicom-conformance`: what does a DICOM peer do with what it is sent, and what should it have done?"""

import asyncio
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.client import (
    INTERRUPTED,
    CallingAE,
    Peer,
    TLSAuthorities,
    TLSCertificate,
    TLSInsecure,
    TLSPrivateKey,
    new_app,
    tls_context,
)
from services.cli.client import run as run_loop
from services.cli.common import ExitCode, ae_title, fail, progress, usage_error
from services.printable import printable

if TYPE_CHECKING:
    import ssl

    from services.conformance.case import Case
    from services.conformance.results import Run
    from services.conformance.target import Target

app = new_app("dicom-conformance")

_LONGEST_TIMEOUT = 5.0
"""How long the first answers may take, in seconds, where nobody says."""

Suites = Annotated[
    str | None,
    typer.Option(
        "--suite",
        "-s",
        metavar="SUITE,…",
        help="Only these: ul, negotiation, pdata, dimse, storage, query, retrieve, security, endurance.",
        show_default="all",
    ),
]
Ids = Annotated[
    list[str] | None,
    typer.Option(
        "--case",
        "-c",
        metavar="ID",
        help="This case, or all its variants, beside the suites named; may be given again.",
    ),
]


@app.callback()
def main() -> None:
    """Test DICOM peers at the level of bytes: what is sent, what must come back, and the clause that says so."""


@app.command()
def run(
    peer: Peer,
    called_ae: Annotated[
        str,
        typer.Option(
            "--called-ae", "--called-aet", parser=ae_title, metavar="AE", help="The AE title of the peer."
        ),
    ],
    aet: CallingAE = "CONFORMANCE",
    suite: Suites = None,
    case: Ids = None,
    allow_write: Annotated[
        bool,
        typer.Option(
            "--allow-write",
            help="Also play the cases that store instances, of their own making, in the peer.",
        ),
    ] = False,
    move_dest: Annotated[
        str | None,
        typer.Option(
            "--move-dest",
            parser=ae_title,
            metavar="AE",
            help="A title the peer knows as a C-MOVE destination at our --move-port.",
            show_default="C-MOVE sub-operations are not tested",
        ),
    ] = None,
    move_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where we listen for C-MOVE sub-operations.")
    ] = 11113,
    move_host: Annotated[
        str, typer.Option(help="The address we listen at for them; 0.0.0.0 for all.")
    ] = "127.0.0.1",
    artim: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="The peer's ARTIM timer, in seconds.")
    ] = 30.0,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            "-t",
            min=0.1,
            metavar="S",
            help="How long an answer may take, in seconds.",
            show_default="15 times what the first ones took, 0.5 to 5",
        ),
    ] = None,
    max_time: Annotated[
        float,
        typer.Option("--max-time", min=1.0, metavar="S", help="After it no case is begun or gone on with."),
    ] = 120.0,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report for people.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write JSON, with every byte that was exchanged.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print every case, not only those that tell something.")
    ] = False,
    tls_ca: TLSAuthorities = None,
    tls_certificate: TLSCertificate = None,
    tls_private_key: TLSPrivateKey = None,
    tls_insecure: TLSInsecure = False,
) -> None:
    """Test an SCP: any server, over TCP or TLS.

    Nothing is changed in it unless --allow-write is given. Exit code 0: no case failed. 1: some did.
    2: the command line makes no sense, or the peer cannot be reached.
    """
    from services.conformance.target import Target

    cases = _select(suite, case)
    outputs = _outputs(html, junit, json)
    target = Target(
        host=peer.host,
        port=peer.port,
        called_ae=called_ae.encode(),
        calling_ae=aet.encode(),
        tls=tls_context(peer, tls_ca, tls_certificate, tls_private_key, tls_insecure),
        timeout=timeout or _LONGEST_TIMEOUT,
        artim=artim,
        allow_write=allow_write,
        move_destination=(move_dest or "").encode(),
        move_host=move_host,
        move_port=move_port if move_dest else 0,
    )
    command = shlex.join(["dicom-conformance", *sys.argv[1:]])
    result = run_loop(_run(target, cases, str(peer), max_time, command, is_timeout_given=timeout is not None))
    _write_reports(result, html=html, junit=junit, json=json)
    from services.conformance.report_text import report_lines

    for line in report_lines(result, verbose=verbose):
        typer.echo(line)
    for path in outputs:
        typer.echo(f"written: {path}")
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(int(ExitCode.FAILURE if result.has_failed else ExitCode.SUCCESS))


@app.command("list")
def list_cases(suite: Suites = None) -> None:
    """List the cases: id, title, what a case needs."""
    from services.conformance.report_text import list_lines

    for line in list_lines(_select(suite, None)):
        typer.echo(line)


@app.command()
def explain(
    case: Annotated[list[str], typer.Argument(metavar="ID…", help="Ids of cases, as `list` prints them.")],
) -> None:
    """Explain cases: what is sent, what must come back, and the clause."""
    from services.conformance.report_text import explain_lines

    chosen = [found for each in case for found in _select(None, [each])]
    for number, each in enumerate(chosen):
        if number:
            typer.echo("")
        for line in explain_lines(each):
            typer.echo(line)


@app.command()
def serve(
    script: Annotated[
        list[str] | None,
        typer.Option(
            "--script",
            "-s",
            metavar="NAME",
            help="What to do to the SCU: a script, a topic or a pattern; several are played in turn.",
            show_default="conforming",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = 11114,
    called_ae: Annotated[
        str | None,
        typer.Option(
            "--called-ae",
            "--called-aet",
            parser=ae_title,
            metavar="AE",
            help="The title we answer to; others are rejected.",
            show_default="any",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", "-n", min=1, help="End after so many associations.", show_default="none"),
    ] = None,
    late: Annotated[
        float, typer.Option(min=0.0, metavar="S", help="By how much late answers are late.")
    ] = 2.0,
    timeout: Annotated[
        float,
        typer.Option("--timeout", "-t", min=0.1, metavar="S", help="How long the SCU may take to react."),
    ] = 10.0,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report for people.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write JSON, with every byte that was exchanged.")
    ] = None,
    tls_certificate: TLSCertificate = None,
    tls_private_key: TLSPrivateKey = None,
) -> None:
    """Test an SCU: be the acceptor it calls, behave as told, and judge what it does.

    Point the SCU at this port; Ctrl-C ends it, and then the reports are written. `dicom-conformance scripts` lists
    what can be done to it. Exit code 0: it did nothing wrong. 1: it did. 2: the command line makes no sense.
    """
    from services.conformance.acceptor import ScuResult, ServeOptions, as_run
    from services.conformance.acceptor import serve as serve_scripts
    from services.conformance.report_text import result_lines, summary_lines, verdict_line

    outputs = _outputs(html, junit, json)
    results: list[ScuResult] = []

    def tell(result: ScuResult) -> None:
        results.append(result)
        who = f"association {result.number}, {result.calling_ae or 'nobody'} at {result.address}"
        typer.echo(printable(f"{who}: {', '.join(result.did)}"))
        for line in result_lines(result):
            typer.echo(line)

    options = ServeOptions(
        host=host,
        port=port,
        called_ae=(called_ae or "").encode(),
        tls=_server_tls(tls_certificate, tls_private_key),
        count=count,
        timeout=timeout,
        late=late,
        on_listening=lambda bound: typer.echo(f"listening on {host}:{bound}; Ctrl-C ends it", err=True),
    )
    started = time.time()
    try:
        asyncio.run(serve_scripts(options, script or [], tell))
    except KeyError as error:
        usage_error(f"--script {error.args[0]}: `dicom-conformance scripts` lists them all")
    except OSError as error:
        usage_error(f"cannot listen on {host}:{port}: {error.strerror or error}")
    except KeyboardInterrupt:
        typer.echo("")
    if not results:
        fail("no SCU called: nothing was tested")
    result = as_run(
        results, options, started=started, command=shlex.join(["dicom-conformance", *sys.argv[1:]])
    )
    _write_reports(result, html=html, junit=junit, json=json)
    for line in (*summary_lines(result), verdict_line(result)):
        typer.echo(line)
    for path in outputs:
        typer.echo(f"written: {path}")
    raise typer.Exit(int(ExitCode.FAILURE if result.has_failed else ExitCode.SUCCESS))


@app.command()
def scripts(
    name: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME…]", help="Explain these: names, topics or patterns.", show_default=False
        ),
    ] = None,
) -> None:
    """List what `serve` can do to an SCU, or explain it: what is done, what must come back, and the clause."""
    from services.conformance.scripts import explain_lines, find, list_lines
    from services.conformance.scripts import scripts as all_scripts

    if not name:
        for line in list_lines(all_scripts()):
            typer.echo(line)
        return
    try:
        chosen = find(name)
    except KeyError as error:
        usage_error(f"no script is called {error.args[0]}: `dicom-conformance scripts` lists them all")
    for number, each in enumerate(chosen):
        if number:
            typer.echo("")
        for line in explain_lines(each):
            typer.echo(line)


def _server_tls(certificate: Path | None, private_key: Path | None) -> "ssl.SSLContext | None":
    if certificate is None and private_key is None:
        return None
    if certificate is None or private_key is None:
        usage_error("TLS takes both, --tls-certificate and --tls-private-key")
    from services.server.config import Config
    from services.server.config_file import ConfigError
    from services.server.tls import ssl_context

    try:
        return ssl_context(
            Config(enable_tls=True, tls_certificate=str(certificate), tls_private_key=str(private_key))
        )
    except ConfigError as error:
        usage_error(str(error))


def _outputs(*paths: Path | None) -> list[Path]:
    """The files to write, which must have a directory to be in."""
    found = [path for path in paths if path is not None]
    for path in found:
        if not path.absolute().parent.is_dir():
            usage_error(f"{path}: there is no directory {path.absolute().parent}")
    return found


async def _run(
    target: "Target",
    cases: "list[Case]",
    address: str,
    max_time: float,
    command: str,
    *,
    is_timeout_given: bool,
) -> "Run":
    from services.conformance.probe import Unreachable, new_run, probe
    from services.conformance.runner import run

    target.run = new_run()
    try:
        await probe(target)
    except Unreachable as error:
        from services.cli.hints import hint

        typer.echo(f"error: {printable(str(error))}", err=True)
        advice = hint(error.__cause__) if error.__cause__ is not None else None
        if advice is not None:
            typer.echo(f"hint: {advice}", err=True)
        raise typer.Exit(int(ExitCode.USAGE)) from None
    if not is_timeout_given:
        target.timeout = target.offer.fitting_timeout
    with progress("testing", len(cases)) as advance:
        return await run(
            cases,
            target,
            address=address,
            max_time=max_time,
            on_result=lambda result: advance(1),
            command=command,
        )


def _select(suites: str | None, ids: list[str] | None) -> "list[Case]":
    from services.conformance.case import Suite
    from services.conformance.cases import select

    wanted: list[Suite] = []
    for name in (suites or "").split(","):
        if not name.strip():
            continue
        try:
            wanted.append(Suite(name.strip().lower()))
        except ValueError:
            usage_error(f"--suite {name.strip()}: there is {', '.join(suite.value for suite in Suite)}")
    if not wanted and not ids:
        wanted = list(Suite)
    try:
        return select(wanted, ids or [])
    except KeyError as error:
        usage_error(f"no case has the id {error.args[0]}: `dicom-conformance list` prints all")


def _write_reports(result: "Run", *, html: Path | None, junit: Path | None, json: Path | None) -> None:
    from services.conformance.report_data import as_json, as_junit

    if json is not None:
        _write(json, as_json(result))
    if junit is not None:
        _write(junit, as_junit(result))
    if html is not None:
        from services.conformance.report_html import render

        _write(html, render(result).encode())


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror or error}", ExitCode.USAGE)


if __name__ == "__main__":
    app()
