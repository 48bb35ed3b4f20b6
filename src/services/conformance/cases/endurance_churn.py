"""Many associations, one after the other or at once, and one that lasts."""

from collections.abc import Iterator

from services.conformance.building import (
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    VERIFICATION,
    application_context,
    c_echo_rq,
    context,
    maximum_length,
    message,
    user_information,
)
from services.conformance.case import Case, case
from services.conformance.cases.dimse_steps import (
    ECHO,
    ECHO_RQ,
    ECHOED,
    STORE,
    ask,
    echo_message,
    no_instance,
    store_rq,
)
from services.conformance.cases.endurance_steps import (
    Stray,
    aborted,
    answered,
    ended,
    established,
    from_scratch,
    released,
    serve,
    strays,
)
from services.conformance.connection import Connection, Event
from services.conformance.conversation import Conversation, Over
from services.conformance.steps import Do, Send, associate, echo, pause, proposal, release
from services.conformance.target import Target

_MANY = 200
_ON_ITS_OWN = "each association is on its own, and leaves nothing behind"
_ECHO = echo_message(ECHO_RQ)


# -- one after the other


async def _in_order(connection: Connection, target: Target, _: int) -> Event | None:
    wrong = (
        await established(connection, target)
        or await answered(connection, target, _ECHO, ECHOED)
        or await released(connection, target)
    )
    await connection.close()
    return wrong


async def _abort(connection: Connection, target: Target, _: int) -> Event | None:
    wrong = await established(connection, target)
    await aborted(connection, target)
    return wrong


async def _close(connection: Connection, target: Target, _: int) -> Event | None:
    wrong = await established(connection, target)
    await ended(connection, target.quiet)
    return wrong


async def _break(connection: Connection, target: Target, _: int) -> Event | None:
    return await established(connection, target)  # and then every stray is reset


async def _break_early(connection: Connection, target: Target, _: int) -> Event | None:
    wrong = await established(connection, target)
    await connection.send(_ECHO, timeout=target.timeout)
    return wrong


async def _ask_and_break(connection: Connection, target: Target, _: int) -> Event | None:
    await connection.send(proposal(target) + _ECHO, timeout=target.timeout)
    return None


async def _be_rejected(connection: Connection, target: Target, _: int) -> Event | None:
    request = target.a_associate_rq(
        application_context(b"1.2.840.10008.3.1.1.2"),
        context(1, VERIFICATION, IMPLICIT),
        user_information(),
    )
    return await answered(connection, target, request, "reject */*/*|abort */*")


async def _propose_much(connection: Connection, target: Target, _: int) -> Event | None:
    contexts = [context(number, VERIFICATION, IMPLICIT) for number in range(1, 256, 2)]
    items = (application_context(), *contexts, user_information(maximum_length(16384), IMPLEMENTATION_CLASS))
    return (
        await answered(connection, target, target.a_associate_rq(*items), "accept")
        or await answered(connection, target, message(255, ECHO_RQ), ECHOED)
        or await released(connection, target)
    )


async def _nothing(connection: Connection, target: Target, _: int) -> Event | None:
    return None


def _churn() -> Iterator[Case]:
    ways: dict[str, tuple[str, str, Stray, str, int]] = {
        "200a": (
            "Associations in a row, released in order",
            "associates, asks for a C-ECHO and releases",
            _in_order,
            "PS3.8 9.2",
            _MANY,
        ),
        "200b": (
            "Associations in a row, aborted",
            "associates and aborts",
            _abort,
            "PS3.8 9.2: Evt16 in Sta6, AA-3",
            _MANY,
        ),
        "200c": (
            "Associations in a row, closed without a release",
            "associates and closes its half of the connection",
            _close,
            "PS3.8 9.2: Evt17 in Sta6, AA-4",
            _MANY,
        ),
        "200d": (
            "Associations in a row, broken",
            "associates and breaks the connection (RST)",
            _break,
            "PS3.8 9.2: Evt17 in Sta6, AA-4",
            _MANY,
        ),
        "200e": (
            "Associations in a row, broken before the answer",
            "associates, asks for a C-ECHO and breaks the connection",
            _break_early,
            "PS3.8 9.2: Evt17 in Sta6, AA-4",
            _MANY,
        ),
        "200f": (
            "Connections in a row, broken while the request is judged",
            "sends an A-ASSOCIATE-RQ and a C-ECHO-RQ and breaks the connection",
            _ask_and_break,
            "PS3.8 9.2: Evt17 in Sta3, AA-4",
            _MANY,
        ),
        "200g": (
            "Connections in a row, broken without a word",
            "opens a connection and breaks it",
            _nothing,
            "PS3.8 9.2: Evt17 in Sta2, AA-5",
            _MANY,
        ),
        "200h": (
            "Associations in a row, rejected",
            "proposes an unknown application context; expects to be refused",
            _be_rejected,
            "PS3.8 9.3.4, 9.2: AE-8",
            _MANY,
        ),
        "208": (
            "Associations in a row with 128 presentation contexts each",
            "associates with 128 presentation contexts, asks for a C-ECHO and releases",
            _propose_much,
            "PS3.8 9.3.2.2, 7.1.1.13",
            50,
        ),
    }
    for number, (title, what, act, clause, count) in ways.items():
        yield case(
            f"endurance-{number}",
            f"{title}, {count} of them",
            clause,
            from_scratch(),
            strays(what, count, act, expected="the same as the first time", why=_ON_ITS_OWN),
            needs=ECHO,
        )


# -- cut short


def _cut_request(step: int) -> Stray:
    async def act(connection: Connection, target: Target, number: int) -> Event | None:
        request = proposal(target, "echo", "store")
        await connection.send(request[: 1 + number * step % (len(request) - 1)], timeout=target.timeout)
        connection.finish_sending()
        event = await connection.receive(target.quiet)
        return event if event.text == "accept" else None

    return act


async def _cut_echo(connection: Connection, target: Target, number: int) -> Event | None:
    wrong = await established(connection, target)
    await connection.send(_ECHO[: 1 + number % (len(_ECHO) - 1)], timeout=target.timeout)
    connection.finish_sending()
    event = await connection.receive(target.quiet)
    return event if event.text.startswith("C-ECHO-RSP") else wrong


async def _cut_store(connection: Connection, target: Target, number: int) -> Event | None:
    wrong = await answered(connection, target, proposal(target, "echo", "store"), "accept")
    data = message(3, store_rq(target), no_instance(target)[:120], no_instance(target)[120:])
    await connection.send(data[: 1 + 7 * number % (len(data) - 1)], timeout=target.timeout)
    return wrong


def _partial() -> Iterator[Case]:
    yield case(
        "endurance-202a",
        "A-ASSOCIATE-RQ cut after each of its bytes",
        "PS3.8 9.2: Evt17 in Sta2, AA-5",
        from_scratch(),
        strays(
            "sends part of an A-ASSOCIATE-RQ, one byte more each time, and closes its half of the connection",
            240,
            _cut_request(1),
            expected="no acceptance",
            why="what is not there cannot be accepted",
        ),
        needs=ECHO,
    )
    yield case(
        "endurance-202b",
        "P-DATA-TF with a C-ECHO-RQ cut after each of its bytes",
        "PS3.8 9.2: Evt17 in Sta6, AA-4",
        from_scratch(),
        strays(
            "associates, sends part of a P-DATA-TF, one byte more each time, and closes its half of the connection",
            len(_ECHO) - 1,
            _cut_echo,
            expected="no answer",
            why="what is not there cannot be answered",
        ),
        needs=ECHO,
    )
    yield case(
        "endurance-202c",
        "C-STORE-RQ with its data set cut in 60 places",
        "PS3.8 9.2: Evt17 in Sta6, AA-4",
        from_scratch(),
        strays(
            "associates, sends part of a C-STORE-RQ and its data set, and breaks the connection (RST)",
            60,
            _cut_store,
            expected="acceptance",
            why=_ON_ITS_OWN,
        ),
        needs=STORE,
    )


# -- at once


async def _ask_all(held: list[Connection], message_id: int, conversation: Conversation) -> None:
    timeout = conversation.target.timeout
    for connection in held:
        await connection.send(echo_message(c_echo_rq(message_id)), timeout=timeout)
    for connection in held:
        event = await connection.receive(timeout)
        conversation.judge(event, f"C-ECHO-RSP {message_id} 0000", why=_ON_ITS_OWN)


async def _held(conversation: Conversation) -> None:
    """Associations that are open at once, asked in turn; a peer that says it has enough is asked for no more."""
    target = conversation.target
    if not target.offer.serves_several:
        conversation.not_applicable("the peer serves one connection at a time")
    held: list[Connection] = []
    while len(held) < 40:
        connection = conversation.connection if not held else await conversation.connect()
        await connection.send(proposal(target), timeout=target.timeout)
        event = await connection.receive(target.timeout)
        conversation.judge(
            event, "accept|reject 2/3/*", why="served, or refused for a local limit (PS3.8 9.3.4)"
        )
        if event.text != "accept":
            break
        held.append(connection)
        await _ask_all([connection], 1, conversation)
    for message_id in (2, 3):
        await _ask_all(held, message_id, conversation)
    for connection in conversation.connections:
        await connection.close()
    await serve(conversation)


async def _flood(conversation: Conversation) -> None:
    """Connections with part of a request each, and then one that is good."""
    target = conversation.target
    if not target.offer.serves_several:
        conversation.not_applicable("the peer serves one connection at a time")
    why = "those who do not finish must not lock out those who do"
    try:
        for number in range(150):
            await conversation.connect()
            await conversation.connection.send(proposal(target)[: 1 + number], timeout=target.timeout)
    except Over:
        conversation.findings.clear()
        conversation.fail(
            "a connection", f"none after {len(conversation.connections)} unfinished requests", why
        )
    await conversation.connect()
    await conversation.connection.send(proposal(target), timeout=target.timeout)
    await conversation.expect("accept", "reject 2/3/*", why=why)
    for step in (*echo(), *release()):
        await step.run(conversation)


def _at_once() -> Iterator[Case]:
    yield case(
        "endurance-36",
        "150 connections with an unfinished A-ASSOCIATE-RQ each, then a good one",
        "PS3.8 9.1.4; a local limit",
        Do(
            "opens 150 connections and sends a part of an A-ASSOCIATE-RQ on each; then associates on one more",
            _flood,
        ),
        needs=ECHO,
        note="a peer that serves one connection at a time cannot pass, and is not asked.",
    )
    yield case(
        "endurance-204",
        "40 associations at once, each asked three times",
        "PS3.8 9.1.1, 9.3.4",
        Do(
            "opens 40 associations, or as many as are accepted, and asks for a C-ECHO on each, three times",
            _held,
        ),
        needs=ECHO,
        note="a peer that serves one connection at a time cannot pass, and is not asked.",
    )


# -- lasting


def _idle(target: Target) -> float:
    return min(target.until_artim, 60.0)


async def _wait_past_artim(conversation: Conversation) -> None:
    step = pause(_idle(conversation.target))
    await step.run(conversation)


def _lasting() -> Iterator[Case]:
    yield case(
        "endurance-201",
        "An association on which nothing happens for longer than ARTIM, then a C-ECHO",
        "PS3.8 9.2: AE-6 stops ARTIM, and nothing starts it in Sta6",
        associate(),
        Do("waits for longer than the peer's ARTIM, 60 s at most", _wait_past_artim),
        ask(
            "a C-ECHO-RQ",
            _ECHO,
            ECHOED,
            "abort 0/0",
            "abort 2/0",
            "closed",
            why="ARTIM does not run in Sta6: the association lives until somebody ends it",
        ),
        needs=ECHO,
        waits=True,
        note="how long an idle association is kept is a local matter; one that ends with ARTIM ends too early.",
    )
    yield case(
        "endurance-209",
        "A C-ECHO-RQ that takes 3 s to arrive, byte by byte",
        "PS3.8 9.1.3, 9.2: no timer runs in Sta6",
        associate(),
        Send("a C-ECHO-RQ", _ECHO, piece=1, delay=3.0 / len(_ECHO)),
        ask("nothing more", b"", ECHOED, why="TCP delivers a stream of bytes, at any speed"),
        echo(6),
        needs=ECHO,
        waits=True,
    )


CASES: tuple[Case, ...] = (*_churn(), *_partial(), *_at_once(), *_lasting())
