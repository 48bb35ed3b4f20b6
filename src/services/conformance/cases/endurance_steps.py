"""Steps of the endurance cases: strays, which are connections that nobody keeps a record of, and what bounds them.

A case that opens hundreds of connections would fill the report with them. A stray goes into the record only where it
is the one that shows the fault; all the others are counted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from services.conformance.building import RELEASE_RQ, abort
from services.conformance.connection import Connection, Event
from services.conformance.conversation import Conversation, matches
from services.conformance.steps import Do, Step, close, echo, proposal, release
from services.conformance.target import Target

LONGEST = 30.0
"""Seconds after which a case begins nothing more of what it does many times; what was done by then counts."""

SIDE_BY_SIDE = 8
"""Strays at once, where the peer serves several connections."""

BUSY = "reject 2/3/*"
"""A peer may be at its limit for a moment (PS3.8 9.3.4); that it recovers is what is judged."""

Stray: TypeAlias = Callable[[Connection, Target, int], Awaitable[Event | None]]
"""What to do on the stray of a number, from 0; returns what came that should not have come, or None."""


def strays(title: str, count: int, what: Stray, *, expected: str, why: str, alive_every: int = 0) -> Do:
    """Do something on many connections, one after the other or a few at a time.

    Args:
        title: what is done, for the reports.
        count: how many connections, at most.
        what: is done on each.
        expected: what should have come, where `what` returns something else.
        why: the rule.
        alive_every: after so many of them a C-ECHO on another association must be answered; 0 for at the end only.
    """

    async def run(conversation: Conversation) -> None:
        until = time.monotonic() + LONGEST
        group = alive_every or count
        for first in range(0, count, group):
            await _group(conversation, range(first, min(count, first + group)), what, until, expected, why)
            await serve(conversation)

    also = f", and after every {alive_every} of them asks for a C-ECHO" if alive_every else ""
    return Do(f"{title}, {count} times or for {LONGEST:g} s{also}; then asks for a C-ECHO", run)


async def _group(
    conversation: Conversation, numbers: Iterable[int], what: Stray, until: float, expected: str, why: str
) -> None:
    places = asyncio.Semaphore(SIDE_BY_SIDE if conversation.target.offer.serves_several else 1)
    target = conversation.target

    async def one(number: int) -> tuple[Connection, Event] | None:
        async with places:
            if time.monotonic() > until:
                return None
            connection = await _open(target, number)
            try:
                event = await what(connection, target, number)
            finally:
                connection.reset()
            return None if event is None or matches(event.text, BUSY) else (connection, event)

    done = await asyncio.gather(*map(one, numbers), return_exceptions=True)
    for number, result in zip(numbers, done, strict=True):
        match result:
            case OSError() | TimeoutError():
                cause = str(result) or f"nothing within {target.timeout:g} s"
                conversation.fail(f"connection {number + 1} to be taken", cause, why)
            case BaseException():
                raise result
            case (connection, event):
                conversation.connections.append(connection)
                conversation.fail(expected, f"{event.text} on connection {number + 1}", why)


async def _open(target: Target, number: int) -> Connection:
    return await Connection.open(
        target.host, target.port, tls=target.tls, timeout=target.timeout, number=number + 1
    )


async def serve(conversation: Conversation) -> None:
    """On a fresh association a C-ECHO is answered; a peer that is busy is asked again for a while.

    The connection is recorded.
    """
    target = conversation.target
    until = time.monotonic() + target.timeout
    while True:
        connection = await conversation.connect()
        await connection.send(proposal(target), timeout=target.timeout)
        event = await connection.receive(target.timeout)
        if not matches(event.text, BUSY) or time.monotonic() > until:
            break
        await connection.close()
        conversation.connections.remove(connection)
        await asyncio.sleep(target.quiet)
    conversation.judge(event, "accept", why="whatever went before, the next association is served")
    for step in (*echo(), *release(), close()):
        await step.run(conversation)


def from_scratch() -> Step:
    """Close the connection that every case begins with: to a peer that serves one at a time it is in the way."""
    return close()


# -- what is done on a stray


async def established(connection: Connection, target: Target) -> Event | None:
    """Associate; what came instead of the acceptance, if anything did."""
    await connection.send(proposal(target), timeout=target.timeout)
    event = await connection.receive(target.timeout)
    return None if event.text == "accept" else event


async def answered(connection: Connection, target: Target, data: bytes, pattern: str) -> Event | None:
    """Send something; what came instead of the answer, if anything did."""
    await connection.send(data, timeout=target.timeout)
    event = await connection.receive(target.timeout)
    return None if matches(event.text, pattern) else event


async def ended(connection: Connection, within: float) -> None:
    """Finish sending, and give the peer some time to say what it has to say and close."""
    connection.finish_sending()
    until = time.monotonic() + within
    while not connection.is_over and time.monotonic() < until:
        if (await connection.receive(until - time.monotonic())).text == "silence":
            return


async def released(connection: Connection, target: Target) -> Event | None:
    """Release the association; what came instead of the response, if anything did."""
    return await answered(connection, target, RELEASE_RQ, "release response")


async def aborted(connection: Connection, target: Target) -> None:
    """Abort the association."""
    await connection.send(abort(0, 0), timeout=target.timeout)
