"""Messages as they come in, without a decoder: commands as a few numbers and texts, data sets counted and let go."""

import socket
import struct
from dataclasses import dataclass

from benchmarks.load import PATIENCE, LoadError

_LENGTH = 1 << 20
_NO_DATA_SET = 0x0101


@dataclass
class Incoming:
    """A message, or what ends an association.

    `pdu_type` is 4 for a message; `command` is its command set, `data` the fragments of its data set where they were
    to be kept, `size` their bytes in any case.
    """

    pdu_type: int
    context_id: int = 0
    command: bytes = b""
    data: bytes = b""
    size: int = 0

    def number(self, element: int) -> int:
        """The value of (0000,`element`), a US; -1 where it is not there."""
        value = self._value(element)
        return int.from_bytes(value, "little") if value else -1

    def text(self, element: int) -> bytes:
        """The value of (0000,`element`) without padding."""
        return self._value(element).rstrip(b"\0 ")

    def _value(self, element: int) -> bytes:
        at, command = 0, self.command
        while at + 8 <= len(command):
            _, found, length = struct.unpack_from("<HHI", command, at)
            if found == element:
                return command[at + 8 : at + 8 + length]
            at += 8 + length
        return b""


class Reader:
    """Reads a connection, as much at a time as there is.

    Args:
        sock: has a time-out of the kernel's.
        keep: whether data sets are kept.
    """

    def __init__(self, sock: socket.socket, *, keep: bool = False) -> None:
        self._recv_into = sock.recv_into
        self._view = memoryview(bytearray(_LENGTH))
        self._begin = self._end = 0
        self._pdu = 0  # bytes left in the P-DATA-TF
        self._keep = keep

    def next(self) -> Incoming:
        """The next message, whole; or the next PDU that is no P-DATA-TF.

        Raises:
            LoadError: nothing came, or the peer was gone.
        """
        message = Incoming(4)
        command, data = bytearray(), bytearray()
        while True:
            if not self._pdu:
                header = self._take(6)
                length = int.from_bytes(header[2:6], "big")
                if header[0] != 4:
                    return Incoming(header[0], data=self._take(length))
                self._pdu = length
            header = self._take(6)
            length = int.from_bytes(header[:4], "big") - 2
            message.context_id, flags = header[4], header[5]
            self._pdu -= length + 6
            if flags & 1:
                command += self._take(length)
                if flags & 2:
                    message.command = bytes(command)
                    if message.number(0x0800) == _NO_DATA_SET:
                        return message
                continue
            message.size += length
            if self._keep:
                data += self._take(length)
            else:
                self._skip(length)
            if flags & 2:
                message.data = bytes(data)
                return message

    def _take(self, length: int) -> bytes:
        taken = bytearray()
        while len(taken) < length:
            if self._begin == self._end:
                self._fill()
            part = min(self._end - self._begin, length - len(taken))
            taken += self._view[self._begin : self._begin + part]
            self._begin += part
        return bytes(taken)

    def _skip(self, length: int) -> None:
        while length > self._end - self._begin:
            length -= self._end - self._begin
            self._fill()
        self._begin += length

    def _fill(self) -> None:
        try:
            self._begin, self._end = 0, self._recv_into(self._view)
        except BlockingIOError:
            raise LoadError(f"no answer within {PATIENCE} s") from None
        except ConnectionError as error:
            raise LoadError(f"the connection broke: {error}") from None
        if not self._end:
            raise LoadError("the peer closed the connection")
