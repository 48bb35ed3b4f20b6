"""Many connections: cases 36 and 37, and what goes beyond them. Nothing here opens more than 60 at a time."""

import asyncio
from collections.abc import Callable

from services.conformance.building import RELEASE_RQ, abort
from services.conformance.case import Case, case
from services.conformance.cases.ul_opening import rq
from services.conformance.cases.ul_steps import ECHO, ECHO_RQ, OVER, flat, several, until_artim
from services.conformance.connection import Connection, Event
from services.conformance.conversation import Conversation, Over, matches
from services.conformance.steps import Do, Step, associate, close, echo, reconnect, release

MANY = 60
"""Connections that one case opens at most."""


async def _open(conversation: Conversation, count: int) -> list[Connection]:
    return [await conversation.connect() for _ in range(count)]


async def _ends(connections: list[Connection], within: float) -> list[Event]:
    """What each of them did first, within the same time."""
    return await asyncio.gather(*(each.receive(within) for each in connections))


async def _half_open_then_a_good_one(conversation: Conversation) -> None:
    why = "those who say nothing must not lock out those who do; to be told that it is busy is tolerated"
    try:
        await _open(conversation, MANY)
    except Over:
        conversation.findings.clear()
        conversation.fail("a connection", f"none after {len(conversation.connections)} silent ones", why)
    await conversation.connection.send(rq(conversation.target))
    await conversation.expect("accept", "reject 2/3/*", why=why)
    for step in echo():
        await step.run(conversation)


async def _all_close(conversation: Conversation) -> None:
    # The case's own first connection is one of them.
    connections = [*conversation.connections, *await _open(conversation, 19)]
    ends = await _ends(connections, until_artim(conversation.target))
    for number, event in enumerate(ends, 1):
        if not matches(event.text, OVER):
            conversation.fail(
                f"all {len(ends)} connections closed when ARTIM expires",
                f"{event.text} on connection {number}",
                "ARTIM runs for each of them (Evt18 in Sta2, AA-2)",
            )


async def _fill(conversation: Conversation) -> None:
    """Associate until that is refused, or often enough."""
    while True:
        await conversation.connection.send(rq(conversation.target))
        event = await conversation.expect(
            "accept|reject 2/3/2",
            "reject 2/3/1",
            "reject 2/*",
            why="over its limit a peer rejects with local-limit-exceeded, transient (PS3.8 9.3.4)",
        )
        if event.text != "accept" or len(conversation.connections) == MANY:
            break
        await conversation.connect()
    if event.text == "accept":
        for step in echo():
            await step.run(conversation)
    await _recover(conversation)


async def _recover(conversation: Conversation) -> None:
    """All of them are aborted; then there is room again, after a moment."""
    for each in conversation.connections:
        await each.send(abort(0, 0))
    await asyncio.gather(*(each.close() for each in conversation.connections))
    await asyncio.sleep(conversation.target.quiet)
    for step in flat(reconnect(), associate(), echo(), release()):
        await step.run(conversation)


async def _side_by_side(conversation: Conversation) -> None:
    """Some associations at once, each asked for a C-ECHO, then each released."""
    connections = [conversation.connection, *await _open(conversation, 3)]
    request = rq(conversation.target)
    for data, pattern in (
        (request, "accept"),
        (ECHO_RQ, "C-ECHO-RSP 7 0000"),
        (RELEASE_RQ, "release response"),
    ):
        await asyncio.gather(*(each.send(data) for each in connections))
        for event in await _ends(connections, conversation.target.timeout):
            conversation.judge(event, pattern, why="each association is on its own")


def _repeatedly(times: int, make: Callable[[], tuple[Step, ...]]) -> tuple[Step, ...]:
    return flat(*(step for _ in range(times) for step in (*make(), close(), reconnect())))


CASES: tuple[Case, ...] = (
    case(
        "ul-36a",
        f"{MANY} connections that say nothing, then one that associates",
        "PS3.8 9.1.4; the limit is a local matter",
        several(),
        Do(
            f"opens {MANY} more connections, associates on the last and asks for a C-ECHO",
            _half_open_then_a_good_one,
        ),
        needs=ECHO,
        note="A peer that serves one connection at a time cannot pass, and is not asked.",
    ),
    case(
        "ul-36b",
        "20 connections that say nothing",
        "PS3.8 9.1.4, 9.2: Evt18 in Sta2, AA-2",
        several(),
        Do("opens 19 more connections; expects all of them closed when ARTIM expires", _all_close),
        waits=True,
        note="A peer that serves one connection at a time cannot pass, and is not asked.",
    ),
    case(
        "ul-37",
        f"Associations one on top of the other, up to {MANY}",
        "PS3.8 9.3.4: local-limit-exceeded",
        several(),
        Do(
            f"associates until it is rejected, {MANY} times at most, and again when it has aborted them all",
            _fill,
        ),
        needs=ECHO,
        note="Where the peer takes all of them its limit is higher than the tester goes: the last one must be served.",
    ),
    case(
        "ul-213",
        "Four associations side by side",
        "PS3.8 9.1.1",
        several(),
        Do(
            "associates on 4 connections at once, asks for a C-ECHO on each, and releases each", _side_by_side
        ),
        needs=ECHO,
    ),
    case(
        "ul-214a",
        "Twenty associations in a row, each released",
        "PS3.8 9.2",
        _repeatedly(20, lambda: flat(associate(), echo(), release())),
        associate(),
        echo(),
        needs=ECHO,
    ),
    case(
        "ul-214b",
        "Twenty connections in a row, closed without a word",
        "PS3.8 9.2: Evt17 in Sta2, AA-5",
        _repeatedly(20, tuple),
        associate(),
        echo(),
        needs=ECHO,
    ),
)
