"""Plays one case against a peer, and asks after it whether the peer still lives."""

import asyncio
import time

from services.conformance.case import Case
from services.conformance.conversation import Conversation, Over
from services.conformance.results import CaseResult, PlayedConnection
from services.conformance.steps import associate, echo, release
from services.conformance.target import Service, Target
from services.conformance.verdict import Finding, Verdict

LONGEST_CASE = 600.0
"""After it a case is given up whatever it waits for, in seconds."""


async def play(case: Case, target: Target, *, longest: float = LONGEST_CASE) -> CaseResult:
    """Play a case.

    Args:
        case: what to do.
        target: the peer.
        longest: how long it may take, in seconds; after it the case is inconclusive.
    """
    begun = time.monotonic()
    why_not = missing(case, target)
    if why_not:
        return CaseResult(case, Verdict.NOT_APPLICABLE, (Finding(Verdict.NOT_APPLICABLE, "", why_not),))
    conversation = Conversation(target)
    reached = 0
    try:
        async with asyncio.timeout(longest):
            await conversation.connect()
            for step in case.steps:
                await step.run(conversation)
                reached += 1
    except Over:
        pass
    except TimeoutError:
        finding = Finding(Verdict.INCONCLUSIVE, "an end", f"no time left after {longest:g} s")
        conversation.findings.append(finding)
    except Exception as error:  # a defect of the case must not end the run
        finding = Finding(
            Verdict.INCONCLUSIVE, "", f"the tester itself failed: {type(error).__name__}: {error}"
        )
        conversation.findings.append(finding)
    finally:
        await conversation.close()
    return CaseResult(
        case,
        conversation.verdict,
        tuple(conversation.findings),
        tuple(
            PlayedConnection(c.number, c.started, tuple(c.exchanges), c.cut) for c in conversation.connections
        ),
        time.monotonic() - begun,
        reached,
    )


def missing(case: Case, target: Target) -> str:
    """Why a case cannot be played; empty where it can."""
    if case.writes and not target.allow_write:
        return "it stores instances in the peer: only with --allow-write"
    for service in sorted(case.needs):
        if not target.offers(service):
            return f"the peer does not offer {service}"
    return ""


async def lives(target: Target, *, patience: float = 5.0) -> str:
    """Ask on a fresh association whether the peer serves; by a C-ECHO where it offers Verification.

    Args:
        target: the peer.
        patience: for how long to try again, in seconds; a peer that serves one at a time may need a moment.

    Returns:
        What is wrong; empty where nothing is.
    """
    steps = (*associate(), *(echo() if target.offers(Service.VERIFICATION) else ()), *release())
    deadline = time.monotonic() + patience
    while True:
        conversation = Conversation(target)
        try:
            await conversation.connect()
            for step in steps:
                await step.run(conversation)
        except Over:
            if time.monotonic() > deadline:
                return str(conversation.findings[-1])
            await asyncio.sleep(0.2)
        else:
            return ""
        finally:
            await conversation.close()
