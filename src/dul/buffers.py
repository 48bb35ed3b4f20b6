"""Receive buffers: one shared by the whole loop, the rest lent to partial PDUs.

A read lands in the shared buffer. Where it ends inside a PDU, the association keeps that buffer until the
PDU is complete and the loop goes on with another, so nothing is copied and an idle association holds none.
The bytes that are lent at one time are bounded.
"""

from collections import deque

from dul.framing import HEADER_LENGTH


class Buffer:
    """Fixed memory with one view over it, which is what `get_buffer` hands out.

    It is never resized: uvloop still holds an export of it inside the callback.
    """

    __slots__ = ("data", "view")

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self.view = memoryview(self.data)

    def __len__(self) -> int:
        return len(self.data)


class BuffersExhausted(Exception):
    """More bytes would be lent than the pool allows."""


class BufferPool:
    """The buffers of one loop.

    Args:
        p_data_tf: the longest P-DATA-TF we announce, in bytes.
        maximum_lent: bytes that may be lent at one time; above it `BuffersExhausted` is raised.
    """

    _KEPT_FREE = 16

    def __init__(self, p_data_tf: int, maximum_lent: int = 256 << 20) -> None:
        # Room for one PDU, and for a second one to begin behind it without being moved.
        self.size = 2 * (HEADER_LENGTH + p_data_tf)
        self.maximum_lent = maximum_lent
        self.lent = 0
        self.shared = Buffer(self.size)
        self._free: deque[Buffer] = deque(maxlen=self._KEPT_FREE)

    def keep_shared(self) -> Buffer:
        """Lend the shared buffer with what was just read into it, and put another in its place."""
        self._count(self.size)
        lent = self.shared
        self.shared = self._free.pop() if self._free else Buffer(self.size)
        return lent

    def lend(self, size: int) -> Buffer:
        """A buffer of its own for a PDU that the usual ones cannot hold."""
        self._count(size)
        return Buffer(size)

    def give_back(self, buffer: Buffer) -> None:
        """Return what `keep_shared` or `lend` gave."""
        self.lent -= len(buffer)
        if len(buffer) == self.size:
            self._free.append(buffer)

    def _count(self, size: int) -> None:
        if self.lent + size > self.maximum_lent:
            raise BuffersExhausted(
                f"{self.lent} bytes are lent to partial PDUs and {size} more are wanted; "
                f"the limit is {self.maximum_lent}"
            )
        self.lent += size
