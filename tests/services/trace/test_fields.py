"""Fields and sides."""

from dul.enums import Role
from services.trace.fields import Dissection, Field, Side

TYPE = Field(offset=0, length=1, name="PDU-type", value="05H")
RESERVED = Field(offset=1, length=1, name="Reserved", problem="odd")
ITEM = Field(offset=0, length=2, name="Item", children=(TYPE, RESERVED))


def test_a_tree_is_walked_in_the_order_of_its_bytes() -> None:
    dissection = Dissection(raw=b"\5\0", name="A-RELEASE-RQ", summary="", fields=(ITEM,))
    assert [(depth, field.name) for depth, field in dissection.walk()] == [
        (0, "Item"),
        (1, "PDU-type"),
        (1, "Reserved"),
    ]
    assert dissection.problems == ["odd"]
    assert ITEM.end == 2


def test_each_side_has_its_peer_and_its_role() -> None:
    assert Side.REQUESTOR.peer is Side.ACCEPTOR
    assert Side.ACCEPTOR.peer is Side.REQUESTOR
    assert Side.ACCEPTOR.role is Role.ACCEPTOR
    assert Side.REQUESTOR.role is Role.REQUESTOR
