"""SCUs that get it wrong, each in its way, as bytes: a script of the acceptor that all of them pass is worth nothing.

They are coroutines over a stream to the acceptor, and end when the acceptor has closed the connection.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from services.conformance.building import (
    CT_IMAGE,
    DATA,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    RELEASE_RQ,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    VERIFICATION,
    a_associate_rq,
    application_context,
    command,
    context,
    element,
    maximum_length,
    message,
    p_data,
    pdv,
    ui,
    us,
    user_information,
    window,
)
from services.conformance.target import STUDY_ROOT_MOVE

BadSCU = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]

_CONTEXTS = {"C-ECHO-RQ": (1, VERIFICATION), "C-STORE-RQ": (3, CT_IMAGE), "C-FIND-RQ": (5, STUDY_ROOT_FIND)}
_CONTEXTS |= {"C-GET-RQ": (7, STUDY_ROOT_GET), "C-MOVE-RQ": (9, STUDY_ROOT_MOVE)}
_FIELDS = {
    "C-ECHO-RQ": 0x0030,
    "C-STORE-RQ": 0x0001,
    "C-FIND-RQ": 0x0020,
    "C-GET-RQ": 0x0010,
    "C-MOVE-RQ": 0x0021,
}
_PAUSE = 0.02
_MANY = 100

REQUEST = a_associate_rq(
    application_context(),
    *(context(number, uid, IMPLICIT) for number, uid in _CONTEXTS.values()),
    user_information(maximum_length(16384), IMPLEMENTATION_CLASS, window(4, 1)),
)


def request(kind: str, number: int) -> bytes:
    """A right request of a kind, with its data set where it has one; that of a C-STORE needs several P-DATA-TFs."""
    context_id, sop_class = _CONTEXTS[kind]
    elements = [ui(0x0002, sop_class), us(0x0100, _FIELDS[kind]), us(0x0110, number)]
    if kind == "C-ECHO-RQ":
        return message(context_id, command(*elements, us(0x0800, 0x0101)))
    if kind == "C-MOVE-RQ":
        elements.append(element(0x0600, b"ANYWHERE"))
    elements += [us(0x0700, 0), us(0x0800, DATA)]
    if kind != "C-STORE-RQ":
        identifier = element(0x0052, b"STUDY ", group=8)
        return message(context_id, command(*elements), identifier)
    data_set = element(0x0016, sop_class + b"\0", group=8) + element(0x0018, b"2.25.7", group=8)
    data_set += element(0x4000, b"x" * 12000, group=0x20)
    pieces = [data_set[start : start + 4000] for start in range(0, len(data_set), 4000)]
    return message(context_id, command(*elements, ui(0x1000, b"2.25.7")), *pieces)


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str) -> None:
    """Makes one request after the other, whatever it is told; never gives up, never closes."""
    await _read(reader)
    for number in range(1, _MANY):
        await _say(writer, request(kind, number))


async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str) -> None:
    """Makes requests before it was accepted, and does not wait for answers."""
    for number in range(1, _MANY):
        await _say(writer, request(kind, number))


async def flighty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str) -> None:
    """Makes a request and is gone with the first byte of the answer, without a word."""
    await _read(reader)
    await _say(writer, request(kind, 1))
    await _read(reader)


async def lingering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str) -> None:
    """Makes a request, asks for the release, and then goes on as if it had not."""
    await _read(reader)
    await _say(writer, request(kind, 1))
    await _read(reader)
    await _say(writer, RELEASE_RQ)
    await _read(reader)
    for number in range(2, _MANY):
        await _say(writer, request(kind, number))


async def overlong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str) -> None:
    """Sends a P-DATA-TF longer than anybody takes, and is gone."""
    await _read(reader)
    context_id, _ = _CONTEXTS[kind]
    await _say(writer, p_data(pdv(context_id, 1, bytes(100_000))))
    await _read(reader)


BAD_SCUS: dict[str, BadSCU] = {
    "deaf": deaf,
    "impatient": impatient,
    "flighty": flighty,
    "lingering": lingering,
    "overlong": overlong,
}


async def call(port: int, scu: BadSCU, kind: str) -> None:
    """Let an SCU call the acceptor at a port and do its worst."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(REQUEST)
        await scu(reader, writer, kind)
    except (OSError, RuntimeError):
        pass  # the acceptor has closed; uvloop says RuntimeError
    finally:
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """What comes next; the end of the stream counts for nothing."""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(0.3):
            return await reader.read(1 << 16)
    return b""


async def _say(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
    await asyncio.sleep(_PAUSE)
