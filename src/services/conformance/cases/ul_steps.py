"""Steps that the cases about PDUs and negotiation share, beyond those of `services.conformance.steps`."""

import time
from collections.abc import Callable, Iterable

from services.conformance.building import c_echo_rq, message
from services.conformance.conversation import Check, Conversation, Over
from services.conformance.steps import Bytes, Do, Expect, Send, Step, check_title, close, echo, reconnect
from services.conformance.target import Service, Target
from services.conformance.verdict import Verdict

ECHO = (Service.VERIFICATION,)
"""What a case needs that ends with a C-ECHO."""

ECHO_RQ = message(1, c_echo_rq(7))
"""A C-ECHO-RQ on the context that `associate` made."""

OVER = "closed|reset"
SILENT = "silence|closed|reset"
"""Nothing is sent, whether the connection stays or not."""


def until_artim(target: Target) -> float:
    """How long to wait for the peer's ARTIM timer, in seconds."""
    return target.until_artim


def quietly(target: Target) -> float:
    """How long silence takes, in seconds."""
    return target.quiet


class IfAccepted(Step):
    """Go on only where the association was accepted; a refusal was judged by the step before.

    Args:
        steps: what to do then.
        check: looks at the answer first.
    """

    def __init__(self, *steps: Step | Iterable[Step], check: Check | None = None) -> None:
        self.steps = flat(*steps)
        self.check = check

    def describe(self) -> str:
        parts = [f"expects it {check_title(self.check)}"] if self.check is not None else []
        return "if accepted, " + ", then ".join(parts + [step.describe() for step in self.steps])

    async def run(self, conversation: Conversation) -> None:
        if conversation.last.text != "accept":
            return
        finding = self.check(conversation, conversation.last) if self.check is not None else None
        if finding is not None:
            conversation.findings.append(finding)
            if finding.verdict is Verdict.FAIL:
                raise Over
        for step in self.steps:
            await step.run(conversation)


def flat(*steps: Step | Iterable[Step]) -> tuple[Step, ...]:
    """Steps and groups of steps as steps."""
    found: list[Step] = []
    for each in steps:
        found.extend([each] if isinstance(each, Step) else each)
    return tuple(found)


def nothing_more(why: str = "") -> Expect:
    """Expect that no PDU comes; the connection may stay or close."""
    return Expect(SILENT, within=quietly, why=why)


def ends(why: str = "", within: float | Callable[[Target], float] | None = None) -> Expect:
    """Expect that the peer closes the connection, in whatever way, and sends nothing before."""
    return Expect(OVER, within=within, why=why)


def several() -> Do:
    """End the case as not applicable where the peer serves one connection at a time."""

    async def run(conversation: Conversation) -> None:
        if not conversation.target.offer.serves_several:
            conversation.not_applicable("the peer serves one connection at a time")

    return Do("needs a peer that serves several connections at a time", run)


def trickle(title: str, what: Bytes, patience: Callable[[Target], float]) -> Do:
    """Send bytes one by one, so slowly that all of them take twice as long as the peer may wait.

    Ends with the first thing the peer does, which must be the close of the connection.
    """

    async def run(conversation: Conversation) -> None:
        target, connection = conversation.target, conversation.connection
        data = what if isinstance(what, bytes) else what(target)
        most = patience(target)
        pace = 2 * most / len(data)
        begun = time.monotonic()
        for position in range(len(data)):
            await connection.send(data[position : position + 1], timeout=target.timeout)
            event = await connection.receive(pace)
            if event.text != "silence" or time.monotonic() - begun > most:
                why = "only a whole A-ASSOCIATE-RQ stops ARTIM (AE-6), no part of one"
                conversation.judge(event, OVER, why=why)
                return

    return Do(f"sends {title} byte by byte, for longer than ARTIM; expects {OVER}", run)


def afterwards(*steps: Step | Iterable[Step]) -> tuple[Step, ...]:
    """On another connection: these steps, by which the peer shows that it took no harm.

    The first one is closed before, for the sake of peers that serve one at a time.
    """
    return (close(), reconnect(), *flat(*steps))


def send_all(title: str, *parts: Bytes) -> Send:
    """Send several things in one write."""

    def joined(target: Target) -> bytes:
        return b"".join(part if isinstance(part, bytes) else part(target) for part in parts)

    return Send(f"{title} at once", joined)


def accepted_then_echo(why: str = "", *tolerated: str, check: Check | None = None) -> tuple[Step, ...]:
    """Expect acceptance, and that the association then serves a C-ECHO."""
    return (Expect("accept", *tolerated, why=why, check=check), *echo())
