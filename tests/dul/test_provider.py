"""The short way of P-DATA comes to what the state machine and its effects come to (PS3.8 9.2.2, Table 9-10).

An observed association goes the long way, so every scenario runs with an observer and without one.
"""

import asyncio
from collections.abc import Callable

import pytest

from dul.encode import encode_pdu
from dul.enums import Role, State
from dul.errors import InvalidPDU, LocalProtocolError
from dul.pdus import PDV, PDataTF
from dul.primitives import Indication, PDataIndication
from dul.provider import ProviderOptions, ServiceProvider
from memory_provider import MemoryProvider, settle
from raw_bytes import pdus_of

DATA = PDataTF((PDV(1, 2, b"data"), PDV(1, 3, b"more")))
ANSWER = PDataTF((PDV(1, 2, b"answer"),))


class User:
    """Does something while it takes a P-DATA indication, and keeps what it was told, and in which state."""

    def __init__(self, provider: ServiceProvider, reaction: Callable[[ServiceProvider], None]) -> None:
        self.busy = False
        self.told: list[object] = []
        self._provider = provider
        self._reaction = reaction

    def opened(self) -> None:
        self.told.append("opened")

    def indicate(self, primitive: Indication) -> None:
        if not isinstance(primitive, PDataIndication):
            self.told.append((primitive, self._provider.state))
            return
        self.told.append(([bytes(pdv.data) for pdv in primitive.pdvs], self._provider.state))
        self._reaction(self._provider)

    def timed_out(self, cause: str) -> None:
        self.told.append(cause)

    def closed(self) -> None:
        self.told.append("closed")


def nothing(provider: ServiceProvider) -> None:
    pass


def answers(provider: ServiceProvider) -> None:
    provider.p_data(ANSWER)
    provider.p_data(DATA)


def finds_it_invalid(provider: ServiceProvider) -> None:
    provider.p_data(ANSWER)
    raise InvalidPDU("no fragment of any message")


def aborts(provider: ServiceProvider) -> None:
    provider.p_data(ANSWER)
    provider.abort()
    with pytest.raises(LocalProtocolError):
        provider.p_data(ANSWER)


def releases(provider: ServiceProvider) -> None:
    if provider.state is State.Sta6:  # after it, data still comes (AR-6)
        provider.release_request()
    with pytest.raises(LocalProtocolError):
        provider.p_data(ANSWER)


REACTIONS = [nothing, answers, finds_it_invalid, aborts, releases]


async def outcome(
    state: State,
    observed: bool,
    reaction: Callable[[ServiceProvider], None],
    act: Callable[[MemoryProvider], None],
) -> list[object]:
    """Everything that can be seen of an association that stood in `state` when something happened."""
    seen: list[object] = []
    options = ProviderOptions(observe=lambda _: seen.append if observed else None)
    provider = MemoryProvider(Role.ACCEPTOR, lambda provider: User(provider, reaction), options)
    provider.machine.state = state
    act(provider)
    await settle()
    assert bool(seen) is observed
    assert isinstance(provider.user, User)
    return [
        provider.user.told,
        provider.take_sent(),
        provider.state,
        provider.machine.take_effects(),
        (provider.is_half_closed, provider.is_closed, provider.artim, provider.artim_starts),
        (provider.pdus_received, provider.bytes_received, provider.longest_received),
        (provider.pdus_sent, provider.bytes_sent),
    ]


@pytest.mark.parametrize("state", [s for s in State if s is not State.Sta1], ids=lambda s: s.name)
@pytest.mark.parametrize("reaction", REACTIONS, ids=lambda reaction: reaction.__name__)
def test_p_data_received(state: State, reaction: Callable[[ServiceProvider], None]) -> None:
    async def both() -> None:
        def act(provider: MemoryProvider) -> None:
            provider.feed(encode_pdu(DATA) + encode_pdu(ANSWER))

        reacts = reaction if state is State.Sta6 else nothing
        assert await outcome(state, False, reacts, act) == await outcome(state, True, reacts, act)

    asyncio.run(both())


@pytest.mark.parametrize("state", [State.Sta6, State.Sta8], ids=lambda s: s.name)
def test_p_data_requested(state: State) -> None:
    async def both() -> None:
        def act(provider: MemoryProvider) -> None:
            provider.p_data(ANSWER)
            with pytest.raises(ValueError, match="without a PDV"):
                provider.p_data(PDataTF(()))
            provider.p_data(DATA)

        short = await outcome(state, False, nothing, act)
        assert short == await outcome(state, True, nothing, act)
        assert short[1] == pdus_of(encode_pdu(ANSWER) + encode_pdu(DATA))

    asyncio.run(both())
