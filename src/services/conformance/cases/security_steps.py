"""Steps about TLS: ClientHellos laid out by hand, and sessions with contexts of the case's own."""

import contextlib
import os
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from services.conformance.associate_bytes import received
from services.conformance.case import Case, case
from services.conformance.cases.ul_steps import afterwards
from services.conformance.connection import OVER, SILENCE, Connection, cause
from services.conformance.conversation import Conversation
from services.conformance.steps import Bytes, Do, Step, associate, echo, proposal
from services.conformance.target import Service
from services.conformance.tls_hello import (
    ECDHE_CHACHA20,
    ECDHE_GCM_128,
    ECDHE_GCM_256,
    Flight,
    ServerHello,
    client_hello,
    describe,
    read_flight,
    records,
)

_CONTENT_TYPE = (20, 21, 22, 23)
_PDU_TYPES = range(1, 8)

Judge = Callable[[ServerHello], str]
"""Looks at a ServerHello: says what is wrong with it, or nothing."""


def tls_case(
    id: str,
    title: str,
    clause: str,
    *steps: Step | Iterable[Step],
    waits: bool = False,
    note: str = "",
) -> Case:
    """Write a case about TLS: after its steps the port must serve a C-ECHO in a TLS session as it should be."""
    served = afterwards(associate(), echo())
    needs = (Service.TLS, Service.VERIFICATION)
    return case(id, title, clause, *steps, served, needs=needs, waits=waits, note=note)


async def plain_connection(conversation: Conversation) -> Connection:
    """Open another connection without TLS, whatever the target speaks, and make it the current one.

    Those before it are closed: many peers serve one at a time.
    """
    target = conversation.target
    await conversation.close()
    try:
        connection = await Connection.open(
            target.host,
            target.port,
            tls=None,
            timeout=target.timeout,
            number=len(conversation.connections) + 1,
        )
    except TimeoutError:
        conversation.inconclusive("a connection", f"none within {target.timeout:g} s")
    except OSError as error:
        conversation.inconclusive("a connection", cause(error))
    conversation.connections.append(connection)
    return connection


async def say(conversation: Conversation, data: bytes, *, piece: int = 0) -> tuple[Flight, str]:
    """Say something on a connection of its own, in the clear.

    Returns:
        What the server said, and how that ended: "closed", "reset", or "silence" where it still waits.
    """
    connection = await plain_connection(conversation)
    target = conversation.target
    await connection.send(data, piece=piece, timeout=target.timeout)
    flight, end = await _hear(connection, target.timeout)
    await connection.close()
    return flight, end


async def _hear(connection: Connection, timeout: float) -> tuple[Flight, str]:
    deadline = time.monotonic() + timeout
    while True:
        event = await connection.receive(max(0.0, deadline - time.monotonic()))
        flight = read_flight(received(connection))
        if event in OVER or event is SILENCE:
            return flight, event.text
        if flight.is_done or not flight.is_tls:
            return flight, "silence"


def is_refusal(flight: Flight, end: str) -> bool:
    """Whether a handshake was refused: with an alert, or by the close of the connection, and no ServerHello."""
    return flight.is_tls and flight.hello is None and (bool(flight.alerts) or end in ("closed", "reset"))


# -- ClientHellos


def refused(title: str, hello: bytes, why: str, *, tolerated: bool = False) -> Do:
    """Send a ClientHello that must be refused: with a fatal alert, or by the close of the connection.

    Args:
        title: what it is: "a ClientHello that offers TLS 1.0 and nothing newer".
        hello: its records.
        why: the rule.
        tolerated: it is a deviation that is tolerated to take it.
    """

    async def run(conversation: Conversation) -> None:
        flight, end = await say(conversation, hello)
        if flight.hello is not None and flight.is_tls:
            if tolerated:
                conversation.tolerate("the handshake refused", describe(flight), why)
                return
            conversation.fail("the handshake refused", describe(flight), why)
        if not is_refusal(flight, end):
            conversation.fail("the handshake refused", describe(flight), why)

    also = " (tolerated: a ServerHello)" if tolerated else ""
    return Do(f"sends {title} on a plain connection; expects an alert, or the close{also}", run)


def answered(
    title: str, hello: bytes, judge: Judge, why: str, *, piece: int = 0, tolerates_refusal: bool = False
) -> Do:
    """Send a ClientHello that must be answered by a ServerHello, and judge that.

    Args:
        title: what it is.
        hello: its records.
        judge: looks at the ServerHello.
        why: the rule.
        piece: bytes to a TCP segment; 0 for all at once.
        tolerates_refusal: a server need not take it.
    """

    async def run(conversation: Conversation) -> None:
        flight, end = await say(conversation, hello, piece=piece)
        if flight.hello is None or not flight.is_tls:
            if tolerates_refusal and is_refusal(flight, end):
                conversation.tolerate("a ServerHello", describe(flight), why)
                return
            conversation.fail("a ServerHello", describe(flight), why)
        problem = judge(flight.hello)
        if problem:
            conversation.fail("a ServerHello as it must be", problem, why)

    also = " (tolerated: a refusal)" if tolerates_refusal else ""
    return Do(f"sends {title} on a plain connection; expects a ServerHello{also}", run)


def modern_hello() -> bytes:
    """A ClientHello for TLS 1.2 that every server of today takes."""
    return records(client_hello(*ECDHE_GCM_128, *ECDHE_GCM_256, *ECDHE_CHACHA20))


async def hello_flight(conversation: Conversation) -> Flight:
    """What the server says to such a ClientHello."""
    flight, _ = await say(conversation, modern_hello())
    return flight


def in_the_clear(title: str, what: Bytes) -> Do:
    """Speak without TLS to a port that speaks TLS: not one byte of DICOM may come back."""
    why = "who speaks without TLS is not answered but by TLS (PS3.15 B.12)"

    async def run(conversation: Conversation) -> None:
        data = what if isinstance(what, bytes) else what(conversation.target)
        connection = await plain_connection(conversation)
        await connection.send(data, timeout=conversation.target.timeout)
        deadline = time.monotonic() + conversation.target.timeout
        event = SILENCE
        while event not in OVER:
            event = await connection.receive(max(0.0, deadline - time.monotonic()))
            first = received(connection)[:1]
            if first and first[0] in _PDU_TYPES:
                conversation.fail("a TLS alert, or the close of the connection", event.text, why)
            if first and first[0] not in _CONTENT_TYPE:
                conversation.fail("a TLS alert, or the close of the connection", "bytes that are no TLS", why)
            if event is SILENCE:
                conversation.fail("a TLS alert, or the close of the connection", "silence", why)

    return Do(f"sends {title} without TLS on another connection; expects a TLS alert, or the close", run)


# -- waiting


def closes_in_time(title: str, what: bytes, *, delay: float = 0.0) -> Do:
    """Begin a handshake and do not go on with it: the server must not wait for ever.

    Args:
        title: what is sent.
        what: the bytes.
        delay: seconds between bytes; 0 sends all at once.
    """
    why = "a handshake that stands still holds a place others need"

    async def run(conversation: Conversation) -> None:
        target = conversation.target
        connection = await plain_connection(conversation)
        deadline = time.monotonic() + target.until_artim
        pieces = [what[n : n + 1] for n in range(len(what))] if delay else [what]
        for piece in pieces:
            await connection.send(piece, timeout=target.timeout)
            if delay and (await connection.receive(delay)) in OVER:
                return
            if time.monotonic() > deadline:
                conversation.fail("the close of the connection", "patience", why)
        while True:
            event = await connection.receive(max(0.0, deadline - time.monotonic()))
            if event in OVER:
                return
            if event is SILENCE:
                conversation.fail("the close of the connection", "silence", why)

    return Do(f"sends {title} on a plain connection and waits; expects the close of the connection", run)


# -- sessions


def unverified() -> ssl.SSLContext:
    """A client's context that trusts every server, and shows no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def shown(chain: str) -> ssl.SSLContext:
    """Such a context that shows a certificate.

    Args:
        chain: certificate and private key, PEM.
    """
    context = unverified()
    with tempfile.TemporaryDirectory() as folder:  # OpenSSL reads files only
        file = Path(folder) / "certificate.pem"
        file.write_text(chain)
        context.load_cert_chain(file)
    return context


def nobody_gets_in(title: str, context: Callable[[], ssl.SSLContext], why: str, *tolerated: str) -> Do:
    """Associate with a session of a context, where the peer wants to know its clients: it must not come to it."""

    async def run(conversation: Conversation) -> None:
        target = conversation.target
        if not (await hello_flight(conversation)).asks_certificate:
            conversation.not_applicable("the peer asks for no client certificate in TLS 1.2")
        await conversation.close()
        try:
            connection = await Connection.open(
                target.host,
                target.port,
                tls=context(),
                timeout=target.timeout,
                number=len(conversation.connections) + 1,
            )
        except OSError:
            return  # the handshake was refused
        conversation.connections.append(connection)
        await connection.send(proposal(target), timeout=target.timeout)
        event = await connection.receive(target.timeout)
        conversation.judge(event, "closed|reset", *tolerated, why=why)

    also = f" (tolerated: {', '.join(tolerated)})" if tolerated else ""
    return Do(f"opens a TLS session {title} and associates; expects that it is refused{also}", run)


def beneath(title: str, what: Bytes) -> Do:
    """Write bytes to the socket beneath the TLS session."""

    async def run(conversation: Conversation) -> None:
        data = what if isinstance(what, bytes) else what(conversation.target)
        with contextlib.suppress(OSError):
            os.write(conversation.connection.descriptor, data)

    return Do(f"sends {title} beneath the TLS session", run)


def cut() -> Do:
    """Close our half of the TCP connection, and the TLS session not at all."""

    async def run(conversation: Conversation) -> None:
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(conversation.connection.descriptor)) as sock,
        ):
            sock.shutdown(socket.SHUT_WR)

    return Do("closes its half of the TCP connection (FIN) without a close_notify alert", run)
