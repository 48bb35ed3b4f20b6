"""Messages from fragments, and fragments that have no place (PS3.8 Annex E)."""

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimse.assembler import Assembler, CommandReady, DataChunk
from dimse.command_set import encode_command_set
from dimse.errors import InvalidCommandSet, UnexpectedPDV
from dimse.messages import CEchoRQ, CStoreRQ
from dimse_strategies import messages
from dul.errors import InvalidPDU, RemoteProtocolError
from dul.pdus import PDV
from dul.reasons import AbortReason

ECHO = CEchoRQ(message_id=1, affected_sop_class_uid="1.2.840.10008.1.1")
STORE = CStoreRQ(message_id=2, affected_sop_class_uid="1.2", affected_sop_instance_uid="1.2.3")
ECHO_BYTES = encode_command_set(ECHO)
STORE_BYTES = encode_command_set(STORE)


def command(data=STORE_BYTES, *, context_id=1, last=True):
    return PDV(context_id, 0b01 | last << 1, data)


def data(chunk=b"data", *, context_id=1, last=False):
    return PDV(context_id, last << 1, chunk)


def unknown_operation(data_set_type):
    """A request of Command Field 0FFEH with Message ID 9."""
    elements = ((0x0100, 0x0FFE), (0x0110, 9), (0x0800, data_set_type))
    return b"".join(struct.pack("<HHLH", 0, tag, 2, value) for tag, value in elements)


# -- what is assembled


def test_a_command_in_one_fragment():
    assembler = Assembler({1, 3})
    assert assembler.feed(command(ECHO_BYTES, context_id=3)) == CommandReady(3, ECHO)
    assert not assembler.in_message


@pytest.mark.parametrize("size", [1, 2, 3, len(ECHO_BYTES) - 1])
def test_a_command_in_many_fragments(size):
    assembler = Assembler({1})
    pieces = [ECHO_BYTES[i : i + size] for i in range(0, len(ECHO_BYTES), size)]
    for piece in pieces[:-1]:
        assert assembler.feed(command(piece, last=False)) is None
        assert assembler.in_message
    assert assembler.feed(command(pieces[-1])) == CommandReady(1, ECHO)
    assert not assembler.in_message


def test_the_last_bit_may_come_in_an_empty_fragment():
    assembler = Assembler({1})
    assert assembler.feed(command(b"", last=False)) is None
    assert assembler.feed(command(ECHO_BYTES, last=False)) is None
    assert assembler.feed(command(b"")) == CommandReady(1, ECHO)


def test_a_data_set_comes_out_fragment_by_fragment():
    assembler = Assembler({1})
    assert assembler.feed(command()) == CommandReady(1, STORE)
    assert assembler.in_message
    for chunk in (b"even", b"odd", b"", b"even"):
        assert assembler.feed(data(chunk)) == DataChunk(chunk, False)
        assert assembler.in_message
    assert assembler.feed(data(b"", last=True)) == DataChunk(b"", True)
    assert not assembler.in_message


def test_the_data_of_a_chunk_is_that_of_the_pdv():
    assembler = Assembler({1})
    assembler.feed(command())
    view = memoryview(b"fragment")
    assert assembler.feed(data(view)).data is view
    assert assembler.feed(data(view, last=True)).data is view


def test_a_command_keeps_nothing_of_the_buffer_it_came_in():
    assembler = Assembler({1})
    buffer = bytearray(ECHO_BYTES)
    view = memoryview(buffer)
    assembler.feed(command(view[:20], last=False))
    ready = assembler.feed(command(view[20:]))
    view.release()
    buffer.clear()
    assert ready == CommandReady(1, ECHO)


@pytest.mark.parametrize("reserved", [0b100, 0b1000_0000, 0b1111_1100])
def test_the_other_bits_of_the_control_header_are_ignored(reserved):
    assembler = Assembler({1})
    assert assembler.feed(PDV(1, reserved | 0b01, b"")) is None
    assert assembler.feed(PDV(1, reserved | 0b11, STORE_BYTES)) == CommandReady(1, STORE)
    assert assembler.feed(PDV(1, reserved, b"a")) == DataChunk(b"a", False)
    assert assembler.feed(PDV(1, reserved | 0b10, b"b")) == DataChunk(b"b", True)


def test_messages_follow_each_other_on_different_contexts():
    assembler = Assembler({1, 3})
    assembler.feed(command(context_id=1))
    assembler.feed(data(context_id=1, last=True))
    assert assembler.feed(command(ECHO_BYTES, context_id=3)) == CommandReady(3, ECHO)
    assert assembler.feed(command(context_id=1)) == CommandReady(1, STORE)


@settings(max_examples=50)
@given(st.lists(st.tuples(messages, st.lists(st.binary(max_size=5))), max_size=4), st.data())
def test_any_fragmentation_gives_the_same_messages(exchange, draw):
    assembler = Assembler({1, 3})
    for message, chunks in exchange:
        context_id = draw.draw(st.sampled_from([1, 3]))
        encoded = encode_command_set(message)
        cuts = sorted(draw.draw(st.lists(st.integers(0, len(encoded)), max_size=4)))
        bounds = [0, *cuts, len(encoded)]
        pieces = [encoded[a:b] for a, b in itertools.pairwise(bounds)]
        for piece in pieces[:-1]:
            assert assembler.feed(command(piece, context_id=context_id, last=False)) is None
        assert assembler.feed(command(pieces[-1], context_id=context_id)) == CommandReady(context_id, message)
        assert assembler.in_message is message.has_data_set
        if message.has_data_set:
            for chunk in chunks:
                assert assembler.feed(data(chunk, context_id=context_id)) == DataChunk(chunk, False)
            assert assembler.feed(data(context_id=context_id, last=True)) == DataChunk(b"data", True)
        assert not assembler.in_message


# -- what has no place


def after_begun_command():
    assembler = Assembler({1, 3})
    assembler.feed(command(STORE_BYTES[:10], last=False))
    return assembler


def after_command():
    assembler = Assembler({1, 3})
    assembler.feed(command())
    return assembler


def after_echo():
    assembler = Assembler({1, 3})
    assembler.feed(command(ECHO_BYTES))
    return assembler


def after_data():
    assembler = after_command()
    assembler.feed(data())
    return assembler


def after_message():
    assembler = after_data()
    assembler.feed(data(last=True))
    return assembler


def between():
    return Assembler({1, 3})


@pytest.mark.parametrize("begin", [between, after_begun_command, after_command, after_data, after_message])
@pytest.mark.parametrize("make", [command, data])
@pytest.mark.parametrize("context_id", [0, 2, 5, 255])
def test_a_context_that_was_not_accepted(begin, make, context_id):
    with pytest.raises(InvalidPDU, match=f"context {context_id}, which was not accepted") as caught:
        begin().feed(make(context_id=context_id))
    assert caught.value.reason == AbortReason.INVALID_PDU_PARAMETER_VALUE


@pytest.mark.parametrize(
    ("begin", "pdv", "reason"),
    [
        (between, data(), "data fragment where a command is due"),
        (between, data(b"", last=True), "data fragment where a command is due"),
        (after_message, data(), "data fragment where a command is due"),
        (after_echo, data(), "no data set was announced"),
        (after_begun_command, data(), "data fragment where a command is due"),
        (after_begun_command, command(context_id=3), "context 3 inside a message on 1"),
        (after_begun_command, data(context_id=3), "context 3 inside a message on 1"),
        (after_command, command(), "command fragment where the data set is not complete"),
        (after_command, command(b"", last=False), "command fragment where the data set is not complete"),
        (after_command, data(context_id=3), "context 3 inside a message on 1"),
        (after_data, command(), "command fragment where the data set is not complete"),
        (after_data, command(context_id=3), "context 3 inside a message on 1"),
        (after_data, data(context_id=3, last=True), "context 3 inside a message on 1"),
    ],
)
def test_a_fragment_that_is_not_due(begin, pdv, reason):
    with pytest.raises(UnexpectedPDV, match=reason) as caught:
        begin().feed(pdv)
    assert caught.value.reason == AbortReason.UNEXPECTED_PDU_PARAMETER


# -- commands that cannot be read


def test_a_command_may_be_as_long_as_the_maximum():
    assembler = Assembler({1}, maximum_command_length=len(ECHO_BYTES))
    assert assembler.feed(command(ECHO_BYTES)) == CommandReady(1, ECHO)


@pytest.mark.parametrize("size", [1, 2, 10, 100])
def test_a_command_over_the_maximum_is_refused_at_the_byte_that_exceeds_it(size):
    assembler = Assembler({1}, maximum_command_length=50)
    for _ in range(50 // size):
        assert assembler.feed(command(bytes(size), last=False)) is None
    with pytest.raises(InvalidCommandSet, match="command set over 50 bytes") as caught:
        assembler.feed(command(bytes(size), last=False))
    assert caught.value.refusal() is None
    assert not assembler.in_message


def test_the_default_maximum_is_64_kib():
    assembler = Assembler({1})
    assembler.feed(command(bytes(65536), last=False))
    with pytest.raises(InvalidCommandSet, match="65536"):
        assembler.feed(command(b"x"))


def test_a_command_that_cannot_be_read_leaves_nothing_behind():
    assembler = Assembler({1})
    with pytest.raises(InvalidCommandSet) as caught:
        assembler.feed(command(b"\0"))
    assert not caught.value.is_answerable
    assert not assembler.in_message
    assert assembler.feed(command(ECHO_BYTES)) == CommandReady(1, ECHO)


def test_the_data_set_of_a_refused_request_still_comes_out():
    assembler = Assembler({1})
    with pytest.raises(InvalidCommandSet) as caught:
        assembler.feed(command(unknown_operation(0x0001)))
    assert caught.value.refusal().message_id_being_responded_to == 9
    assert assembler.in_message
    assert assembler.feed(data(b"drop")) == DataChunk(b"drop", False)
    assert assembler.feed(data(b"me", last=True)) == DataChunk(b"me", True)
    assert not assembler.in_message
    assert assembler.feed(command(ECHO_BYTES)) == CommandReady(1, ECHO)


def test_a_refused_request_without_data_set_ends_its_message():
    assembler = Assembler({1})
    with pytest.raises(InvalidCommandSet) as caught:
        assembler.feed(command(unknown_operation(0x0101)))
    assert caught.value.is_answerable
    assert not assembler.in_message
    with pytest.raises(UnexpectedPDV):
        assembler.feed(data())


# -- anything


@settings(max_examples=200)
@given(
    st.lists(
        st.builds(
            PDV,
            st.sampled_from([1, 1, 1, 3, 5]),
            st.integers(0, 255),
            st.sampled_from([b"", b"\0", ECHO_BYTES, STORE_BYTES, unknown_operation(1)]),
        ),
        max_size=12,
    )
)
def test_any_fragments_give_what_is_due_or_an_error(pdvs):
    assembler = Assembler({1, 3}, maximum_command_length=200)
    data_due, context_id = False, None
    for pdv in pdvs:
        due = pdv.is_command is not data_due and context_id in (None, pdv.presentation_context_id)
        try:
            part = assembler.feed(pdv)
        except InvalidCommandSet as error:
            assert due, pdv
            if not error.is_answerable:
                return
            data_due = error.has_data_set
        except RemoteProtocolError:
            assert not due or pdv.presentation_context_id == 5, pdv
            return
        else:
            assert due, pdv
            match part:
                case None:
                    assert not pdv.is_last
                case CommandReady(_, message):
                    data_due = message.has_data_set
                case DataChunk(_, is_last):
                    data_due = not is_last
        begun = pdv.is_command and not pdv.is_last
        context_id = pdv.presentation_context_id if data_due or begun else None
        assert assembler.in_message is (context_id is not None)
