"""Room in memory for data sets that are encoded anew before they go out.

A conversion has a whole data set in memory, several times over, and what it made stays there until it is sent, while
a peer decides how fast that is. So all conversions of a process share a room: who finds none waits, in order.
"""

import asyncio
import errno
import os
import threading
from collections import deque
from contextlib import suppress

ROOM = 512 << 20
"""Bytes of data sets, as they are stored, that are converted or wait to go out at a time; about three times as much
memory. One that is longer by itself cannot be converted."""

PATIENCE = 60.0
"""Seconds that one waits for room."""


class Room:
    """So many bytes, which several take and give back; from any event loop.

    Args:
        size: in bytes.
        patience: seconds that one waits.
    """

    def __init__(self, size: int = ROOM, patience: float = PATIENCE) -> None:
        self._size = size
        self._patience = patience
        self._taken = 0
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()

    async def take(self, size: int) -> None:
        """Take room, as soon as there is some and everybody before has got theirs.

        Args:
            size: in bytes; to be given back.

        Raises:
            ValueError: it is more than there ever is.
            OSError: EBUSY, it did not become free in time.
        """
        if size > self._size:
            raise ValueError(
                f"a data set of {size} bytes is too long to be converted, at most {self._size} are: "
                "the peer has to accept the transfer syntax it is stored in"
            )
        waiting = _Waiting(size)
        with self._lock:
            self._waiting.append(waiting)
            self._admit()
        try:
            async with asyncio.timeout(self._patience):
                await waiting.admitted
        except BaseException as error:
            self._leave(waiting)
            if isinstance(error, TimeoutError):
                cause = f"{os.strerror(errno.EBUSY)}: no room for a conversion within {self._patience:g} s"
                raise OSError(errno.EBUSY, cause) from None
            raise

    def give_back(self, size: int) -> None:
        """Somebody else may have the room now."""
        with self._lock:
            self._taken -= size
            self._admit()

    def _leave(self, waiting: "_Waiting") -> None:
        with self._lock:
            try:
                self._waiting.remove(waiting)
            except ValueError:  # it was admitted in the same moment
                self._taken -= waiting.size
            self._admit()

    def _admit(self) -> None:
        while self._waiting and self._taken + self._waiting[0].size <= self._size:
            first = self._waiting.popleft()
            self._taken += first.size
            if not first.admit():
                self._taken -= first.size


class _Waiting:
    """Somebody who waits in an event loop."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._loop = asyncio.get_running_loop()
        self.admitted: asyncio.Future[None] = self._loop.create_future()

    def admit(self) -> bool:
        """Let it go on; False where its loop has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._go_on)
            return True
        return False

    def _go_on(self) -> None:
        if not self.admitted.done():
            self.admitted.set_result(None)
