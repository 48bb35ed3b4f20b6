"""Fragments that fit the peer's maximum, even, with the last one marked (PS3.8 D.1, E.1)."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse.fragmenter import MAXIMUM_LENGTH, command_pdus, data_pdus

LENGTHS = [8, 9, 12, 13, 128, 16384, 16385, 131072]


def checked(pdus, *, maximum_length, is_command):
    """The bytes the PDUs carry, after what every sequence of PDUs must keep to."""
    pdvs = []
    for pdu in pdus:
        (pdv,) = pdu.pdvs
        assert 6 + len(pdv.data) <= (maximum_length or MAXIMUM_LENGTH)
        assert pdv.presentation_context_id == 3
        assert pdv.is_command is is_command
        assert pdv.message_control_header & 0b1111_1100 == 0
        pdvs.append(pdv)
    assert [pdv.is_last for pdv in pdvs] == [False] * (len(pdvs) - 1) + [True]
    assert all(len(pdv.data) % 2 == 0 and pdv.data for pdv in pdvs[:-1])
    return b"".join(pdv.data for pdv in pdvs), len(pdvs)


@pytest.mark.parametrize("maximum_length", [*LENGTHS, 0])
@pytest.mark.parametrize("total", [0, 1, 2, 3, 6, 122, 1000])
def test_a_command_is_fragmented(maximum_length, total):
    command = bytes(i & 0xFF for i in range(total))
    carried, count = checked(
        command_pdus(3, command, maximum_length), maximum_length=maximum_length, is_command=True
    )
    assert carried == command
    size = ((maximum_length or MAXIMUM_LENGTH) - 6) // 2 * 2
    assert count == max(1, -(-total // size))


@pytest.mark.parametrize("maximum_length", LENGTHS)
@pytest.mark.parametrize("more", [-1, 0, 1, 2])
def test_a_data_set_around_a_boundary(maximum_length, more):
    size = (maximum_length - 6) // 2 * 2
    whole = bytes(3 * size + more)
    carried, count = checked(
        data_pdus(3, whole, maximum_length), maximum_length=maximum_length, is_command=False
    )
    assert carried == whole
    assert count == (3 if more <= 0 else 4)


@pytest.mark.parametrize("nothing", [b"", [], [b""], [b"", b""], iter(())])
def test_an_empty_data_set_is_one_empty_last_fragment(nothing):
    (pdu,) = data_pdus(3, nothing, 128)
    (pdv,) = pdu.pdvs
    assert bytes(pdv.data) == b""
    assert pdv.is_last
    assert not pdv.is_command


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_a_whole_data_set(kind):
    carried, _ = checked(data_pdus(3, kind(b"abcdefg"), 8), maximum_length=8, is_command=False)
    assert carried == b"abcdefg"


def test_chunks_that_end_exactly_at_a_boundary():
    pdus = list(data_pdus(3, [b"abcd", b"efgh"], 10))
    assert [(bytes(p.pdvs[0].data), p.pdvs[0].is_last) for p in pdus] == [(b"abcd", False), (b"efgh", True)]


def test_an_empty_chunk_at_the_end_adds_no_fragment():
    pdus = list(data_pdus(3, [b"abcd", b"", b""], 10))
    assert [(bytes(p.pdvs[0].data), p.pdvs[0].is_last) for p in pdus] == [(b"abcd", True)]


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(8, 40))
def test_chunks_do_not_show(chunks, maximum_length):
    whole = b"".join(chunks)
    pdus = list(data_pdus(3, iter(chunks), maximum_length))
    carried, _ = checked(pdus, maximum_length=maximum_length, is_command=False)
    assert carried == whole
    assert pdus == list(data_pdus(3, whole, maximum_length))


@pytest.mark.parametrize("maximum_length", [0, 131072, 1 << 20, 0xFFFFFFFF])
def test_our_own_maximum_holds_where_the_peer_would_take_more(maximum_length):
    pdus = list(data_pdus(3, bytes(200_000), maximum_length))
    assert [6 + len(pdu.pdvs[0].data) for pdu in pdus] == [MAXIMUM_LENGTH, 6 + 200_000 - (MAXIMUM_LENGTH - 6)]


@pytest.mark.parametrize("maximum_length", [-1, 1, 2, 6, 7])
def test_a_maximum_without_room_is_refused_before_anything_is_made(maximum_length):
    with pytest.raises(ValueError, match=f"maximum length {maximum_length} leaves no room"):
        command_pdus(1, b"x", maximum_length)
    with pytest.raises(ValueError, match=f"maximum length {maximum_length} leaves no room"):
        data_pdus(1, b"x", maximum_length)


def test_a_data_set_is_read_no_further_than_it_is_sent():
    taken = itertools.count()
    chunks = (bytes([next(taken)] * 4) for _ in range(1000))
    pdus = data_pdus(3, chunks, 10)
    assert next(taken) == 0
    assert bytes(next(pdus).pdvs[0].data) == bytes([1] * 4)
    assert next(taken) == 3  # one chunk ahead, to know that the first was not the last


def test_what_the_source_raises_comes_through():
    def broken():
        yield b"abcdef"
        raise OSError("disk gone")

    pdus = data_pdus(3, broken(), 10)
    assert bytes(next(pdus).pdvs[0].data) == b"abcd"
    with pytest.raises(OSError, match="disk gone"):
        next(pdus)


def test_a_fragment_within_one_chunk_is_not_copied():
    chunk = bytes(1000)
    first = next(data_pdus(3, [chunk], 128)).pdvs[0].data
    assert isinstance(first, memoryview)
    assert first.obj is chunk
