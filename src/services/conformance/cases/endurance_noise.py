"""Noise: random and mutated bytes, the same in every run (case 166). The peer must live through all of it."""

import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

from services.conformance.building import RELEASE_RQ, p_data, pdu, pdv
from services.conformance.case import Case, case
from services.conformance.cases.dimse_steps import ECHO, ECHO_RQ, echo_message, long_echo_rq
from services.conformance.cases.endurance_steps import Stray, ended, established, from_scratch, strays
from services.conformance.connection import Connection, Event
from services.conformance.steps import proposal
from services.conformance.target import Target

SEED = 166
_TIMES = 300
_ALIVE_EVERY = 100

Noise: TypeAlias = Callable[[random.Random, Target], bytes]
"""Makes the bytes to send on one connection."""

INTERESTING = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff")
"""Values on the edge of something."""


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The same bytes with one to four mistakes in them: bits turned, bytes replaced, inserted, left out or repeated."""
    result = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(result) + 1)
        end = at + rng.choice((1, 1, 2, 4, 16))
        match rng.randrange(6):
            case 0 if at < len(result):
                result[at] ^= 1 << rng.randrange(8)
            case 1:
                value = rng.choice(INTERESTING)
                result[at : at + len(value)] = value
            case 2:
                result[at:at] = rng.randbytes(rng.choice((1, 2, 8)))
            case 3:
                del result[at:end]
            case 4:
                result[at:at] = result[at:end]
            case _:
                del result[at:]
    return bytes(result)


# -- what is sent


def _random(rng: random.Random, _: Target) -> bytes:
    return rng.randbytes(rng.choice((1, 5, 6, 7, 74, 200, 2000)))


def _random_after_type(rng: random.Random, _: Target) -> bytes:
    body = rng.randbytes(rng.choice((0, 4, 68, 200)))
    return pdu(rng.randint(1, 7), body)


def _request(rng: random.Random, target: Target) -> bytes:
    return mutated(rng, proposal(target, "echo", "store", "find", "refused"))


def _conversation(rng: random.Random, target: Target) -> bytes:
    return mutated(rng, proposal(target) + echo_message(ECHO_RQ) + RELEASE_RQ)


def _p_data(rng: random.Random, _: Target) -> bytes:
    return mutated(rng, echo_message(ECHO_RQ) + p_data(pdv(1, 1, ECHO_RQ[:20]), pdv(1, 3, ECHO_RQ[20:])))


def _command_set(rng: random.Random, _: Target) -> bytes:
    """Right to the last PDV, wrong inside."""
    data = mutated(rng, rng.choice((ECHO_RQ, long_echo_rq(400))))
    return p_data(pdv(1, 3, data + b"\0" * (len(data) % 2)))


def _pdus_in_any_order(rng: random.Random, target: Target) -> bytes:
    right = (
        proposal(target),
        echo_message(ECHO_RQ),
        RELEASE_RQ,
        pdu(6, bytes(4)),
        pdu(7, bytes(4)),
        pdu(3, b"\0\1\1\1"),
        pdu(2, proposal(target)[6:]),
    )
    return b"".join(rng.choices(right, k=rng.randint(1, 6)))


# -- how


def _send(make: Noise, *, associated: bool) -> Stray:
    async def act(connection: Connection, target: Target, number: int) -> Event | None:
        # Each connection has its own, so that it does not matter which goes first.
        rng = random.Random(SEED * 1_000_003 + number)
        if associated:
            wrong = await established(connection, target)
            if wrong is not None:
                return wrong
        await connection.send(make(rng, target), timeout=target.timeout)
        await ended(connection, target.quiet)
        return None

    return act


def _noise() -> Iterator[Case]:
    ways: dict[str, tuple[str, str, Noise, bool]] = {
        "a": ("Random bytes", "sends random bytes", _random, False),
        "b": (
            "PDUs with a random body",
            "sends a PDU of a random type with a random body",
            _random_after_type,
            False,
        ),
        "c": ("Mutated A-ASSOCIATE-RQs", "sends an A-ASSOCIATE-RQ with mistakes in it", _request, False),
        "d": (
            "Mutated conversations",
            "sends an A-ASSOCIATE-RQ, a C-ECHO-RQ and an A-RELEASE-RQ with mistakes in them",
            _conversation,
            False,
        ),
        "e": ("Mutated P-DATA-TFs", "associates and sends P-DATA-TFs with mistakes in them", _p_data, True),
        "f": (
            "Mutated command sets",
            "associates and sends a command set with mistakes in it",
            _command_set,
            True,
        ),
        "g": ("PDUs in any order", "sends up to six right PDUs in any order", _pdus_in_any_order, False),
    }
    for letter, (title, what, make, associated) in ways.items():
        yield case(
            f"endurance-166{letter}",
            f"{title} on {_TIMES} connections",
            "PS3.8 9.2, whatever comes",
            from_scratch(),
            strays(
                f"{what} and closes its half of the connection",
                _TIMES,
                _send(make, associated=associated),
                expected="acceptance of a right A-ASSOCIATE-RQ",
                why="whatever one peer sends, the next one is served",
                alive_every=_ALIVE_EVERY,
            ),
            needs=ECHO,
            note=f"the bytes are the same in every run: they come from the seed {SEED} and the connection's number.",
        )


CASES: tuple[Case, ...] = (*_noise(),)
