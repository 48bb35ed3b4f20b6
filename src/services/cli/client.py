"""What the commands that open associations share: their options, and TLS as asked for on the command line.

Nothing heavy is imported before it is needed, so that `--help` is quick.
"""

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import typer

from services.cli.common import PeerAddress, ae_title, peer_address, usage_error

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

OutputFormat: TypeAlias = Literal["text", "json"]

INTERRUPTED = 130
"""What the shell is told after Ctrl+C, as of every program that SIGINT ends."""

Peer: TypeAlias = Annotated[
    PeerAddress,
    typer.Argument(
        parser=peer_address,
        metavar="PEER",
        help="Where the peer listens: pacs://host:port, or dicoms://host:port for TLS.",
    ),
]
CallingAE: TypeAlias = Annotated[
    str, typer.Option("--aet", "-a", parser=ae_title, metavar="AE", help="Our AE title.")
]
CalledAE: TypeAlias = Annotated[
    str,
    typer.Option("--called-ae", "--called-aet", parser=ae_title, metavar="AE", help="The peer's AE title."),
]
TLSAuthorities: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca", metavar="FILE", help="Certificates to trust, PEM.", show_default="those the system trusts"
    ),
]
TLSCertificate: TypeAlias = Annotated[
    Path | None, typer.Option(help="Our certificate, where the peer asks for one, PEM.", metavar="FILE")
]
TLSPrivateKey: TypeAlias = Annotated[Path | None, typer.Option(help="Its private key, PEM.", metavar="FILE")]
TLSInsecure: TypeAlias = Annotated[
    bool, typer.Option("--tls-insecure", help="Trust any certificate: for tests, never for patients.")
]


def new_app(name: str) -> typer.Typer:
    """A Typer application for one command, in the style of all of them."""
    return typer.Typer(
        name=name,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def tls_context(
    peer: PeerAddress, ca: Path | None, certificate: Path | None, private_key: Path | None, insecure: bool
) -> "ssl.SSLContext | None":
    """TLS as asked for on the command line; None where the address asks for none. Exits where it makes no sense."""
    given = [
        option
        for option, value in (
            ("--tls-ca", ca),
            ("--tls-certificate", certificate),
            ("--tls-private-key", private_key),
            ("--tls-insecure", insecure),
        )
        if value
    ]
    if not peer.tls:
        if given:
            secure = peer._replace(tls=True)
            usage_error(f"{given[0]}: {peer} is plain TCP; for TLS write {secure}")
        return None
    if ca is not None and insecure:
        usage_error("--tls-ca says whom to trust, --tls-insecure to trust anybody; give one of them")
    if private_key is not None and certificate is None:
        usage_error("--tls-private-key needs the --tls-certificate it belongs to")
    from services.client_tls import InvalidTLSFile, client_context

    try:
        context = client_context(ca=ca, certificate=certificate, private_key=private_key, insecure=insecure)
    except InvalidTLSFile as error:
        usage_error(str(error))
    if insecure:
        typer.echo(
            f"WARNING: --tls-insecure: the certificate of {peer} is not checked, so that anybody could be "
            "answering there and read what is sent",
            err=True,
        )
    return context


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run what a command does on the loop of a program; Ctrl+C aborts its associations and ends the command."""
    from services.loop import run as run_loop

    try:
        return run_loop(main)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
