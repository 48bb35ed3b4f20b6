"""What a case is written with: things to send, answers to expect, and the rest.

A step says in words what it does (`describe`), for `explain` and the reports, and does it (`run`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from services.conformance.building import (
    IMPLICIT,
    RELEASE_RQ,
    VERIFICATION,
    c_echo_rq,
    context,
    message,
)
from services.conformance.conversation import Check, Conversation, in_words
from services.conformance.target import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, Target

Bytes: TypeAlias = bytes | Callable[[Target], bytes]
"""What to send, or how to make it once the target is known."""


class Step(ABC):
    """One step of a case."""

    @abstractmethod
    def describe(self) -> str:
        """What it does, as the rest of a sentence that begins with "The tester"."""

    @abstractmethod
    async def run(self, conversation: Conversation) -> None:
        """Do it.

        Raises:
            Over: the case ends here.
        """


class Send(Step):
    """Send bytes on the current connection.

    Args:
        title: what they are: "an A-RELEASE-RQ of 8 bytes".
        what: the bytes.
        piece: bytes to a TCP segment; 0 for all at once.
        delay: seconds between the pieces.
    """

    def __init__(self, title: str, what: Bytes, *, piece: int = 0, delay: float = 0.0) -> None:
        self.title = title
        self.what = what
        self.piece = piece
        self.delay = delay

    def describe(self) -> str:
        pieces = f", {self.piece} byte{'s' * (self.piece > 1)} at a time" if self.piece else ""
        pauses = f", {self.delay:g} s apart" if self.delay else ""
        return f"sends {self.title}{pieces}{pauses}"

    async def run(self, conversation: Conversation) -> None:
        data = self.what if isinstance(self.what, bytes) else self.what(conversation.target)
        await conversation.connection.send(
            data, piece=self.piece, delay=self.delay, timeout=conversation.target.timeout
        )


class Expect(Step):
    """Wait for the next thing the peer does, and judge it.

    Args:
        strict: pattern of the answer by the book; see `conversation.matches` and `connection.Event`.
        tolerated: patterns of what is accepted as well.
        within: how long it may take: seconds, or a function of the target; None for the target's time-out.
        why: the rule, told in the report where something else comes.
        check: looks closer at the strict answer.
    """

    def __init__(
        self,
        strict: str,
        *tolerated: str,
        within: float | Callable[[Target], float] | None = None,
        why: str = "",
        check: Check | None = None,
    ) -> None:
        self.strict = strict
        self.tolerated = tolerated
        self.within = within
        self.why = why
        self.check = check

    def describe(self) -> str:
        also = f" (tolerated: {', '.join(map(in_words, self.tolerated))})" if self.tolerated else ""
        checked = f", {check_title(self.check)}" if self.check is not None else ""
        return f"expects {in_words(self.strict)}{checked}{also}"

    async def run(self, conversation: Conversation) -> None:
        within = self.within(conversation.target) if callable(self.within) else self.within
        await conversation.expect(self.strict, *self.tolerated, within=within, why=self.why, check=self.check)


class Do(Step):
    """Do something that is no plain sending and expecting.

    Args:
        title: the rest of a sentence that begins with "The tester".
        action: what to do; ends the case by way of the conversation's `fail` and its like.
    """

    def __init__(self, title: str, action: Callable[[Conversation], Awaitable[None]]) -> None:
        self.title = title
        self.action = action

    def describe(self) -> str:
        return self.title

    async def run(self, conversation: Conversation) -> None:
        await self.action(conversation)


def check_title(check: Check) -> str:
    """What a check looks at: the first line of its docstring, or its name."""
    text = (check.__doc__ or getattr(check, "__name__", "as it must be").replace("_", " ")).strip()
    return text.splitlines()[0].rstrip(".")


# -- what most cases have in common

ECHO_CONTEXT, STORE_CONTEXT, FIND_CONTEXT, GET_CONTEXT, MOVE_CONTEXT, REFUSED_CONTEXT = 1, 3, 5, 7, 9, 11
"""Presentation context ids that `associate` uses."""

UNKNOWN_SYNTAX = b"2.25.329800735698586629295641978511506172918"
"""A UID that names nothing; nobody can support it."""


def proposal(target: Target, *names: str, sub_items: tuple[bytes, ...] = ()) -> bytes:
    """An A-ASSOCIATE-RQ with the contexts of these names: echo, store, find, get, move, refused."""
    contexts = {
        "echo": (ECHO_CONTEXT, VERIFICATION),
        "store": (STORE_CONTEXT, target.storage_class),
        "find": (FIND_CONTEXT, STUDY_ROOT_FIND),
        "get": (GET_CONTEXT, STUDY_ROOT_GET),
        "move": (MOVE_CONTEXT, STUDY_ROOT_MOVE),
        "refused": (REFUSED_CONTEXT, UNKNOWN_SYNTAX),
    }
    chosen = [contexts[name] for name in names or ("echo",)]
    return target.proposing(
        *(context(number, abstract, IMPLICIT) for number, abstract in chosen), sub_items=sub_items
    )


def associate(*names: str, sub_items: tuple[bytes, ...] = ()) -> tuple[Step, ...]:
    """Associate, with contexts named as in `proposal` (default: echo alone), all in Implicit VR Little Endian."""
    what = " and ".join(names or ("echo",))
    return (
        Send(f"an A-ASSOCIATE-RQ for {what}", lambda target: proposal(target, *names, sub_items=sub_items)),
        Expect("accept", why="nothing in the request gives a reason to refuse it"),
    )


def echo(message_id: int = 7) -> tuple[Step, ...]:
    """A C-ECHO on the association that `associate` made, which must be answered."""
    return (
        Send("a C-ECHO-RQ", message(ECHO_CONTEXT, c_echo_rq(message_id))),
        Expect(f"C-ECHO-RSP {message_id} 0000", why="the association must still serve (PS3.4 A.4)"),
    )


def release() -> tuple[Step, ...]:
    """An orderly release."""
    return (
        Send("an A-RELEASE-RQ", RELEASE_RQ),
        Expect("release response", why="AR-2, AR-4: A-RELEASE-RP answers A-RELEASE-RQ (PS3.8 9.2)"),
    )


def aborted(
    reason: str, why: str = "", *also: str, within: float | Callable[[Target], float] | None = None
) -> Expect:
    """Expect an A-ABORT "source/reason"; the same source with another reason is tolerated (PS3.8 9.3.8)."""
    source = reason.partition("/")[0]
    return Expect(f"abort {reason}", f"abort {source}/*", *also, within=within, why=why)


def pause(seconds: float) -> Do:
    """Do nothing for a while."""
    return Do(f"waits {seconds:g} s", lambda _: asyncio.sleep(seconds))


def finish_sending() -> Do:
    """Close our half of the connection."""

    async def run(conversation: Conversation) -> None:
        conversation.connection.finish_sending()

    return Do("closes its half of the connection (FIN)", run)


def reset() -> Do:
    """Break the connection."""

    async def run(conversation: Conversation) -> None:
        conversation.connection.reset()

    return Do("breaks the connection (RST)", run)


def close() -> Do:
    """Close the connection."""

    async def run(conversation: Conversation) -> None:
        await conversation.connection.close()

    return Do("closes the connection", run)


def reconnect() -> Do:
    """Go on on a new connection; the old one stays open."""

    async def run(conversation: Conversation) -> None:
        await conversation.connect()

    return Do("opens another connection", run)
