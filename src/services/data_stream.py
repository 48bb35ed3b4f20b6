"""A data set on its way to whoever reads it while it arrives: bounded, with the peer held back meanwhile."""

import asyncio
from collections import deque

from dimse.operation import Operation


class DataSetIncomplete(Exception):
    """The association ended, or the request failed, before the last fragment had come."""


class DataStream:
    """A sink on one side, an asynchronous iterator of `bytes` on the other.

    Args:
        operation: whose data set it is; its association is paused while too much waits here.
        high_water: bytes that may wait; what one more fragment adds comes on top.
    """

    def __init__(self, operation: Operation, high_water: int = 1 << 20) -> None:
        self._operation = operation
        self._high_water = high_water
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._broken = False
        self._ended = False
        self._changed = asyncio.Event()

    def write(self, chunk: memoryview) -> None:
        """Keep a copy of a fragment until it is read."""
        if self._broken:
            return
        self._chunks.append(bytes(chunk))
        self._waiting_bytes += len(chunk)
        self._changed.set()
        if self._waiting_bytes >= self._high_water:
            self._operation.pause()

    def end(self) -> None:
        """The last fragment has been written."""
        self._ended = True
        self._changed.set()

    def discard(self) -> None:
        """Nothing more comes; a reader that is not through learns that the data set is incomplete."""
        if not self._ended or self._chunks:
            self._broken = True
        self._chunks.clear()
        self._waiting_bytes = 0
        self._changed.set()

    def __aiter__(self) -> "DataStream":
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._broken:
                raise DataSetIncomplete("the data set broke off")
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        chunk = self._chunks.popleft()
        self._waiting_bytes -= len(chunk)
        if self._waiting_bytes < self._high_water // 2:
            self._operation.resume()
        return chunk
