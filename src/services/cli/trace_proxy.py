"""`dicom-trace proxy`: runs the proxy until Ctrl-C."""

import asyncio
import signal
import ssl
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

import typer

from services.cli.common import ExitCode, PeerAddress, usage_error
from services.cli.trace_output import Output
from services.loop import run
from services.printable import printable
from services.trace.following import Following
from services.trace.pcap_writer import PCAP_HEADER, PcapConnection
from services.trace.proxy import Proxy, ProxyEvent, Refused
from services.trace.tcp import Closed, Data, Opened


def run_proxy(
    listen: PeerAddress, to: PeerAddress, tls: ssl.SSLContext | None, output: Output, record: Path | None
) -> NoReturn:
    """Run the proxy until SIGINT or SIGTERM, then end as `output` says.

    Args:
        listen: host and port.
        to: where connections go on to.
        tls: for that side; None for plain TCP.
        output: prints what passes.
        record: a pcap file to write; None for none.
    """
    following = Following(keep=output.keeps)
    recording = None if record is None else Recording(record)
    proxying = _Proxying(following, output, recording)
    failed = False
    try:
        run(proxying.run(listen, to, tls))
    finally:
        if recording is not None:
            failed = not recording.close()
    for followed in following.end():
        output.show(followed)
    code = ExitCode.FAILURE if failed else ExitCode.SUCCESS
    output.end(following.traces, f"{to.host}:{to.port}", following.not_kept, code)


class _Proxying:
    def __init__(self, following: Following, output: Output, recording: "Recording | None") -> None:
        self._following = following
        self._output = output
        self._recording = recording
        self._stopped = asyncio.Event()

    async def run(self, listen: PeerAddress, to: PeerAddress, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # where it does not exist Ctrl-C is a KeyboardInterrupt
                loop.add_signal_handler(number, self._stopped.set)
        proxy = Proxy(to.host, to.port, self._take, target_tls=tls)
        try:
            async with proxy.listen(listen.host, listen.port) as port:
                typer.echo(
                    f"listening on {listen.host}:{port}, passing on to {to.host}:{to.port}; Ctrl-C ends it",
                    err=True,
                )
                with suppress(asyncio.CancelledError):
                    await self._stopped.wait()
        except OSError as error:
            usage_error(
                f"--listen {listen.host}:{listen.port}: cannot listen there: {error.strerror or error}"
            )

    def _take(self, event: ProxyEvent) -> None:
        if isinstance(event, Refused):
            host, port = event.requestor
            typer.echo(f"a connection from {host}:{port} was closed: {printable(event.why)}", err=True)
            return
        if self._recording is not None:
            self._recording.take(event)
        self._output.show(self._following.take(event))
        if self._output.is_broken:
            self._stopped.set()


class Recording:
    """A pcap file of what passes.

    Args:
        path: is replaced. Exits where it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections: dict[int, PcapConnection] = {}
        self._file: BinaryIO | None = None
        try:
            self._file = path.open("wb")
        except OSError as error:
            usage_error(f"--record {path}: cannot be written: {error.strerror or error}")
        self._write(PCAP_HEADER)
        typer.echo(f"recording to {path}: all that passes, patients' data included", err=True)

    def take(self, event: Opened | Data | Closed) -> None:
        """Record what happened; where that fails it is said, and nothing more is recorded."""
        if self._file is None:
            return
        number = event.connection.number
        match event:
            case Opened():
                ends = event.connection
                connection = PcapConnection(self._write, ends.requestor, ends.acceptor)
                self._connections[number] = connection
                connection.opened(event.at)
            case Data():
                self._connections[number].data(event.sender, event.data, event.at)
            case Closed():
                self._connections.pop(number).closed(event.by, event.at, event.reset)

    def close(self) -> bool:
        """End the file; whether all of it was written."""
        if self._file is None:
            return False
        try:
            self._file.close()
        except OSError as error:
            self._failed(error)
            return False
        return True

    def _write(self, data: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()
        typer.echo(
            f"error: --record {self._path}: {error.strerror or error}; nothing more is recorded", err=True
        )
