"""What of one direction is a PDU by its header, and what is held of the rest."""

import pytest

from dimse.messages import CStoreRQ
from services.trace.direction import UNREADABLE_SHOWN, Direction, is_pdu
from trace_samples import CT_IMAGE, ECHO_RQ, R, message, wire


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (wire(ECHO_RQ), True),
        (bytes.fromhex("050000000000"), True),
        (bytes.fromhex("080000000000"), False),
        (bytes.fromhex("0500000000"), False),
        (bytes.fromhex("050000000001"), False),
        (b"", False),
    ],
)
def test_a_pdu_by_its_header(raw: bytes, expected: bool) -> None:
    assert is_pdu(raw) is expected


def test_holding_what_cannot_be_read() -> None:
    direction = Direction(R)
    direction.hold(b"a" * (UNREADABLE_SHOWN - 1))
    assert direction.surplus == 0
    direction.hold(b"bcd")
    assert bytes(direction.held) == b"a" * (UNREADABLE_SHOWN - 1) + b"b"
    assert direction.surplus == 2
    direction.held.clear()
    direction.shown = True
    direction.hold(b"efg")
    assert direction.held == b""
    assert direction.surplus == 5


def test_a_message_whose_data_set_is_on_its_way() -> None:
    messages = Direction(R).messages
    assert messages.begun is None
    store = CStoreRQ(message_id=1, affected_sop_class_uid=CT_IMAGE, affected_sop_instance_uid="1.2")
    assert messages.feed(message(store, 3)) == []
    assert messages.begun == store
