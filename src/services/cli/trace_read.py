"""`dicom-trace read`: a capture, whole or still growing, to what is printed of it."""

import time
from collections.abc import Collection, Iterator
from typing import BinaryIO

import typer

from services.cli.common import usage_error
from services.cli.trace_output import Output
from services.printable import printable
from services.trace.capture import CaptureError, CaptureReader
from services.trace.following import Following
from services.trace.packets import Packet
from services.trace.tcp import Reassembler

_READ_SIZE = 1 << 16
_WAIT = 0.2  # seconds until a file that grows is looked at again


def read_connections(
    file: BinaryIO, name: str, following: Following, output: Output, *, ports: Collection[int], follow: bool
) -> None:
    """Read a capture to its end and print what it tells.

    Args:
        file: the capture; it may be a pipe.
        name: of it, for a person.
        following: takes its connections.
        output: prints them.
        ports: TCP ports taken for DICOM; where there are none, connections are told by what they begin with.
        follow: do not stop at the end, wait for more until interrupted.

    A damaged capture is shown up to the damage. Exits where it is none, or is empty.
    """
    assembler = Reassembler(ports)
    shown = False
    try:
        for packet in _packets(file, name, follow):
            for event in assembler.feed(packet):
                output.show(following.take(event))
            shown = True
            if output.is_broken:
                return
    except CaptureError as error:
        if not shown:
            usage_error(f"{name}: {error}")
        _warn(name, f"{error}; what came before is shown")
    finally:
        for event in assembler.finish():
            output.show(following.take(event))


def _packets(file: BinaryIO, name: str, follow: bool) -> Iterator[Packet]:
    reader = CaptureReader(lambda text: _warn(name, text))
    read = getattr(file, "read1", file.read)
    is_empty = True
    while True:
        data = read(_READ_SIZE)
        if data:
            is_empty = False
            yield from reader.feed(data)
        elif follow and file.seekable():
            time.sleep(_WAIT)
        elif is_empty:
            usage_error(f"{name} is empty: capture first, as with dumpcap -f 'tcp port 11112' -w FILE")
        else:
            break
    reader.finish()


def _warn(name: str, text: str) -> None:
    typer.echo(f"{printable(name)}: {printable(text)}", err=True)
