"""What the console commands share: addresses of peers, AE titles, exit codes, progress.

Nothing heavy is imported before it is needed, so that `--help` is quick.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NamedTuple, NoReturn, TextIO

import typer

from services.printable import printable, shorten

DEFAULT_PORT = 11112
"""Registered for DICOM (PS3.8 9.1.1); the other one, 104, needs privileges to listen on."""

AE_TITLE_RULE = "an AE title has 1 to 16 ASCII characters, no backslash, and is more than spaces"

_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")


class ExitCode(IntEnum):
    """What a command tells the shell."""

    SUCCESS = 0
    FAILURE = 1
    USAGE = 2


class PeerAddress(NamedTuple):
    """Where a peer listens, and whether it speaks TLS there."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'dicoms' if self.tls else 'pacs'}://{host}:{self.port}"


def parse_peer_address(text: str, default_port: int = DEFAULT_PORT) -> PeerAddress:
    """Read `host`, `host:port`, `pacs://host:port`, `dicom://host:port` or, for TLS, `dicoms://host:port`.

    An IPv6 address stands in brackets: `[::1]:11112`.

    Raises:
        ValueError: `text` is none of these; the message says what is.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "pacs", text
    scheme = scheme.lower()
    if scheme not in ("pacs", "dicom", "dicoms"):
        raise ValueError(f"{_quoted(text)}: unknown scheme; use pacs:// or, for TLS, dicoms://")
    host, port = _split(text, rest.removesuffix("/"))
    return PeerAddress(host, default_port if port is None else _port(text, port), scheme == "dicoms")


def peer_address(text: str) -> PeerAddress:
    """`parse_peer_address` as the `parser` of a Typer argument: a mistake is a usage error."""
    try:
        return parse_peer_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def ae_title(text: str) -> str:
    """An AE title without its padding, as the `parser` of a Typer option (PS3.5 6.2, VR AE)."""
    title = text.strip(" ")
    if not _AE_TITLE.fullmatch(title):
        raise typer.BadParameter(f"{_quoted(text)}: {AE_TITLE_RULE}")
    return title


def fail(message: str, code: ExitCode = ExitCode.FAILURE) -> NoReturn:
    """Say what went wrong on standard error, one line for each line of `message`, and exit."""
    for line in message.split("\n"):
        typer.echo(f"error: {printable(line)}", err=True)
    raise typer.Exit(int(code))


def usage_error(message: str) -> NoReturn:
    """`fail` for a command line that makes no sense."""
    fail(message, ExitCode.USAGE)


@contextmanager
def progress(
    description: str, total: int, *, quiet: bool = False, stream: TextIO | None = None
) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; in a pipe, or when `quiet`, nothing at all.

    Args:
        description: what is being done.
        total: how many steps there are.
        quiet: no bar on a terminal either.
        stream: where to; None is standard error, so that results can be piped.

    Yields:
        A function that is told how many steps more are done.
    """
    stream = sys.stderr if stream is None else stream
    if quiet or not stream.isatty():
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task(escape(printable(description)), total=total)
        yield lambda steps: bar.advance(task, steps)


def _split(text: str, rest: str) -> tuple[str, str | None]:
    """Host and port, where the port may be left out."""
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        if not bracket or ":" not in host or (tail and not tail.startswith(":")):
            raise ValueError(f"{_quoted(text)}: write an IPv6 address as [::1]:{DEFAULT_PORT}")
        port = tail[1:] if tail else None
    else:
        host, colon, tail = rest.partition(":")
        if ":" in tail:
            raise ValueError(f"{_quoted(text)}: put an IPv6 address in brackets, as [::1]:{DEFAULT_PORT}")
        port = tail if colon else None
    if not host or re.search(r"[\s/\\@?#\[\]\x00-\x1f\x7f]", host):
        raise ValueError(f"{_quoted(text)}: expected host:port, such as localhost:{DEFAULT_PORT}")
    return host, port


def _port(text: str, port: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{_quoted(text)}: the port {_quoted(port)} is not a number from 1 to 65535")
    return int(port)


def _quoted(text: str) -> str:
    return f"'{shorten(printable(text))}'"
