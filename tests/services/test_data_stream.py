import asyncio
from typing import cast

import pytest

from dimse.operation import Operation
from loops import LoopFactory, run
from services.data_stream import DataSetIncomplete, DataStream


class Pausing:
    """Stands in for the operation: whether its association is paused."""

    paused = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


def stream(high_water: int = 100) -> tuple[DataStream, Pausing]:
    operation = Pausing()
    return DataStream(cast(Operation, operation), high_water), operation


def write(to: DataStream, data: bytes) -> None:
    memory = bytearray(data)
    with memoryview(memory) as view:
        to.write(view)
    memory[:] = bytes(len(memory))  # what is kept must be a copy


async def read(stream: DataStream) -> list[bytes]:
    return [chunk async for chunk in stream]


def test_chunks_come_out_as_they_went_in(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        data, _ = stream()
        reading = asyncio.create_task(read(data))
        for chunk in (b"one", b"two", b"three"):
            await asyncio.sleep(0)
            write(data, chunk)
        data.end()
        assert await reading == [b"one", b"two", b"three"]

    run(test(), loop_factory)


def test_an_end_without_data_is_an_empty_stream(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        data, _ = stream()
        reading = asyncio.create_task(read(data))
        await asyncio.sleep(0)
        data.end()
        assert await reading == []

    run(test(), loop_factory)


def test_the_peer_is_held_back_while_too_much_waits(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        data, operation = stream(high_water=100)
        write(data, bytes(99))
        assert not operation.paused
        write(data, bytes(60))
        assert operation.paused
        await anext(data)
        assert operation.paused  # 60 bytes are more than half of what may wait
        await anext(data)
        assert not operation.paused

    run(test(), loop_factory)


def test_a_reader_that_waits_learns_that_the_data_set_broke_off(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        data, _ = stream()
        reading = asyncio.create_task(read(data))
        await asyncio.sleep(0)
        write(data, b"one")
        data.discard()
        with pytest.raises(DataSetIncomplete):
            await reading

    run(test(), loop_factory)


def test_nothing_is_kept_of_what_comes_after_it_broke_off(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        data, operation = stream()
        data.discard()
        write(data, bytes(1000))
        assert not operation.paused
        with pytest.raises(DataSetIncomplete):
            await anext(data)

    run(test(), loop_factory)


def test_what_is_discarded_after_its_end_is_incomplete_for_who_has_not_read_it(
    loop_factory: LoopFactory,
) -> None:
    async def test() -> None:
        data, _ = stream()
        write(data, b"one")
        write(data, b"two")
        data.end()
        assert await anext(data) == b"one"
        data.discard()
        with pytest.raises(DataSetIncomplete):
            await anext(data)

    run(test(), loop_factory)


def test_what_is_discarded_once_it_is_read_just_ends(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        data, _ = stream()
        write(data, b"one")
        data.end()
        assert await anext(data) == b"one"
        data.discard()
        assert await read(data) == []

    run(test(), loop_factory)
