"""What is said over a channel is heard at the other end, with the descriptors that go with it."""

import asyncio
import os
from collections.abc import Sequence

from loops import LoopFactory, run
from services.server.channel import Channel, Message, pair


class Listener:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[Message | None, Sequence[int]]] = asyncio.Queue()

    def __call__(self, message: Message | None, descriptors: Sequence[int]) -> None:
        self.heard.put_nowait((message, descriptors))


def test_messages_arrive_in_order_and_with_descriptors(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        ours, theirs = pair()
        listener = Listener()
        one, other = Channel(ours, lambda *_: None), Channel(theirs, listener)
        read, write = os.pipe()
        assert one.say(Message.COUNT)
        assert one.say(Message.CONNECTION, [read])
        os.close(read)
        assert await listener.heard.get() == (Message.COUNT, [])
        message, [descriptor] = await listener.heard.get()
        assert message is Message.CONNECTION
        assert not os.get_inheritable(descriptor)
        os.write(write, b"through the other descriptor")
        assert os.read(descriptor, 100) == b"through the other descriptor"
        for each in (descriptor, write):
            os.close(each)
        one.close()
        assert await listener.heard.get() == (None, ())
        assert not other.say(Message.READY)

    run(main(), loop_factory)


def test_something_can_be_said_from_a_thread(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        ours, theirs = pair()
        listener = Listener()
        one, other = Channel(ours, lambda *_: None), Channel(theirs, listener)
        await asyncio.to_thread(one.say_from_thread, Message.LOST)
        assert await listener.heard.get() == (Message.LOST, [])
        other.close()
        one.close()
        one.close()

    run(main(), loop_factory)


def test_whoever_does_not_listen_stops_nobody(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        ours, theirs = pair()
        one = Channel(ours, lambda *_: None)
        said = 0
        while one.say(Message.COUNT):
            said += 1
            assert said < 1_000_000
        assert said > 1
        one.close()
        theirs.close()

    run(main(), loop_factory)
