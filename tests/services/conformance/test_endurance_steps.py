"""Strays: how many, how many at once, what becomes of the one that shows a fault; and the noise sent on them."""

import asyncio
import random

import pytest

from agreeable import agreeable
from loops import LoopFactory, run
from services.conformance.case import case
from services.conformance.cases import endurance_steps
from services.conformance.cases.endurance_noise import mutated
from services.conformance.cases.endurance_steps import SIDE_BY_SIDE, Stray, from_scratch, strays
from services.conformance.connection import Connection, Event
from services.conformance.conversation import Conversation
from services.conformance.player import play
from services.conformance.results import CaseResult
from services.conformance.steps import Do
from services.conformance.target import Offer, Target
from services.conformance.verdict import Verdict


class _Counting:
    """A stray that counts itself; on some numbers an event comes that should not."""

    def __init__(self, wrong: dict[int, str] | None = None) -> None:
        self.numbers: list[int] = []
        self.at_once = self.most_at_once = 0
        self._wrong = wrong or {}

    async def __call__(self, connection: Connection, target: Target, number: int) -> Event | None:
        self.numbers.append(number)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        return Event(self._wrong[number]) if number in self._wrong else None


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every association asked for in between is served; how many connections there were by then."""
    asked: list[int] = []

    async def serve(conversation: Conversation) -> None:
        asked.append(len(conversation.connections))

    monkeypatch.setattr(endurance_steps, "serve", serve)
    return asked


def _play(
    what: Stray, loop_factory: LoopFactory, *, count: int = 20, alive_every: int = 0, several: bool = True
) -> CaseResult:
    step = strays("does it", count, what, expected="nothing", why="the rule", alive_every=alive_every)

    async def test() -> CaseResult:
        async with agreeable() as port:
            target = Target(
                host="127.0.0.1", port=port, called_ae=b"X", timeout=0.5, offer=Offer(serves_several=several)
            )
            return await play(case("endurance-999", "A case", "PS3.8 9", from_scratch(), step), target)

    return run(test(), loop_factory)


def test_each_number_has_one_stray_and_no_record(served: list[int], loop_factory: LoopFactory) -> None:
    what = _Counting()
    result = _play(what, loop_factory, count=20)
    assert sorted(what.numbers) == list(range(20))
    assert what.most_at_once == SIDE_BY_SIDE
    assert result.verdict is Verdict.PASS
    assert len(result.connections) == 1
    assert served == [1]


def test_a_peer_that_serves_one_at_a_time_gets_one_at_a_time(
    served: list[int], loop_factory: LoopFactory
) -> None:
    what = _Counting()
    _play(what, loop_factory, several=False)
    assert what.most_at_once == 1


def test_the_peer_is_asked_in_between(served: list[int], loop_factory: LoopFactory) -> None:
    _play(_Counting(), loop_factory, count=20, alive_every=8)
    assert len(served) == 3


def test_the_stray_with_the_fault_is_named_and_recorded(served: list[int], loop_factory: LoopFactory) -> None:
    result = _play(_Counting({3: "garbage"}), loop_factory)
    assert result.verdict is Verdict.FAIL
    assert result.findings[0].got == "garbage on connection 4"
    assert [connection.number for connection in result.connections] == [1, 4]
    assert served == []


def test_a_peer_that_is_busy_for_a_moment_is_not_at_fault(
    served: list[int], loop_factory: LoopFactory
) -> None:
    assert _play(_Counting({3: "reject 2/3/2"}), loop_factory).verdict is Verdict.PASS


def test_after_its_time_nothing_more_is_begun(
    served: list[int], loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endurance_steps, "LONGEST", -1.0)
    what = _Counting()
    _play(what, loop_factory)
    assert what.numbers == []
    assert served == [1]


def test_a_peer_that_takes_no_more_connections_fails(served: list[int], loop_factory: LoopFactory) -> None:
    async def test() -> CaseResult:
        async with agreeable() as port:
            target = Target(host="127.0.0.1", port=port, called_ae=b"X", timeout=0.5)

            async def gone(conversation: Conversation) -> None:
                target.port = 1  # where nobody listens

            step = strays("does it", 5, _Counting(), expected="nothing", why="the rule")
            return await play(case("endurance-999", "A case", "PS3.8 9", Do("leaves", gone), step), target)

    result = run(test(), loop_factory)
    assert result.verdict is Verdict.FAIL
    assert result.findings[0].expected == "connection 1 to be taken"


def test_a_peer_that_answers_wrongly_afterwards_fails(loop_factory: LoopFactory) -> None:
    result = _play(_Counting(), loop_factory)
    assert result.verdict is Verdict.FAIL
    assert result.findings[0].expected == "C-ECHO-RSP 7 0000"


# -- noise


def _noise(seed: int, data: bytes = bytes(range(100))) -> bytes:
    return mutated(random.Random(seed), data)


def test_the_same_seed_makes_the_same_noise() -> None:
    assert [_noise(seed) for seed in range(50)] == [_noise(seed) for seed in range(50)]


def test_noise_is_not_what_it_was_made_of_and_not_much_longer() -> None:
    results = [_noise(seed) for seed in range(500)]
    assert len(set(results)) > 400
    assert sum(result == bytes(range(100)) for result in results) < 25
    assert max(map(len, results)) <= 100 + 4 * 16


def test_noise_can_be_made_of_nothing() -> None:
    assert all(isinstance(_noise(seed, b""), bytes) for seed in range(200))
