"""An association with an SCU that has said all it will say; there is no socket beneath it."""

import asyncio

from raw_bytes import CT_IMAGE, IMPLICIT
from services.conformance.accepted import AcceptedConnection, Association
from services.conformance.target import Target


class Writer:
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None: ...

    async def wait_closed(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> None:
        return None


def associated(*said: bytes, ended: bool = False) -> tuple[Association, Writer]:
    """An association whose SCU has said all that."""
    reader, writer = asyncio.StreamReader(), Writer()
    reader.feed_data(b"".join(said))
    if ended:
        reader.feed_eof()
    connection = AcceptedConnection(reader, writer)  # type: ignore[arg-type]
    association = Association(Target(host="", port=0, called_ae=b""), connection)
    association.agreed.contexts = {1: (CT_IMAGE, IMPLICIT)}
    return association, writer
