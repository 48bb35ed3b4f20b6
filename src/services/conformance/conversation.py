"""A case being played: its connections, and what it found out."""

import asyncio
import ssl
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import NoReturn, TypeAlias

from services.conformance.connection import OVER, SILENCE, Connection, Event, cause
from services.conformance.target import Target
from services.conformance.verdict import Finding, Verdict, worst

Check: TypeAlias = Callable[["Conversation", Event], "Finding | None"]
"""Looks closer at an event that matched; returns what is wrong with it."""

TERMINAL = ("reject *", "abort *", "closed", "reset", "release response", "garbage*")
"""After one of these nothing of what a case had in mind can follow, unless it was the strict answer."""


class Over(Exception):
    """The case cannot go on: an answer came that ends it, or that fails it."""


class Conversation:
    """What the steps of a case work on.

    Attributes:
        target: the peer.
        connections: all that were opened, in order; the last one is the current.
        findings: what did not go as the strict answers say.
        last: the last event that was expected and came.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.connections: list[Connection] = []
        self.findings: list[Finding] = []
        self.last: Event = SILENCE

    @property
    def connection(self) -> Connection:
        """The current connection."""
        return self.connections[-1]

    @property
    def verdict(self) -> Verdict:
        """So far."""
        return worst(self.findings)

    async def connect(self, *, tls: ssl.SSLContext | None = None) -> Connection:
        """Open a connection and make it the current one.

        Args:
            tls: instead of the target's own.

        Raises:
            Over: nobody takes it; the case is then inconclusive.
        """
        target = self.target
        try:
            connection = await Connection.open(
                target.host,
                target.port,
                tls=tls or target.tls,
                timeout=target.timeout,
                number=len(self.connections) + 1,
            )
        except TimeoutError:
            self.inconclusive("a connection", f"none within {target.timeout:g} s")
        except OSError as error:
            self.inconclusive("a connection", cause(error))
        self.connections.append(connection)
        return connection

    async def close(self) -> None:
        """Close every connection that is still open."""
        await asyncio.gather(*(connection.close() for connection in self.connections))

    async def expect(
        self,
        strict: str,
        *tolerated: str,
        within: float | None = None,
        why: str = "",
        check: Check | None = None,
    ) -> Event:
        """Wait for what the peer does next and judge it.

        Args:
            strict: pattern of the answer by the book; see `matches`.
            tolerated: patterns of answers that are accepted as well.
            within: how long it may take, in seconds; None for the target's time-out, or, where the strict answer is
                silence, for as long as counts as silence.
            why: the rule, told where something else comes.
            check: looks closer at the strict answer.

        Returns:
            The event that came.

        Raises:
            Over: it was neither, or a tolerated one that ends the association.
        """
        if within is None:
            within = self.target.quiet if strict == "silence" else self.target.timeout
        event = await self.connection.receive(within)
        self.judge(event, strict, *tolerated, why=why, check=check)
        return event

    def judge(
        self, event: Event, strict: str, *tolerated: str, why: str = "", check: Check | None = None
    ) -> None:
        """Compare an event that came with the answers; see `expect`."""
        self.last = event
        if matches(event.text, strict):
            finding = check(self, event) if check is not None else None
            if finding is not None:
                self.findings.append(finding)
                if finding.verdict is Verdict.FAIL:
                    raise Over
            return
        if any(matches(event.text, pattern) for pattern in tolerated):
            self.tolerate(in_words(strict), event.text, why)
            if matches(event.text, "|".join(TERMINAL)):
                raise Over
            return
        self.fail(in_words(strict), event.text, why)

    def tolerate(self, expected: str, got: str, why: str = "") -> None:
        """Note a deviation that the standard or the field leaves room for."""
        self.findings.append(Finding(Verdict.TOLERATED, expected, got, why))

    def fail(self, expected: str, got: str, why: str = "") -> NoReturn:
        """Note a deviation, and end the case."""
        self.findings.append(Finding(Verdict.FAIL, expected, got, why))
        raise Over

    def inconclusive(self, expected: str, got: str, why: str = "") -> NoReturn:
        """Note that nothing could be found out, and end the case."""
        self.findings.append(Finding(Verdict.INCONCLUSIVE, expected, got, why))
        raise Over

    def not_applicable(self, got: str) -> NoReturn:
        """Note that the peer does not offer what the case is about, and end it."""
        self.findings.append(Finding(Verdict.NOT_APPLICABLE, "", got))
        raise Over

    @property
    def is_over(self) -> bool:
        """The peer has ended the current connection."""
        return not self.connections or self.last in OVER


def in_words(pattern: str) -> str:
    """A pattern for a person: its alternatives with "or" between them."""
    return pattern.replace("|", " or ")


def matches(text: str, pattern: str) -> bool:
    """Whether the text of an event matches a pattern: alternatives between `|`, with `*` and `?`."""
    return any(fnmatchcase(text, each) for each in pattern.split("|"))
