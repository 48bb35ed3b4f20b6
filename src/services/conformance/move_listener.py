"""A C-MOVE destination that is told how to behave: takes what it is sent, refuses it, aborts, goes away.

Bounded in associations, instances and time. Built on the tester's own connection, so that it can send what an honest
SCP would not.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from msgspec import Struct

from dul.pdus import AAssociateRQ, PresentationContextRQItem
from services.conformance.building import (
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    RELEASE_RP,
    abort,
    application_context,
    item,
    maximum_length,
    pdu,
    user_information,
)
from services.conformance.connection import OVER, Connection
from services.conformance.conversation import Conversation, matches
from services.conformance.retrieving import SubOperation, sub_operation_of
from services.conformance.target import Target

MOST_ASSOCIATIONS = 8
"""Connections that are taken; later ones are closed at once."""

MOST_INSTANCES = 64
"""Instances that one association may send; after them it is aborted."""


class Deed(Enum):
    """What the destination does instead of answering an instance."""

    ABORT = "sends an A-ABORT"
    CLOSE = "closes the connection"
    NOTHING = "says nothing"


class Behaviour(Struct, frozen=True, kw_only=True):
    """How the destination behaves.

    Attributes:
        statuses: of its C-STORE-RSPs, in order; the last one for all that follow.
        rejects: it answers each A-ASSOCIATE-RQ with an A-ASSOCIATE-RJ.
        refuses: it accepts the association and none of its contexts.
        syntaxes: transfer syntaxes it takes.
        deed: what it does instead of an answer.
        at: to which instance it does so, from 0.
        delay: seconds before each answer.
    """

    statuses: tuple[int, ...] = (0,)
    rejects: bool = False
    refuses: bool = False
    syntaxes: tuple[bytes, ...] = (IMPLICIT,)
    deed: Deed | None = None
    at: int = 0
    delay: float = 0.0


class MoveListener:
    """The destination while it listens.

    Attributes:
        requests: the A-ASSOCIATE-RQs it got.
        stored: the instances it was sent, in order, those it did not answer included.
        arrived: set when the first instance is there.
        ended: how many of its associations are over.
    """

    def __init__(self, target: Target, behaviour: Behaviour) -> None:
        self.requests: list[AAssociateRQ] = []
        self.stored: list[SubOperation] = []
        self.arrived = asyncio.Event()
        self.ended = 0
        self._target = target
        self._behaviour = behaviour
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken = 0

    @property
    def is_quiet(self) -> bool:
        """Every association that was made to it is over."""
        return self.ended == self._taken

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; `asyncio.start_server` calls it."""
        task = asyncio.current_task()
        assert task is not None
        self._taken += 1
        connection = Connection(reader, writer, self._taken)
        if self._taken > MOST_ASSOCIATIONS:
            self.ended += 1
            await connection.close()
            return
        self._tasks.add(task)
        try:
            await self._serve(connection)
        except asyncio.CancelledError:  # the case is over
            pass
        finally:
            self.ended += 1
            self._tasks.discard(task)
            with contextlib.suppress(asyncio.CancelledError):
                await connection.close()

    async def stop(self) -> None:
        """End what still goes on."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, connection: Connection) -> None:
        # a peer may leave its association open after the last instance: it is waited for longer than for an answer
        patience = self._target.timeout * 4
        event = await connection.receive(patience)
        if not isinstance(event.pdu, AAssociateRQ):
            return
        self.requests.append(event.pdu)
        if self._behaviour.rejects:
            await connection.send(pdu(3, bytes([0, 1, 1, 1])))
            await connection.receive(self._target.timeout)
            return
        await connection.send(accept(event.pdu, self._behaviour))
        for _ in range(MOST_INSTANCES + 1):
            event = await connection.receive(patience)
            if event in OVER or matches(event.text, "abort *|silence|garbage*"):
                return
            if event.text == "release":
                await connection.send(RELEASE_RP)
                await connection.receive(self._target.timeout)
                return
            if event.message is None or not event.text.startswith("C-STORE-RQ"):
                break
            if not await self._answer(connection, sub_operation_of(event.message)):
                return
        await connection.send(abort(0, 0))

    async def _answer(self, connection: Connection, sub_operation: SubOperation) -> bool:
        """Answer an instance as told; returns whether the association goes on."""
        behaviour = self._behaviour
        number = len(self.stored)
        self.stored.append(sub_operation)
        self.arrived.set()
        await asyncio.sleep(behaviour.delay)
        if behaviour.deed is None or number != behaviour.at:
            status = behaviour.statuses[min(number, len(behaviour.statuses) - 1)]
            await connection.send(sub_operation.answered(status))
            return True
        if behaviour.deed is Deed.ABORT:
            await connection.send(abort(0, 0))
            await connection.receive(self._target.timeout)
        elif behaviour.deed is Deed.NOTHING:
            await connection.receive(self._target.timeout * 4)
        return False


@asynccontextmanager
async def listening(conversation: Conversation, behaviour: Behaviour) -> AsyncIterator[MoveListener]:
    """Listen at the target's move host and port for as long as it is entered.

    Raises:
        Over: nothing can listen there; the case is then inconclusive.
    """
    target = conversation.target
    listener = MoveListener(target, behaviour)
    try:
        server = await asyncio.start_server(listener.take, target.move_host, target.move_port)
    except OSError as error:
        where = f"{target.move_host}:{target.move_port}"
        conversation.inconclusive(f"to listen at {where}", error.strerror or str(error))
    try:
        yield listener
    finally:
        server.close()
        await listener.stop()


def accept(request: AAssociateRQ, behaviour: Behaviour) -> bytes:
    """An A-ASSOCIATE-AC that takes every context in the first transfer syntax the destination takes."""
    answers = [_answered(context, behaviour) for context in request.presentation_contexts]
    titles = request.called_ae_title.encode("latin-1").ljust(16) + request.calling_ae_title.encode(
        "latin-1"
    ).ljust(16)
    information = user_information(maximum_length(16384), IMPLEMENTATION_CLASS)
    body = b"\0\1\0\0" + titles + bytes(32) + application_context() + b"".join(answers) + information
    return pdu(2, body)


def _answered(context: PresentationContextRQItem, behaviour: Behaviour) -> bytes:
    offered = [uid.encode("latin-1") for uid in context.transfer_syntaxes]
    common = [uid for uid in behaviour.syntaxes if uid in offered]
    result = 3 if behaviour.refuses else 0 if common else 4
    chosen = common[0] if common else IMPLICIT
    return item(0x21, bytes([context.presentation_context_id, 0, result, 0]) + item(0x40, chosen))
