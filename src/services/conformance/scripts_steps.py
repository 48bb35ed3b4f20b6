"""What scripts are written with: steps that take what an SCU does, answer it, and judge what it does then."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from services.conformance.accepted import Asked, Association
from services.conformance.answering import accept, reject, whole_answer
from services.conformance.building import RELEASE_RP
from services.conformance.connection import OVER, SILENCE, Event
from services.conformance.conversation import Conversation, Over, matches
from services.conformance.steps import Step
from services.conformance.verdict import Finding, Verdict

Make: TypeAlias = Callable[[Association], bytes]
"""How to make what is sent, once it is known what the SCU asked."""

MakeAnswer: TypeAlias = Callable[[Association, Asked], bytes]
"""How to make the answer to a request."""

WAITS = "waits"
"""Pattern: the SCU does nothing."""

GOES_ON = "release|request *"
"""Pattern: the SCU goes on as if nothing had happened: it makes another request, or releases."""

_WORDS = {
    WAITS: "waiting",
    "closed": "the close of the connection",
    "reset": "a broken connection",
    "request *": "a request",
    "release": "an A-RELEASE-RQ",
    "release response": "an A-RELEASE-RP",
}
_MOST_REQUESTS = 100_000
_SETTLE = 0.3
"""How long an SCU that must not answer is watched, in seconds."""


def association_of(conversation: Conversation) -> Association:
    """The conversation, as what the acceptor makes."""
    if not isinstance(conversation, Association):
        raise TypeError("a script is played by an acceptor")
    return conversation


class Act(Step):
    """Do something with an association.

    Args:
        title: the rest of a sentence that begins with "The tester".
        action: what to do.
        why: the rule that makes the SCU's answer right.
    """

    def __init__(self, title: str, action: Callable[[Association], Awaitable[None]], why: str = "") -> None:
        self.title = title
        self.action = action
        self.why = why

    def describe(self) -> str:
        return self.title

    async def run(self, conversation: Conversation) -> None:
        await self.action(association_of(conversation))


# -- the beginning


async def _take_request(association: Association) -> None:
    event = await association.next(association.target.timeout)
    association.judge(event, "associate", why="an association begins with an A-ASSOCIATE-RQ (PS3.8 9.2)")
    called = association.request.called_ae if association.request else ""
    expected = association.target.called_ae.decode("latin-1")
    if expected and called != expected:
        await association.connection.send(reject(1, 1, 7), timeout=association.target.timeout)
        association.inconclusive(
            f"an association called '{expected}'", f"one called '{called}', rejected 1/1/7"
        )


def requested() -> Act:
    """Take the A-ASSOCIATE-RQ."""
    return Act("expects an A-ASSOCIATE-RQ, right in every field", _take_request)


def reply(title: str, make: Make | bytes, *, piece: int = 0) -> Act:
    """Send something.

    Args:
        title: what it is: "an A-ASSOCIATE-AC twice".
        make: its bytes, or how to make them.
        piece: bytes to a TCP segment; 0 for all at once.
    """

    async def action(association: Association) -> None:
        data = make if isinstance(make, bytes) else make(association)
        await association.connection.send(data, piece=piece, timeout=association.target.timeout)

    pieces = f", {piece} byte{'s' * (piece > 1)} at a time" if piece else ""
    return Act(f"sends {title}{pieces}", action)


def accepted(title: str = "an A-ASSOCIATE-AC", make: Make = accept, *, piece: int = 0) -> tuple[Step, ...]:
    """Take the request and accept it."""
    return (requested(), reply(title, make, piece=piece))


async def _take_first(association: Association) -> None:
    event = await association.next(association.idle)
    while (asked := association.request_of(event)) is not None:
        if not association.asks or asked.label in association.asks:
            association.asked = asked
            return
        await _answer(association, asked)
        event = await association.next(association.idle)
    if event in OVER or matches(event.text, "abort *|garbage*"):
        association.fail("a request", event.text, "nothing gave a reason not to make one")
    if event is SILENCE:
        association.inconclusive("a request", f"nothing for {association.idle:g} s")
    if event.text == "release":
        wanted = " or ".join(sorted(association.asks)) or "request"
        association.findings.append(Finding(Verdict.NOT_APPLICABLE, "", f"the SCU made no {wanted}"))
        await _confirm_release(association)
        raise Over
    association.fail("a request", event.text, "an SCU makes requests, and answers none (PS3.7 9.1)")


def asked() -> Act:
    """Take the first request the script is about; those before it are answered well."""
    return Act("expects a request, right in every element", _take_first)


def served() -> tuple[Step, ...]:
    """Take the association request, accept it, and take the first request: the SCU then waits for our answer."""
    return (*accepted(), asked())


# -- answers


def _current(association: Association) -> Asked:
    if association.asked is None:
        raise LookupError("asked() comes before an answer")
    return association.asked


def answer(title: str, make: MakeAnswer = whole_answer, *, piece: int = 0, final: bool = True) -> Act:
    """Answer the request that `asked` took.

    Args:
        title: what is sent: "the response in fragments of 2 bytes".
        make: how to make it.
        piece: bytes to a TCP segment; 0 for all at once.
        final: the request is answered by it, as the rules see it.
    """

    async def action(association: Association) -> None:
        current = _current(association)
        data = make(association, current)
        if final:
            association.answered(current.message_id)
        await association.connection.send(data, piece=piece, timeout=association.target.timeout)

    pieces = f", {piece} byte{'s' * (piece > 1)} at a time" if piece else ""
    return Act(f"sends {title}{pieces}", action)


async def _answer(association: Association, request: Asked) -> None:
    association.answered(request.message_id)
    await association.connection.send(whole_answer(association, request), timeout=association.target.timeout)


async def _confirm_release(association: Association) -> None:
    """Send the A-RELEASE-RP, after which the SCU closes (AR-3)."""
    await association.connection.send(RELEASE_RP, timeout=association.target.timeout)
    event = await association.next(association.target.timeout)
    if event not in OVER:
        association.judge(event, "closed", "abort 0/*", why="AR-3 closes after the A-RELEASE-RP (PS3.8 9.2)")


async def serve_on(association: Association, *, strict: bool = True) -> None:
    """Answer every request well until the SCU ends the association.

    Args:
        association: with the SCU.
        strict: only an orderly release, or an A-ABORT of the service user, is a right end; otherwise any end will do.
    """
    for _ in range(_MOST_REQUESTS):
        event = await association.next(association.idle)
        request = association.request_of(event)
        if request is not None:
            await _answer(association, request)
        elif event.text == "release":
            await _confirm_release(association)
            return
        elif event.message is not None and event.text.startswith("C-CANCEL"):
            continue
        elif not strict:
            return
        elif matches(event.text, "abort 0/*"):
            association.tolerate("an orderly release", event.text, "the service user may abort at any time")
            return
        elif event is SILENCE:
            association.inconclusive("an orderly release", f"nothing for {association.idle:g} s")
        else:
            association.fail("an orderly release", event.text, "PS3.7 A.5, A.6: a release, or an A-ABORT")
    association.inconclusive("an orderly release", f"more than {_MOST_REQUESTS} requests")


def to_the_end() -> Act:
    """Answer well until the SCU releases the association."""
    return Act(
        "answers every request well; expects an orderly release, and the close of the connection", serve_on
    )


# -- what the SCU does then


class React(Step):
    """See what the SCU does about something, and judge it; the association is then brought to its end.

    Args:
        strict: pattern of what it must do: "abort 2/2", `GOES_ON`, `WAITS`, "closed", "release response".
        tolerated: patterns of what it may do as well.
        why: the rule.
        within: how long it may take, in seconds, or how to know; None for the time-out.
        crossing: it may have sent what follows before it could know: requests and an A-RELEASE-RQ are passed over.
        hopeless: an SCU that waits cannot be helped on: the association is then aborted.
    """

    def __init__(
        self,
        strict: str,
        *tolerated: str,
        why: str = "",
        within: Callable[[Association], float] | None = None,
        crossing: bool = False,
        hopeless: bool = False,
    ) -> None:
        self.strict = strict
        self.tolerated = tolerated
        self.why = why
        self.within = within
        self.crossing = crossing
        self.hopeless = hopeless

    def describe(self) -> str:
        also = f" (tolerated: {', '.join(map(_in_words, self.tolerated))})" if self.tolerated else ""
        return f"expects {_in_words(self.strict)}{also}"

    async def run(self, conversation: Conversation) -> None:
        association = association_of(conversation)
        event = await self._next(association)
        text = event.text
        if association.request_of(event) is not None:
            text = f"request {text}"
        elif event is SILENCE:
            text = WAITS
        as_it_must = matches(text, self.strict)
        if not as_it_must:
            if not any(matches(text, pattern) for pattern in self.tolerated):
                association.fail(_in_words(self.strict), _in_words(text), self.why)
            association.tolerate(_in_words(self.strict), _in_words(text), self.why)
        if event is not SILENCE or not self.hopeless:
            await _finish(association, event, strict=as_it_must)
        if not as_it_must:
            raise Over

    async def _next(self, association: Association) -> Event:
        within = association.target.timeout if self.within is None else self.within(association)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while True:
            event = await association.next(max(0.0, deadline - loop.time()))
            crossed = event.text == "release" or association.request_of(event) is not None
            if not (self.crossing and crossed):
                return event


def _in_words(pattern: str) -> str:
    """A pattern, or what came, for a person."""
    alternatives = pattern.replace(GOES_ON, "going on").split("|")
    return " or ".join(_WORDS.get(each, each.removeprefix("request ")) for each in alternatives)


async def _finish(association: Association, event: Event, *, strict: bool) -> None:
    """Bring an association to its end: an SCU must not hang on our account. With `strict` its end must be right."""
    if event.text == "release":
        await _confirm_release(association)
    elif event.message is not None or event is SILENCE:
        for outstanding in list(association.outstanding.values()):
            await _answer(association, outstanding)
        await serve_on(association, strict=strict)
    elif event.text.startswith("abort"):
        await _stays_silent(association)


async def _stays_silent(association: Association) -> None:
    """After its A-ABORT the SCU sends nothing more, but an A-ABORT again to what it cannot read."""
    event = await association.next(_SETTLE)
    if event is not SILENCE and event not in OVER and not event.text.startswith("abort"):
        association.fail(
            "nothing after its A-ABORT", event.text, "AA-6, AA-7: Sta13 sends nothing else (PS3.8 9.2)"
        )


def gives_up(reason: str, *tolerated: str, why: str, crossing: bool = False) -> React:
    """Expect an A-ABORT "source/reason"; the same source with another reason is tolerated (PS3.8 9.3.8)."""
    source = reason.partition("/")[0]
    return React(f"abort {reason}", f"abort {source}/*", *tolerated, why=why, crossing=crossing)


def goes_on(*tolerated: str, why: str) -> React:
    """Expect that the SCU takes no notice: it makes its next request, or releases."""
    return React(GOES_ON, *tolerated, why=why)


def ends(why: str, *tolerated: str, crossing: bool = False, unread: bool = False) -> React:
    """Expect that the SCU closes the connection and sends nothing before.

    Args:
        why: the rule.
        tolerated: patterns of what it may do instead.
        crossing: see `React`.
        unread: it closes while bytes are there that it need not read, by which TCP makes a reset of the close.
    """
    return React("closed|reset" if unread else "closed", "reset", *tolerated, why=why, crossing=crossing)


def keeps_still(seconds: Callable[[Association], float], what: str) -> Act:
    """Say nothing for a while, in which the SCU must wait for its answer; that it gives up is tolerated."""

    async def action(association: Association) -> None:
        event = await association.next(seconds(association))
        if event is SILENCE:
            return
        if matches(event.text, "abort 0/*|closed|reset"):
            association.tolerate(f"patience with {what}", event.text, "it did not wait as long")
            raise Over
        association.fail(f"patience with {what}", event.text, "it must wait for the answer")

    return Act(f"keeps still for a while; expects that the SCU waits for {what}", action)


def released() -> Act:
    """Answer well until the SCU asks for the release; that is not answered."""

    async def action(association: Association) -> None:
        for _ in range(_MOST_REQUESTS):
            event = await association.next(association.idle)
            request = association.request_of(event)
            if request is None:
                association.judge(event, "release", why="an association ends with a release (PS3.7 A.5)")
                return
            await _answer(association, request)
        association.inconclusive("a release", f"more than {_MOST_REQUESTS} requests")

    return Act("answers every request well; expects an A-RELEASE-RQ", action)
