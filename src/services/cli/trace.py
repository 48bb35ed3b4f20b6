"""`dicom-trace`: what two DICOM peers say to each other, explained byte by byte."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, NoReturn, TypeAlias

import typer

from services.cli.client import (
    INTERRUPTED,
    OutputFormat,
    TLSAuthorities,
    TLSCertificate,
    TLSInsecure,
    TLSPrivateKey,
    new_app,
    tls_context,
)
from services.cli.common import ExitCode, PeerAddress, fail, peer_address, usage_error
from services.printable import printable

if TYPE_CHECKING:
    from services.cli.trace_output import Output
    from services.trace.following import Following

app = new_app("dicom-trace")

LISTEN_PORT = 11113
"""Where the proxy listens by default: one above the port registered for DICOM."""

Verbose: TypeAlias = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        help="Every field of each PDU; given twice, the data sets too.",
        max=2,
        clamp=True,
        show_default=False,
    ),
]
Format: TypeAlias = Annotated[
    OutputFormat, typer.Option("--format", help="Lines for a person, or a JSON object in each.")
]
HTML: TypeAlias = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="At the end write a page of it all.")
]
Strict: TypeAlias = Annotated[
    bool, typer.Option("--strict", help="Exit with 1 where something breaks the standard.")
]


def listen_address(text: str) -> PeerAddress:
    """Read `[HOST:]PORT`, as the `parser` of a Typer option; without a host it is loopback.

    Port 0 lets the system choose.
    """
    if text.isascii() and text.isdecimal() and int(text) <= 65535:
        return PeerAddress("127.0.0.1", int(text))
    if "://" in text or ":" not in text:
        raise typer.BadParameter(
            f"{printable(text)}: expected PORT or HOST:PORT, such as 127.0.0.1:{LISTEN_PORT}"
        )
    return peer_address(text)


@app.callback()
def main() -> None:
    """Show the DICOM protocol: every PDU, every field, what each end does with it, and where it breaks the standard.

    Exit codes: 0: it was shown; 1: with --strict, something breaks the standard, or there was nothing to show;
    2: the command line makes no sense, or a file cannot be read; 130: interrupted before the end of a file.
    """


@app.command()
def proxy(
    to: Annotated[
        PeerAddress,
        typer.Option(
            "--to",
            parser=peer_address,
            metavar="PEER",
            help="Where connections go on to: host:port, or dicoms://host:port for TLS.",
        ),
    ],
    listen: Annotated[
        PeerAddress,
        typer.Option(
            "--listen",
            parser=listen_address,
            metavar="[HOST:]PORT",
            help="Where to listen; loopback without HOST.",
        ),
    ] = str(LISTEN_PORT),  # type: ignore[assignment]
    record: Annotated[
        Path | None,
        typer.Option(
            "--record", metavar="FILE", help="Write what passes to a pcap file, as Wireshark reads it."
        ),
    ] = None,
    verbose: Verbose = 0,
    format: Format = "text",
    html: HTML = None,
    strict: Strict = False,
    tls_ca: TLSAuthorities = None,
    tls_certificate: TLSCertificate = None,
    tls_private_key: TLSPrivateKey = None,
    tls_insecure: TLSInsecure = False,
) -> None:
    """Stand between two peers, and show what passes.

    Have the SCU connect to the proxy instead of the SCP; nothing is changed on the way. Ctrl-C ends it.

    \b
    Examples:
      dicom-trace proxy --listen 11113 --to localhost:11112
      dicom-trace proxy --to localhost:11112 -v --html trace.html
      dicom-trace proxy --listen 0.0.0.0:104 --to dicoms://pacs.hospital.local:2762 --tls-ca hospital.pem
    """
    from services.cli.trace_proxy import run_proxy

    tls = tls_context(to, tls_ca, tls_certificate, tls_private_key, tls_insecure)
    run_proxy(listen, to, tls, _output(format, verbose, html, strict), record)


@app.command()
def read(
    capture: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A pcap or pcapng file; - for standard input.", allow_dash=True),
    ],
    port: Annotated[
        list[int] | None,
        typer.Option(
            "--port",
            "-p",
            min=1,
            max=65535,
            metavar="PORT",
            help="Take every connection with this TCP port for DICOM; may be given again.",
            show_default="those that begin with an A-ASSOCIATE-RQ",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as the file grows, until Ctrl-C.")
    ] = False,
    verbose: Verbose = 0,
    format: Format = "text",
    html: HTML = None,
    strict: Strict = False,
) -> None:
    """Show the associations of a capture.

    \b
    Examples:
      dicom-trace read capture.pcapng
      dicom-trace read capture.pcap --port 104 --html trace.html
      dumpcap -i lo -f "tcp port 11112" -w - | dicom-trace read -
    """
    from services.cli.trace_read import read_connections
    from services.trace.following import Following

    output = _output(format, verbose, html, strict)
    following = Following(keep=output.keeps)
    name = "standard input" if str(capture) == "-" else str(capture)
    code = 0
    with _opened(capture) as file:
        try:
            read_connections(file, name, following, output, ports=port or (), follow=follow)
        except KeyboardInterrupt:
            code = 0 if follow or file is sys.stdin.buffer else INTERRUPTED
    _end_read(following, output, name, bool(port), code)


@app.command()
def decode(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Hexadecimal text or bytes; - for standard input.", allow_dash=True
        ),
    ],
    sender: Annotated[
        Literal["requestor", "acceptor"] | None,
        typer.Option("--from", help="Who sent them.", show_default="told by the first PDU"),
    ] = None,
    verbose: Verbose = 0,
    format: Format = "text",
    html: HTML = None,
    strict: Strict = False,
) -> None:
    """Take PDUs apart that one side sent, every field of them.

    Text may have comments, offsets and the characters beside the bytes, as a dump has.

    \b
    Examples:
      dicom-trace decode associate.hex
      echo "07 00 00000004 0000 0202" | dicom-trace decode -
    """
    from services.trace.association import AssociationTrace
    from services.trace.fields import Side
    from services.trace.following import Followed
    from services.trace.hex_text import NoHexText, bytes_of

    output = _output(format, max(1, verbose), html, strict, numbered=False)
    name = "standard input" if str(file) == "-" else str(file)
    with _opened(file) as opened:
        content = opened.read()
    try:
        data = bytes_of(content)
    except NoHexText as error:
        usage_error(f"{name}: {error}; write bytes as 01 00 00 00 00 cd, comments after #")
    if not data:
        usage_error(f"{name} is empty: there is nothing to decode")
    from_acceptor = data[0] in (2, 3, 6) if sender is None else sender == "acceptor"
    trace = AssociationTrace(name, one_direction=True)
    side = Side.ACCEPTOR if from_acceptor else Side.REQUESTOR
    entries = trace.feed(side, data, 0.0) + trace.ended(0.0)
    output.show(Followed(1, trace, entries))
    output.end([trace], name)


@app.command()
def states(
    html: Annotated[bool, typer.Option("--html", help="As a page, with what each cell means.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to.", show_default="standard output"),
    ] = None,
) -> None:
    """Print the state machine of the Upper Layer: Table 9-10 of PS3.8, and what it means."""
    if html:
        from services.trace.html import render_states

        text = render_states()
    else:
        from services.trace.states import states_lines

        text = "\n".join(states_lines()) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        usage_error(f"--output {out}: cannot be written: {error.strerror or error}")


def _output(
    format: OutputFormat, verbose: int, html: Path | None, strict: bool, *, numbered: bool = True
) -> "Output":
    from services.cli.trace_output import Output

    return Output(format, verbose, html, strict, numbered=numbered)


def _opened(path: Path) -> BinaryIO:
    if str(path) == "-":
        return sys.stdin.buffer
    try:
        return path.open("rb")
    except FileNotFoundError:
        usage_error(f"{path}: there is no such file")
    except OSError as error:
        usage_error(f"{path}: cannot be read: {error.strerror or error}")


def _end_read(following: "Following", output: "Output", name: str, has_ports: bool, code: int) -> NoReturn:
    for followed in following.end():
        output.show(followed)
    if not following.count and not code:
        hint = (
            "no connection with such a port carries data in it"
            if has_ports
            else "where associations began before it, say their port with --port"
        )
        fail(f"{name}: no DICOM association is in this capture; {hint}", ExitCode.FAILURE)
    output.end(following.traces, name, following.not_kept, code)
