"""Room for conversions: bounded, in order, and never lost."""

import asyncio

import pytest

from loops import LoopFactory, run
from services.conversions import Room


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_finds_no_room_waits_in_order(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        room, order = Room(10), list[int]()

        async def take(size: int) -> None:
            await room.take(size)
            order.append(size)

        await room.take(6)
        waiting = [asyncio.create_task(take(size)) for size in (8, 2, 1)]
        await settle()
        assert order == [], "a small one does not overtake"
        room.give_back(6)
        await settle()
        assert order == [8, 2]
        room.give_back(8)
        await settle()
        assert order == [8, 2, 1]
        await asyncio.gather(*waiting)

    run(main(), loop_factory)


def test_more_than_there_is_is_refused(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        with pytest.raises(
            ValueError, match="a data set of 11 bytes is too long to be converted, at most 10"
        ):
            await Room(10).take(11)

    run(main(), loop_factory)


def test_nobody_waits_for_ever_and_who_gives_up_takes_nothing(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        room = Room(10, patience=0.02)
        await room.take(10)
        with pytest.raises(OSError, match=r"no room for a conversion within 0\.02 s"):
            await room.take(1)
        room.give_back(10)
        await room.take(10)

    run(main(), loop_factory)


def test_who_is_cancelled_takes_nothing(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        room = Room(10)
        await room.take(10)
        before, after = (asyncio.create_task(room.take(10)) for _ in range(2))
        await settle()
        before.cancel()
        await settle()
        room.give_back(10)
        await asyncio.wait_for(after, 10)
        room.give_back(10)
        admitted = asyncio.create_task(room.take(10))
        await asyncio.sleep(0)  # it has room, and does not know yet
        admitted.cancel()
        await settle()
        await asyncio.wait_for(room.take(10), 10)

    run(main(), loop_factory)


def test_a_loop_that_has_ended_holds_nobody_up(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        room = Room(10)
        await room.take(10)
        left = asyncio.create_task(room.take(10))
        await settle()
        ended = asyncio.new_event_loop()
        ended.close()
        room._waiting[0]._loop = ended
        room.give_back(10)
        await asyncio.wait_for(room.take(10), 10)
        left.cancel()

    run(main(), loop_factory)
