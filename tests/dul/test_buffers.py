"""What is lent comes back, and no more is lent than allowed."""

import pytest

from dul.buffers import BufferPool, BuffersExhausted


def test_the_shared_buffer_is_kept_with_what_was_read_into_it() -> None:
    pool = BufferPool(1024)
    pool.shared.view[:3] = b"abc"
    kept = pool.keep_shared()
    assert kept.data[:3] == b"abc"
    assert pool.shared is not kept
    assert pool.lent == len(kept) == pool.size


def test_a_buffer_given_back_is_used_again() -> None:
    pool = BufferPool(1024)
    first = pool.keep_shared()
    second = pool.shared
    pool.give_back(first)
    assert pool.lent == 0
    assert pool.keep_shared() is second
    assert pool.shared is first


def test_a_buffer_holds_one_pdu_and_the_beginning_of_a_second() -> None:
    assert BufferPool(4096).size == 2 * (6 + 4096)


def test_a_buffer_of_another_size_is_counted_and_not_kept() -> None:
    pool = BufferPool(1024)
    large = pool.lend(100_000)
    assert len(large) == pool.lent == 100_000
    pool.give_back(large)
    assert pool.lent == 0
    assert len(pool.keep_shared()) == pool.size


def test_no_more_is_lent_than_allowed() -> None:
    pool = BufferPool(1024, maximum_lent=2 * 2060)
    kept = pool.keep_shared(), pool.keep_shared()
    with pytest.raises(BuffersExhausted, match=r"4120 bytes are lent .* the limit is 4120"):
        pool.keep_shared()
    with pytest.raises(BuffersExhausted):
        pool.lend(1)
    pool.give_back(kept[0])
    assert len(pool.keep_shared()) == pool.size


def test_a_view_given_out_survives_a_move_inside_the_buffer() -> None:
    """uvloop holds an export of the buffer during the callback: bytes may move in it, its size may not change."""
    buffer = BufferPool(16).shared
    with buffer.view[4:] as export:
        buffer.view[:8] = buffer.view[8:16]
        assert len(export) == len(buffer) - 4
