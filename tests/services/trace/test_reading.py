"""Reading whatever bytes there are."""

from hypothesis import given
from hypothesis import strategies as st

from dimse.messages import CEchoRQ
from dul.errors import PDUTooLong, UnrecognizedPDU
from dul.pdus import AAbort, AReleaseRQ, PDataTF
from raw_bytes import (
    DATA,
    RELEASE_RQ,
    a_associate_rq,
    abort,
    c_echo_rq,
    c_store_rq,
    command,
    element,
    message,
    p_data,
    pdu,
    pdv,
    us,
)
from services.trace.reading import (
    KEPT_OF_A_DATA_SET,
    Due,
    MessageReader,
    PDUReader,
    ReadMessage,
    command_elements,
    read_pdu,
)

STREAM = a_associate_rq() + message(1, c_echo_rq(7)) + RELEASE_RQ + abort(2, 1)


def test_a_stream_is_cut_into_pdus_at_every_split() -> None:
    whole = PDUReader().feed(STREAM)
    assert [read.raw[0] for read in whole] == [1, 4, 5, 7]
    assert b"".join(read.raw for read in whole) == STREAM
    for split in range(len(STREAM)):
        reader = PDUReader()
        assert reader.feed(STREAM[:split]) + reader.feed(STREAM[split:]) == whole
        assert reader.incomplete == b""


def test_what_has_begun_is_told() -> None:
    reader = PDUReader()
    assert reader.feed(RELEASE_RQ[:4]) == []
    assert reader.incomplete == RELEASE_RQ[:4]


def test_a_pdu_that_cannot_be_decoded_is_handed_over_and_the_next_one_read() -> None:
    bad, good = PDUReader().feed(pdu(3, b"") + RELEASE_RQ)
    assert bad.pdu is None
    assert bad.error is not None
    assert isinstance(good.pdu, AReleaseRQ)


def test_after_what_is_no_pdu_nothing_is_one() -> None:
    reader = PDUReader()
    first, second = reader.feed(RELEASE_RQ + b"GET / HTTP/1.1\r\n")
    assert isinstance(first.pdu, AReleaseRQ)
    assert isinstance(second.error, UnrecognizedPDU)
    (after,) = reader.feed(RELEASE_RQ)
    assert after.pdu is None
    assert after.raw == RELEASE_RQ
    assert reader.feed(b"") == []


def test_a_length_nobody_means_is_not_waited_for() -> None:
    (read,) = PDUReader().feed(pdu(4, b"", length=0xFFFFFFFF))
    assert isinstance(read.error, PDUTooLong)


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_any_bytes_are_read_and_none_is_lost(pieces: list[bytes]) -> None:
    reader, messages = PDUReader(), MessageReader()
    found = b""
    for piece in pieces:
        for read in reader.feed(piece):
            found += read.raw
            if isinstance(read.pdu, PDataTF):
                messages.feed(read.pdu)
    assert found + reader.incomplete == b"".join(pieces)


def _messages(*pdvs: bytes) -> list[ReadMessage]:
    reader = MessageReader()
    found = []
    for each in pdvs:
        decoded = read_pdu(p_data(each)).pdu
        assert isinstance(decoded, PDataTF)
        found += reader.feed(decoded)
    assert not reader.in_message
    return found


def test_fragments_become_messages() -> None:
    echo = c_echo_rq(7)
    first, second = _messages(
        pdv(1, 1, echo[:10]),
        pdv(1, 3, echo[10:]),
        pdv(3, 3, c_store_rq(8)),
        pdv(3, 0, b"ab"),
        pdv(3, 2, b"cd"),
    )
    assert isinstance(first.message, CEchoRQ)
    assert (first.context_id, first.data_set, first.fragments) == (1, None, 2)
    assert (second.context_id, second.data_set, second.data_set_length) == (3, b"abcd", 4)


def test_a_fragment_that_is_not_due_ends_the_message() -> None:
    stray, good = _messages(pdv(1, 2, b"data"), pdv(1, 3, c_echo_rq(7)))
    assert stray.message is None
    assert "PS3.8 E.1" in stray.error
    assert isinstance(good.message, CEchoRQ)
    cut, after = _messages(pdv(3, 3, c_store_rq(8)), pdv(3, 0, b"half"), pdv(1, 3, c_echo_rq(7)))
    assert cut.error
    assert cut.data_set == b"half"
    assert isinstance(after.message, CEchoRQ)


def test_a_command_that_cannot_be_decoded_has_its_data_set_all_the_same() -> None:
    (read,) = _messages(
        pdv(3, 3, command(us(0x0100, 0x0FFE), us(0x0110, 5), us(0x0800, DATA))), pdv(3, 2, b"data")
    )
    assert read.message is None
    assert read.error
    assert read.data_set == b"data"


def test_no_more_of_a_data_set_is_kept_than_is_looked_at() -> None:
    reader = MessageReader()
    (start,) = PDUReader().feed(p_data(pdv(3, 3, c_store_rq(8))))
    assert isinstance(start.pdu, PDataTF)
    assert reader.feed(start.pdu) == []
    found = []
    for last in (0, 0, 2):
        (read,) = PDUReader().feed(p_data(pdv(3, last, bytes(KEPT_OF_A_DATA_SET // 2))))
        assert isinstance(read.pdu, PDataTF)
        found += reader.feed(read.pdu)
    (message,) = found
    assert message.data_set_length == KEPT_OF_A_DATA_SET // 2 * 3
    assert len(message.data_set or b"") == KEPT_OF_A_DATA_SET


def test_the_elements_of_a_command_are_read_as_far_as_they_go() -> None:
    elements = command_elements(c_echo_rq(7))
    assert elements[0x0110] == b"\7\0"
    assert command_elements(us(0x0110, 1) + us(0x0110, 2))[0x0110] == b"\1\0"
    assert command_elements(element(0x0010, b"x", group=8) + us(0x0110, 3)) == {0x0110: b"\3\0"}
    assert command_elements(c_echo_rq(7)[:-1])[0x0800] == b"\1"
    assert command_elements(b"\0\0\0") == {}


def test_an_abort_is_an_abort() -> None:
    assert isinstance(read_pdu(abort(9, 9)).pdu, AAbort)


def test_what_is_due_next_is_known() -> None:
    reader = MessageReader()
    found = [reader.due]
    command_set = c_store_rq(8)
    for each in (pdv(3, 1, command_set[:20]), pdv(3, 3, command_set[20:]), pdv(3, 0, b""), pdv(3, 2, b"ab")):
        decoded = read_pdu(p_data(each)).pdu
        assert isinstance(decoded, PDataTF)
        reader.feed(decoded)
        found.append(reader.due)
    assert found == [Due.COMMAND, Due.REST_OF_COMMAND, Due.DATA_SET, Due.REST_OF_DATA_SET, Due.COMMAND]
