"""Command sets against pydicom, and what decoding takes and refuses (PS3.7 6.3.1)."""

import struct
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.multival import MultiValue

from dimse.command_set import decode_command_set, encode_command_set
from dimse.enums import NO_DATA_SET, CommandField, Priority
from dimse.errors import InvalidCommandSet
from dimse.messages import (
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    CFindRQ,
    CGetRSP,
    CMoveRQ,
    CStoreRQ,
    NActionRQ,
    NEventReportRQ,
    NGetRQ,
    RefusalRSP,
    elements_of,
)
from dimse_strategies import messages

VERIFICATION = "1.2.840.10008.1.1"


def element(tag, value, length=None):
    return struct.pack("<HHL", 0, tag, len(value) if length is None else length) + value


def us(tag, number):
    return element(tag, struct.pack("<H", number))


UID = element(0x0002, VERIFICATION.encode() + b"\0")
ECHO = us(0x0100, 0x0030)
ID = us(0x0110, 5)
NONE = us(0x0800, 0x0101)

STORE = CStoreRQ(
    message_id=7,
    affected_sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    affected_sop_instance_uid="1.2.826.0.1.3680043.8.498.1",
    priority=Priority.LOW,
    move_originator_application_entity_title="MOVER",
    move_originator_message_id=3,
)


# -- both ways


@settings(max_examples=200)
@given(messages)
def test_decoding_what_was_encoded_gives_the_message(message):
    assert decode_command_set(encode_command_set(message)) == message


@settings(max_examples=50)
@given(messages)
def test_pydicom_reads_what_we_write(message):
    data = encode_command_set(message)
    dataset = read_dataset(BytesIO(data), is_implicit_VR=True, is_little_endian=True)
    assert dataset.CommandGroupLength == len(data) - 12
    assert dataset.CommandField == message.command_field
    given_fields = {
        name: value for name in elements_of(type(message)) if (value := getattr(message, name)) is not None
    }
    assert len(dataset) == 2 + len(given_fields)
    for name, value in given_fields.items():
        theirs = dataset[elements_of(type(message))[name].tag].value
        if isinstance(value, tuple):
            theirs = tuple(theirs) if isinstance(theirs, MultiValue) else (theirs,)
        assert theirs == value


@settings(max_examples=50)
@given(messages)
def test_we_write_what_pydicom_writes(message):
    dataset = Dataset()
    dataset.CommandField = int(message.command_field)
    for name, described in elements_of(type(message)).items():
        value = getattr(message, name)
        if value is not None:
            setattr(
                dataset, keyword_for_tag(described.tag), list(value) if isinstance(value, tuple) else value
            )
    theirs = DicomBytesIO()
    theirs.is_implicit_VR = True
    theirs.is_little_endian = True
    write_dataset(theirs, dataset)
    assert encode_command_set(message)[12:] == theirs.getvalue()


# -- encoding


def test_encode_c_echo_rq_byte_by_byte():
    assert encode_command_set(CEchoRQ(message_id=5, affected_sop_class_uid=VERIFICATION)) == (
        element(0x0000, struct.pack("<L", 56)) + UID + ECHO + ID + NONE
    )


def test_titles_are_padded_with_space_and_uids_with_nul():
    data = encode_command_set(STORE)
    assert element(0x1030, b"MOVER ") in data
    assert element(0x1000, b"1.2.826.0.1.3680043.8.498.1\0") in data


def test_tags_are_written_group_first():
    message = NGetRQ(
        message_id=1,
        requested_sop_class_uid="1.2",
        requested_sop_instance_uid="1.3",
        attribute_identifier_list=(0x00100020, 0x7FE00010),
    )
    assert element(0x1005, bytes.fromhex("1000 2000 e07f 1000")) in encode_command_set(message)


def test_a_number_that_is_zero_is_written():
    message = CGetRSP(message_id_being_responded_to=0, status=0, number_of_failed_suboperations=0)
    assert decode_command_set(encode_command_set(message)) == message


def test_a_refusal_carries_the_command_field_it_was_given():
    refusal = RefusalRSP(command_field=0x8FFE, message_id_being_responded_to=5, status=0x0211)
    assert encode_command_set(refusal)[12:] == us(0x0100, 0x8FFE) + us(0x0120, 5) + NONE + us(0x0900, 0x0211)


@pytest.mark.parametrize("nothing", [None, ""])
def test_encode_refuses_a_message_without_a_mandatory_element(nothing):
    with pytest.raises(ValueError, match=r"C-ECHO-RQ must have affected_sop_class_uid \(0000,0002\)"):
        encode_command_set(CEchoRQ(message_id=1, affected_sop_class_uid=nothing))


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (CEchoRQ(message_id=65536, affected_sop_class_uid="1"), "C-ECHO-RQ: message_id = 65536 .* US"),
        (CEchoRQ(message_id=1, affected_sop_class_uid="1.\u0661"), "affected_sop_class_uid .* UI"),
        (
            CMoveRQ(message_id=1, affected_sop_class_uid="1", move_destination="\u0141"),
            "move_destination .* AE",
        ),
        (CEchoRSP(message_id_being_responded_to=1, status=0, offending_element=(1 << 32,)), "element .* AT"),
        (RefusalRSP(command_field=0x8FFE, message_id_being_responded_to=-1, status=0), "message 8FFEH"),
    ],
)
def test_encode_refuses_what_the_vr_cannot_hold(message, match):
    with pytest.raises(ValueError, match=match):
        encode_command_set(message)


# -- decoding: taken


def echo(**changes):
    return CEchoRQ(**({"message_id": 5, "affected_sop_class_uid": VERIFICATION} | changes))


@pytest.mark.parametrize(
    "group_length",
    [b"", element(0, struct.pack("<L", 56)), element(0, bytes(4)), element(0, b"\xff" * 4), element(0, b"")],
    ids=["missing", "right", "zero", "too big", "empty"],
)
def test_the_group_length_is_not_looked_at(group_length):
    assert decode_command_set(group_length + UID + ECHO + ID + NONE) == echo()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_can_be_decoded(kind):
    assert decode_command_set(kind(UID + ECHO + ID + NONE)) == echo()


@pytest.mark.parametrize("padding", [b"", b"\0", b" ", b"\0\0", b"  ", b" \0"])
def test_padding_of_uids_is_dropped(padding):
    uid = element(0x0002, VERIFICATION.encode() + padding)
    assert decode_command_set(uid + ECHO + ID + NONE) == echo()


@pytest.mark.parametrize("value", [b"MOVER", b"MOVER ", b"  MOVER", b"MOVER\0", b"MOVER           \0"])
def test_padding_of_titles_is_dropped(value):
    data = us(0x0100, 0x0021) + ID + element(0x0600, value) + NONE
    assert decode_command_set(data).move_destination == "MOVER"


def test_a_title_that_is_too_long_is_kept():
    data = us(0x0100, 0x0001) + ID + us(0x0800, 0) + element(0x1030, b"T" * 40)
    assert decode_command_set(data).move_originator_application_entity_title == "T" * 40


def test_retired_and_unknown_elements_are_skipped():
    data = element(0x0001, bytes(4)) + UID + element(0x0010, b"DICOM ") + ECHO + ID + us(0x0700, 1) + NONE
    data += element(0x4010, b"") + element(0x7777, b"private!")
    assert decode_command_set(data) == echo()


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        (b"", Priority.MEDIUM),
        (us(0x0700, 0), Priority.MEDIUM),
        (us(0x0700, 1), Priority.HIGH),
        (us(0x0700, 2), Priority.LOW),
        (us(0x0700, 7), Priority.MEDIUM),
        (element(0x0700, b""), Priority.MEDIUM),
        (element(0x0700, b"\1"), Priority.MEDIUM),
        (element(0x0700, b"\1\0\0\0"), Priority.MEDIUM),
    ],
)
def test_a_priority_missing_or_reserved_is_medium(priority, expected):
    message = decode_command_set(UID + us(0x0100, 0x0020) + ID + priority + us(0x0800, 1))
    assert message == CFindRQ(message_id=5, affected_sop_class_uid=VERIFICATION, priority=expected)


@pytest.mark.parametrize("data_set_type", [0x0000, 0x0001, 0x0102, 0x0202, 0xFEFE])
def test_every_other_data_set_type_announces_a_data_set(data_set_type):
    message = decode_command_set(UID + us(0x0100, 0x0020) + ID + us(0x0800, data_set_type))
    assert message.has_data_set
    assert message.command_data_set_type == data_set_type


@pytest.mark.parametrize("uid", [b"", element(0x0002, b""), element(0x0002, b"\0\0"), element(0x0002, b" ")])
def test_a_mandatory_element_missing_or_empty_is_none(uid):
    data = uid + us(0x0100, 0x0001) + ID + us(0x0800, 0)
    assert decode_command_set(data) == CStoreRQ(
        message_id=5, affected_sop_class_uid=None, affected_sop_instance_uid=None, command_data_set_type=0
    )


def test_empty_numbers_and_lists_are_none():
    data = us(0x0100, 0x0100) + ID + NONE + element(0x1002, b"")
    message = decode_command_set(data)
    assert isinstance(message, NEventReportRQ)
    assert message.event_type_id is None
    data = us(0x0100, 0x0110) + ID + NONE + element(0x1005, b"")
    assert decode_command_set(data).attribute_identifier_list is None


def test_bytes_that_are_no_text_are_kept_as_latin_1():
    uid = element(0x0002, b"\xff\x00\\\x01")
    message = decode_command_set(uid + ECHO + ID + NONE)
    assert message.affected_sop_class_uid == "\xff\x00\\\x01"
    assert uid in encode_command_set(message)  # a response can echo it


def test_a_cancel_and_its_message_id():
    data = us(0x0100, 0x0FFF) + us(0x0120, 5) + NONE
    assert decode_command_set(data) == CCancelRQ(message_id_being_responded_to=5)


# -- decoding: refused


def refused(data):
    with pytest.raises(InvalidCommandSet) as caught:
        decode_command_set(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"\(0000,0100\) is missing"),
        (UID + ID + NONE, r"\(0000,0100\) is missing"),
        (UID + element(0x0100, b"\x30\0\0\0") + ID + NONE, r"\(0000,0100\) is missing or no number"),
        (UID + ECHO + ID, r"\(0000,0800\) is missing"),
        (UID + ECHO + NONE, "C-ECHO-RQ without message_id"),
        (us(0x0100, 0x8030) + NONE + us(0x0900, 0), "C-ECHO-RSP without message_id_being_responded_to"),
        (us(0x0100, 0x8030) + us(0x0120, 1) + NONE, "C-ECHO-RSP without status"),
        (us(0x0100, 0x0FFF) + NONE, "C-CANCEL-RQ without message_id_being_responded_to"),
        (us(0x0100, 0x0FFF) + us(0x0120, 1) + us(0x0800, 0), "C-CANCEL-RQ with a data set"),
        (ECHO + UID + ID + NONE, r"\(0000,0002\) after \(0000,0100\)"),
        (UID + UID + ECHO + ID + NONE, r"\(0000,0002\) after \(0000,0002\)"),
        (UID + ECHO + ID + NONE + b"\0", "1 bytes after the last element"),
        (UID + ECHO + ID + NONE + bytes(7), "7 bytes after the last element"),
        (UID + ECHO + ID + NONE[:-1], r"\(0000,0800\) of 2 bytes where 1 are left"),
        (UID + ECHO + ID + element(0x0800, b"", 0xFFFFFFFF), "of 4294967295 bytes where 0 are left"),
        (UID + ECHO + ID + NONE + b"\x08\0\x16\0" + bytes(4), r"\(0008,0016\) in a command set"),
    ],
)
def test_what_cannot_be_answered(data, reason):
    error = refused(data)
    assert error.message_id is None
    assert error.refusal() is None
    with pytest.raises(InvalidCommandSet, match=reason):
        raise error


def test_explicit_vr_is_refused():
    data = b"\0\0\0\0UL\4\0\x38\0\0\0" + b"\0\0\2\0UI\x12\0" + VERIFICATION.encode() + b"\0"
    assert "not Implicit VR Little Endian" in str(refused(data))


def test_big_endian_is_refused():
    data = b"\0\0\0\0" + struct.pack(">LL", 4, 10) + struct.pack(">HHLH", 0, 0x0100, 2, 0x0030)
    assert "not Implicit VR Little Endian" in str(refused(data))


@pytest.mark.parametrize("data_set_type", [NO_DATA_SET, 0x0001])
@pytest.mark.parametrize("command_field", [0x0FFE, 0x0000, 0x0002, 0x7FFF])
def test_an_unknown_command_field_is_answered_0211(command_field, data_set_type):
    error = refused(UID + us(0x0100, command_field) + ID + us(0x0800, data_set_type))
    assert error.command_field == command_field
    assert error.message_id == 5
    assert error.has_data_set is (data_set_type != NO_DATA_SET)
    refusal = error.refusal()
    assert refusal.status == 0x0211
    assert refusal.command_field == command_field | 0x8000
    assert refusal.message_id_being_responded_to == 5


@pytest.mark.parametrize("message_id", [b"", element(0x0110, b"\1"), element(0x0110, b"\1\0\0\0")])
def test_an_unknown_command_field_without_message_id_is_not_answered(message_id):
    error = refused(us(0x0100, 0x0FFE) + message_id + NONE)
    assert error.message_id is None
    assert error.refusal() is None


def test_an_unknown_response_is_not_answered():
    assert refused(us(0x0100, 0x8FFE) + ID + us(0x0120, 1) + NONE + us(0x0900, 0)).refusal() is None


@pytest.mark.parametrize(
    ("command_field", "mistyped", "reason"),
    [
        (CommandField.N_ACTION_RQ, element(0x1008, b"\1"), r"\(0000,1008\) action_type_id: 1 bytes"),
        (CommandField.N_ACTION_RQ, element(0x1008, b"\1\0\1\0"), r"action_type_id: 4 bytes"),
        (CommandField.N_GET_RQ, element(0x1005, b"\1\0\1\0\1\0"), r"attribute_identifier_list: 6 bytes"),
    ],
)
def test_a_mistyped_element_is_answered_0212(command_field, mistyped, reason):
    error = refused(us(0x0100, command_field) + ID + us(0x0800, 1) + mistyped)
    assert error.has_data_set
    refusal = error.refusal()
    assert refusal.status == 0x0212
    assert refusal.command_field == command_field | 0x8000
    with pytest.raises(InvalidCommandSet, match=reason):
        raise error


def test_a_mistyped_response_is_not_answered():
    data = us(0x0100, 0x8030) + us(0x0120, 1) + NONE + us(0x0900, 0) + element(0x0901, b"\1\0")
    assert refused(data).refusal() is None


def test_a_mistyped_message_id_is_not_answered():
    assert refused(ECHO + element(0x0110, b"\1\0\0\0") + NONE).refusal() is None


# -- any bytes


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data):
    try:
        message = decode_command_set(data)
    except InvalidCommandSet:
        return
    assert message.command_field in list(CommandField)


@settings(max_examples=300)
@given(messages, st.data())
def test_any_change_gives_a_message_or_is_refused(message, data):
    changed = bytearray(encode_command_set(message))
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    changed = changed[: data.draw(st.integers(0, len(changed)))]
    try:
        again = decode_command_set(changed)
    except InvalidCommandSet as error:
        if refusal := error.refusal():
            assert encode_command_set(refusal)
        return
    assert again.command_field in list(CommandField)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=8)), unique_by=lambda e: e[0], max_size=8)
)
def test_further_elements_give_a_message_or_are_mistyped(extra):
    elements = dict(extra) | {0x0100: b"\x30\x01", 0x0110: b"\5\0", 0x0800: b"\1\1"}
    data = b"".join(element(tag, value) for tag, value in sorted(elements.items()))
    if len(elements.get(0x1008, b"")) in (0, 2):
        assert isinstance(decode_command_set(data), NActionRQ)
    else:
        assert refused(data).refusal().status == 0x0212
