"""What is blanked of the PDUs of an association, and what is held until it is known."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimse.command_set import decode_command_set, encode_command_set
from dimse.messages import CMoveRQ, CStoreRQ, CStoreRSP, NCreateRSP, NGetRQ
from dul.decode import decode_pdu
from dul.encode import encode_pdu
from dul.enums import PDUType
from dul.negotiation import AcceptorPolicy, ProposedContext, SupportedContext, answer, build_request
from dul.pdus import (
    PDV,
    AAbort,
    AAssociateAC,
    AAssociateRQ,
    AReleaseRQ,
    PDataTF,
    UserIdentityRQSubItem,
)
from dul.reasons import AbortReason
from services.trace.fields import Side
from services.trace.redact import MOST_HELD, Redactor, blank_user_identity

REQUESTOR, ACCEPTOR = Side.REQUESTOR, Side.ACCEPTOR
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
UID = "1.2.826.0.1.3680043.8.498.4711"


def request(identity: UserIdentityRQSubItem | None = None) -> AAssociateRQ:
    return build_request(
        called_ae="PACS",
        calling_ae="CT1",
        contexts=[ProposedContext(CT, (EXPLICIT,))],
        user_identity=identity,
    )


def accept() -> AAssociateAC:
    pdu = answer(request(), AcceptorPolicy("PACS", {CT: SupportedContext(frozenset({EXPLICIT}))}))
    assert isinstance(pdu, AAssociateAC)
    return pdu


def negotiated(key: bytes = b"key") -> Redactor:
    redactor = Redactor(key)
    for side, pdu in ((REQUESTOR, request()), (ACCEPTOR, accept())):
        data = encode_pdu(pdu)
        (kept,) = redactor.feed(side, data, 0.0)
        assert kept.data == data
    return redactor


def p_data(*pdvs: tuple[int, bytes], context: int = 1) -> bytes:
    """PDVs by their message control header."""
    return encode_pdu(PDataTF(tuple(PDV(context, control, data) for control, data in pdvs)))


def out(redactor: Redactor, data: bytes, sender: Side = REQUESTOR, *, is_pdu: bool = True) -> list[bytes]:
    return [piece.data for piece in redactor.feed(sender, data, 0.0, is_pdu=is_pdu)]


def store(uid: str = UID) -> bytes:
    return encode_command_set(
        CStoreRQ(
            message_id=1,
            affected_sop_class_uid=CT,
            affected_sop_instance_uid=uid,
            move_originator_application_entity_title="MOVER",
            move_originator_message_id=7,
        )
    )


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


NAME = element(0x10, 0x10, b"PN", b"Doe^Jane")
DATA_SET = element(8, 0x16, b"UI", CT.encode() + b"\0") + NAME

LAST, COMMAND = 2, 1

# -- command sets


def command_of(raw: bytes) -> bytes:
    pdu = decode_pdu(raw[0], raw[6:])
    assert isinstance(pdu, PDataTF)
    return b"".join(pdv.data for pdv in pdu.pdvs if pdv.is_command)


def test_the_uid_of_an_instance_is_replaced_and_the_rest_of_a_command_stays() -> None:
    (raw,) = out(negotiated(), p_data((COMMAND | LAST, store())))
    message = decode_command_set(command_of(raw))
    assert isinstance(message, CStoreRQ)
    uid = message.affected_sop_instance_uid
    assert uid is not None
    assert (len(uid), uid != UID, set(uid) <= set("0123456789.")) == (len(UID), True, True)
    assert decode_command_set(store(uid)) == message


def replaced(uid: str, key: bytes = b"key") -> str | None:
    (raw,) = out(negotiated(key), p_data((COMMAND | LAST, store(uid))))
    message = decode_command_set(command_of(raw))
    assert isinstance(message, CStoreRQ)
    return message.affected_sop_instance_uid


def test_equal_uids_have_equal_replacements_under_one_key() -> None:
    assert replaced(UID) == replaced(UID)
    assert replaced(UID) != replaced(UID[:-1] + "2")
    assert replaced(UID) != replaced(UID, b"another key")


@given(st.text("0123456789.", min_size=1, max_size=64) | st.text("x", min_size=65, max_size=300))
def test_a_replacement_is_as_long_as_the_uid(uid: str) -> None:
    found = replaced(uid)
    assert found is not None
    assert len(found) == len(uid)
    assert "x" not in found


def test_comments_are_blanked_and_originators_stay() -> None:
    response = CStoreRSP(
        message_id_being_responded_to=1,
        status=0xA900,
        error_comment="Doe^Jane is wrong",
        affected_sop_instance_uid=UID,
    )
    (raw,) = out(negotiated(), p_data((COMMAND | LAST, encode_command_set(response))), ACCEPTOR)
    message = decode_command_set(command_of(raw))
    assert isinstance(message, CStoreRSP)
    assert (message.error_comment, message.status) == ("X" * 18, 0xA900)
    assert message.affected_sop_instance_uid not in (None, UID)
    move = encode_command_set(
        CMoveRQ(message_id=1, affected_sop_class_uid=CT, move_destination="WORKSTATION")
    )
    assert out(negotiated(), p_data((COMMAND | LAST, move))) == [p_data((COMMAND | LAST, move))]


def test_requested_instances_are_replaced_too() -> None:
    get = NGetRQ(message_id=1, requested_sop_class_uid=CT, requested_sop_instance_uid=UID)
    (raw,) = out(negotiated(), p_data((COMMAND | LAST, encode_command_set(get))))
    message = decode_command_set(command_of(raw))
    assert isinstance(message, NGetRQ)
    assert message.requested_sop_instance_uid == replaced(UID)
    created = NCreateRSP(message_id_being_responded_to=1, status=0, affected_sop_instance_uid=UID)
    (raw,) = out(negotiated(), p_data((COMMAND | LAST, encode_command_set(created))), ACCEPTOR)
    assert UID.encode() not in raw


def test_elements_that_commands_do_not_have_are_blanked() -> None:
    command = store() + struct.pack("<HHI", 0, 0x4000, 8) + b"Doe^Jane"
    (raw,) = out(negotiated(), p_data((COMMAND | LAST, command)))
    assert command_of(raw).endswith(bytes(8))


@pytest.mark.parametrize(
    "tail",
    [
        struct.pack("<HHI", 0x10, 0x10, 8) + b"Doe^Jane",  # no group 0000
        struct.pack("<HHI", 0, 0x1000, 99) + b"Doe^Jane",  # longer than what is left
        b"Doe^Ja",
    ],
)
def test_a_command_that_cannot_be_read_is_blanked_from_there(tail: bytes) -> None:
    (raw,) = out(negotiated(), p_data((COMMAND | LAST, store() + tail)))
    assert command_of(raw).endswith(bytes(len(tail)))
    assert b"CT1" not in command_of(raw)
    assert decode_command_set(command_of(raw)[: len(store())])


# -- fragments


def test_a_command_in_fragments_is_held_until_it_is_whole() -> None:
    redactor = negotiated()
    whole = store()
    cut = whole.index(UID.encode()) + 9
    cut -= cut & 1
    assert out(redactor, p_data((COMMAND, whole[:cut]))) == []
    assert out(redactor, p_data((COMMAND, whole[cut : cut + 2]))) == []
    assert out(redactor, encode_pdu(AReleaseRQ()), ACCEPTOR) == []
    first, second, release, third = out(redactor, p_data((COMMAND | LAST, whole[cut + 2 :])))
    assert release == encode_pdu(AReleaseRQ())
    message = decode_command_set(command_of(first) + command_of(second) + command_of(third))
    assert isinstance(message, CStoreRQ)
    assert message.affected_sop_instance_uid == replaced(UID)


def test_what_is_held_keeps_who_sent_it_and_when() -> None:
    redactor = negotiated()
    whole = store()
    redactor.feed(REQUESTOR, p_data((COMMAND, whole[:50])), 1.0)
    redactor.feed(ACCEPTOR, encode_pdu(AReleaseRQ()), 2.0)
    ready = redactor.feed(REQUESTOR, p_data((COMMAND | LAST, whole[50:])), 3.0)
    assert [(piece.sender, piece.at) for piece in ready] == [
        (REQUESTOR, 1.0),
        (ACCEPTOR, 2.0),
        (REQUESTOR, 3.0),
    ]


def test_what_is_never_completed_is_blanked_at_the_end() -> None:
    redactor = negotiated()
    whole = store()
    cut = whole.index(UID.encode()) + 10
    assert out(redactor, p_data((COMMAND, whole[:cut]))) == []
    (piece,) = redactor.finish()
    assert command_of(piece.data) == bytes(cut)
    assert out(redactor, p_data((COMMAND, whole[cut : cut + 4]))) == [p_data((COMMAND, bytes(4)))]
    rest = whole[cut + 4 :]
    assert out(redactor, p_data((COMMAND | LAST, rest))) == [p_data((COMMAND | LAST, bytes(len(rest))))]
    assert len(out(redactor, p_data((COMMAND | LAST, store())))) == 1
    assert redactor.finish() == []


def test_only_so_much_is_held() -> None:
    redactor = negotiated()
    assert out(redactor, p_data((COMMAND, b"Doe^Jane"))) == []
    fragment = p_data((0, bytes(100_000)), context=3)
    released: list[bytes] = []
    for _ in range(1 + MOST_HELD // 100_000):
        assert released == []
        released = out(redactor, fragment, ACCEPTOR)
    assert released[0] == p_data((COMMAND, bytes(8)))
    assert len(released) == 2 + MOST_HELD // 100_000


@pytest.mark.parametrize("size", [2, 6, 10, 100])
def test_a_data_set_may_come_in_fragments_of_any_size(size: int) -> None:
    redactor = negotiated()
    raw = out(redactor, p_data((COMMAND | LAST, store())))
    for at in range(0, len(DATA_SET), size):
        last = LAST if at + size >= len(DATA_SET) else 0
        raw += out(redactor, p_data((last, DATA_SET[at : at + size])))
    data = b"".join(pdv.data for one in raw[1:] for pdv in decode_pdu(one[0], one[6:]).pdvs)  # type: ignore[union-attr]
    assert data == DATA_SET.replace(b"Doe^Jane", b"XXXXXXXX")


def test_messages_follow_each_other_in_one_pdu() -> None:
    redactor = negotiated()
    pdu = p_data((COMMAND | LAST, store()), (LAST, DATA_SET), (COMMAND | LAST, store()), (LAST, DATA_SET))
    (raw,) = out(redactor, pdu)
    assert len(raw) == len(pdu)
    assert b"Doe" not in raw
    assert raw.count(CT.encode()) == pdu.count(CT.encode())
    assert raw.count(b"XXXXXXXX") == 2


def test_both_sides_send_at_the_same_time() -> None:
    redactor = negotiated()
    assert len(out(redactor, p_data((0, DATA_SET[:-4])))) == 1
    assert len(out(redactor, p_data((LAST, DATA_SET)), ACCEPTOR)) == 1
    (raw,) = out(redactor, p_data((LAST, DATA_SET[-4:])))
    assert raw == p_data((LAST, b"XXXX"))


def test_on_a_context_nobody_accepted_everything_is_blanked() -> None:
    assert out(negotiated(), p_data((LAST, DATA_SET), context=5)) == [
        p_data((LAST, bytes(len(DATA_SET))), context=5)
    ]


# -- other PDUs, and bytes that are none


def test_pdus_without_values_stay() -> None:
    for pdu in (AReleaseRQ(), AAbort(AbortReason.UNEXPECTED_PDU)):
        data = encode_pdu(pdu)
        assert out(negotiated(), data) == [data]


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"", 0),
        (b"\x04\x00", 0),
        (b"GET /Doe^Jane HTTP/1.0", 0),
        (b"\x00Doe^Jane", 0),
        (b"\x08Doe^Jane", 0),
        (b"\x04\x00\x00\x00\x00\x99Doe^Jane", 6),
        (b"\x01\x00\x00\x00\x00\x08Doe^Jane", 6),  # no A-ASSOCIATE-RQ for all its header says
        (b"\x04\x00\x00\x00\x00\x0c\x00\x00\x00\x63\x01\x02Doe^Ja", 6),  # a PDV longer than its PDU
        (b"\x04\x00\x00\x00\x00\x0c\x00\x00\x00\x01\x01\x02Doe^Ja", 6),  # and one too short to be any
        (b"\x05\x00\x00\x00\x00\x0cabcdDoe^Jane", 10),
    ],
)
def test_what_is_no_pdu_is_blanked(data: bytes, kept: int) -> None:
    assert out(negotiated(), data) == [data[:kept] + bytes(len(data) - kept)]


def test_bytes_known_to_be_no_pdu_are_blanked_even_if_they_look_like_one() -> None:
    data = encode_pdu(AReleaseRQ())
    assert out(negotiated(), data, is_pdu=False) == [bytes(len(data))]


def test_items_nobody_knows_are_blanked() -> None:
    plain = encode_pdu(request())
    item = b"\x77\x00\x00\x08Doe^Jane"
    data = plain[:2] + struct.pack(">I", len(plain) - 6 + len(item)) + plain[6:] + item
    (raw,) = out(Redactor(b"key"), data)
    assert raw == data[:-8] + bytes(8)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(Side),
            st.binary(max_size=60)
            | st.builds(
                lambda n, c, d: p_data((n, d), context=c),
                st.integers(0, 3),
                st.sampled_from([1, 3]),
                st.binary(max_size=40),
            ),
        ),
        max_size=12,
    )
)
def test_any_bytes_keep_length_sender_and_order(pieces: list[tuple[Side, bytes]]) -> None:
    redactor = negotiated()
    released = [piece for side, data in pieces for piece in redactor.feed(side, data, 0.0)]
    released += redactor.finish()
    assert [(piece.sender, len(piece.data)) for piece in released] == [(s, len(d)) for s, d in pieces]


# -- user identity

IDENTITIES = {
    "name": UserIdentityRQSubItem(1, True, b"Doe", b""),
    "name and password": UserIdentityRQSubItem(2, False, b"Doe", b"hunter2"),
    "ticket": UserIdentityRQSubItem(3, True, b"ticket of Doe", b""),
}


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_names_passwords_and_tickets_are_blanked(identity: UserIdentityRQSubItem) -> None:
    data = encode_pdu(request(identity))
    blanked = blank_user_identity(data)
    assert len(blanked) == len(data)
    for secret in (b"Doe", b"hunter2"):
        assert secret not in blanked
    pdu = decode_pdu(PDUType.A_ASSOCIATE_RQ, blanked[6:])
    assert isinstance(pdu, AAssociateRQ)
    assert pdu.called_ae == "PACS"
    assert blanked[: data.index(identity.primary_field)] == data[: data.index(identity.primary_field)]
    assert out(Redactor(b"key"), data) == [blanked]


def test_answers_to_them_are_blanked_too() -> None:
    plain = encode_pdu(accept())
    item = b"\x59\x00\x00\x0a\x00\x08response"
    data = bytearray(plain + item)
    user_information = plain.rindex(b"\x50\x00", 0, plain.index(b"\x51\x00"))
    length = int.from_bytes(data[user_information + 2 : user_information + 4], "big") + len(item)
    data[user_information + 2 : user_information + 4] = length.to_bytes(2, "big")
    data[2:6] = (len(data) - 6).to_bytes(4, "big")
    assert blank_user_identity(bytes(data)) == bytes(data[:-8]) + bytes(8)


def test_nothing_else_is_changed() -> None:
    for data in (
        b"",
        encode_pdu(request()),
        encode_pdu(accept()),
        p_data((LAST, b"\x58\x00\x00\x08Doe^Jane")),
    ):
        assert blank_user_identity(data) == data


@given(st.integers(0, 400))
def test_of_a_part_of_a_request_what_is_there_is_blanked(size: int) -> None:
    data = encode_pdu(request(IDENTITIES["name and password"]))
    part = blank_user_identity(data[:size])
    assert len(part) == len(data[:size])
    assert part[: data.index(b"\x58\x00")] == data[:size][: data.index(b"\x58\x00")]
    assert b"Doe" not in part
    assert b"hunter" not in part


def test_lengths_that_cannot_be_hide_nothing() -> None:
    data = encode_pdu(request(IDENTITIES["name and password"]))
    at = data.index(b"\x58\x00")
    for length in (0xFFFF, 9, 3):
        wrong = data[: at + 2] + length.to_bytes(2, "big") + data[at + 4 :]
        assert b"Doe" not in blank_user_identity(wrong)
        assert b"hunter2" not in blank_user_identity(wrong)
    inner = data[: at + 6] + b"\xff\xff" + data[at + 8 :]
    assert b"Doe" not in blank_user_identity(inner)
    assert b"hunter2" not in blank_user_identity(inner)
