"""Command sets and data sets to P-DATA-TF PDUs (PS3.8 9.3.5, Annexes D.1 and E.1).

One PDV in each PDU, never command and data together: some peers read nothing else. Every fragment but the
last of a data set has an even length. Lazy: a PDU is made when it is asked for, so that a data set of any
size can be sent under flow control. Knows no transport.
"""

from collections.abc import Iterable, Iterator

from dul.pdus import PDV, PDataTF

MAXIMUM_LENGTH = 131072
"""Bytes of the longest P-DATA-TF we send, after its 6-byte header, to a peer that would take a longer one."""

_PDV_HEADER_LENGTH = 6  # item length, presentation context ID, message control header
_SHORTEST_LENGTH = _PDV_HEADER_LENGTH + 2

_COMMAND = 0b01
_LAST = 0b10


def command_pdus(context_id: int, command: bytes, maximum_length: int) -> Iterator[PDataTF]:
    """The P-DATA-TF PDUs that carry a command set.

    Args:
        context_id: of the presentation context to send it on.
        command: the encoded command set.
        maximum_length: the peer's Maximum Length Received: bytes of a P-DATA-TF after its header, at least 8;
            0, no limit (D.1).

    Raises:
        ValueError: no even fragment fits in `maximum_length`.
    """
    length = _fragment_length(maximum_length)
    if len(command) <= length:  # as good as always
        return iter((PDataTF((PDV(context_id, _COMMAND | _LAST, command),)),))
    return _pdus(context_id, (command,), length, _COMMAND)


def data_pdus(
    context_id: int, chunks: bytes | bytearray | memoryview | Iterable[bytes], maximum_length: int
) -> Iterator[PDataTF]:
    """The P-DATA-TF PDUs that carry a data set; an empty one is one empty last fragment.

    Args:
        context_id: of the presentation context to send it on.
        chunks: the encoded data set, whole or in pieces of any length, which are taken one at a time. A piece
            may be referred to until the PDUs made of it are encoded: do not change it.
        maximum_length: as for `command_pdus`.

    Raises:
        ValueError: no even fragment fits in `maximum_length`.
    """
    if isinstance(chunks, bytes | bytearray | memoryview):
        chunks = (bytes(chunks),)
    return _pdus(context_id, chunks, _fragment_length(maximum_length), 0)


def _fragment_length(maximum_length: int) -> int:
    """Bytes of the longest even fragment (E.1) that fits, with its PDV header, in the peer's maximum."""
    if maximum_length != 0 and maximum_length < _SHORTEST_LENGTH:
        raise ValueError(
            f"maximum length {maximum_length} leaves no room for a fragment: it must be 0 (no limit) or at "
            f"least {_SHORTEST_LENGTH}"
        )
    longest = min(maximum_length or MAXIMUM_LENGTH, MAXIMUM_LENGTH) - _PDV_HEADER_LENGTH
    return longest & ~1


def _pdus(context_id: int, chunks: Iterable[bytes], length: int, control: int) -> Iterator[PDataTF]:
    """A full fragment waits until more follows: only the end of the chunks tells which one is the last."""
    held: list[bytes | memoryview] = []
    room = length
    for chunk in chunks:
        view = memoryview(chunk)
        start = 0
        while start < len(view):
            if room == 0:
                yield PDataTF((PDV(context_id, control, _joined(held)),))
                held, room = [], length
            piece = view[start : start + room]
            held.append(piece)
            start += len(piece)
            room -= len(piece)
    yield PDataTF((PDV(context_id, control | _LAST, _joined(held)),))


def _joined(pieces: list[bytes | memoryview]) -> bytes | memoryview:
    """One copy at most, and none for a fragment that lies within one chunk."""
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
