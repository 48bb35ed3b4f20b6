"""The user information of an association request or answer (PS3.8 9.3.2.3, D.1; PS3.7 D.3.3), decoded.

A part of `dul.decode`, by the same rules. What the values mean is negotiation's business.
"""

from collections.abc import Callable
from struct import Struct as Layout

from dul.enums import ItemType
from dul.errors import InvalidPDU
from dul.items import RawItem, check_end, field, fields, split_items, text
from dul.pdus import (
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UnknownItem,
    UserDataSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
    UserInformationItem,
)

_unpack_pair = Layout(">HH").unpack


def decode_user_information(value: bytes) -> UserInformationItem:
    """Decode the value of a user information item (50H).

    Raises:
        InvalidPDU: a sub-item has a length it cannot have, or the Maximum Length stands there twice.
    """
    raw = split_items(value, "user information item")
    if [item[0] for item in raw].count(ItemType.MAXIMUM_LENGTH) > 1:
        raise InvalidPDU("user information item with more than one maximum length sub-item")
    return UserInformationItem(tuple([_decode_sub_item(item) for item in raw]))


def _decode_sub_item(raw: RawItem) -> UserDataSubItem:
    item_type, version, value = raw
    if item_type == ItemType.SOP_CLASS_COMMON_EXTENDED_NEGOTIATION:
        return _decode_common_extended_negotiation(version, value)
    decoder = _SUB_ITEMS.get(item_type)
    return UnknownItem(item_type, value) if decoder is None else decoder(value)


def _decode_maximum_length(value: bytes) -> MaximumLengthSubItem:
    if len(value) != 4:
        raise InvalidPDU(f"maximum length sub-item with item-length {len(value)}: it must be 4")
    return MaximumLengthSubItem(int.from_bytes(value))


def _decode_implementation_class_uid(value: bytes) -> ImplementationClassUIDSubItem:
    return ImplementationClassUIDSubItem(text(value))


def _decode_implementation_version_name(value: bytes) -> ImplementationVersionNameSubItem:
    return ImplementationVersionNameSubItem(text(value))


def _decode_asynchronous_operations_window(value: bytes) -> AsynchronousOperationsWindowSubItem:
    if len(value) != 4:
        raise InvalidPDU(
            f"asynchronous operations window sub-item with item-length {len(value)}: it must be 4"
        )
    return AsynchronousOperationsWindowSubItem(*_unpack_pair(value))


def _decode_role_selection(value: bytes) -> RoleSelectionSubItem:
    name = "role selection sub-item"
    uid, rest = field(value, name)
    if len(rest) != 2:
        raise InvalidPDU(
            f"{name} with {len(rest)} bytes after its UID: it must have 2, SCU-role and SCP-role"
        )
    return RoleSelectionSubItem(text(uid), bool(rest[0]), bool(rest[1]))


def _decode_extended_negotiation(value: bytes) -> SOPClassExtendedNegotiationSubItem:
    uid, information = field(value, "SOP class extended negotiation sub-item")
    return SOPClassExtendedNegotiationSubItem(text(uid), information)


def _decode_common_extended_negotiation(
    version: int, value: bytes
) -> SOPClassCommonExtendedNegotiationSubItem:
    name = "SOP class common extended negotiation sub-item"
    sop_class_uid, rest = field(value, name)
    service_class_uid, rest = field(rest, name)
    related, rest = field(rest, name)
    # Later versions may add fields; in version 0 there are none (PS3.7 D.3.3.6.1).
    if rest and version == 0:
        raise InvalidPDU(f"{name} with {len(rest)} bytes after its last field")
    related_uids = tuple([text(uid) for uid in fields(related, name)])
    return SOPClassCommonExtendedNegotiationSubItem(
        text(sop_class_uid), text(service_class_uid), related_uids, version
    )


def _decode_user_identity_rq(value: bytes) -> UserIdentityRQSubItem:
    name = "user identity sub-item"
    if len(value) < 2:
        raise InvalidPDU(f"{name} with item-length {len(value)}: it must be 6 or more")
    primary_field, rest = field(value[2:], name)
    secondary_field, rest = field(rest, name)
    check_end(rest, name)
    return UserIdentityRQSubItem(value[0], bool(value[1]), primary_field, secondary_field)


def _decode_user_identity_ac(value: bytes) -> UserIdentityACSubItem:
    name = "user identity response sub-item"
    server_response, rest = field(value, name)
    check_end(rest, name)
    return UserIdentityACSubItem(server_response)


_SUB_ITEMS: dict[int, Callable[[bytes], UserDataSubItem]] = {
    ItemType.MAXIMUM_LENGTH: _decode_maximum_length,
    ItemType.IMPLEMENTATION_CLASS_UID: _decode_implementation_class_uid,
    ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW: _decode_asynchronous_operations_window,
    ItemType.SCP_SCU_ROLE_SELECTION: _decode_role_selection,
    ItemType.IMPLEMENTATION_VERSION_NAME: _decode_implementation_version_name,
    ItemType.SOP_CLASS_EXTENDED_NEGOTIATION: _decode_extended_negotiation,
    ItemType.USER_IDENTITY_RQ: _decode_user_identity_rq,
    ItemType.USER_IDENTITY_AC: _decode_user_identity_ac,
}
