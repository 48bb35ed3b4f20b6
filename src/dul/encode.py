"""From the value of a PDU to its bytes (PS3.8 9.3, Annexes D and E; PS3.7 Annex D.3.3).

Writes by the book: reserved bytes 0, UIDs unpadded (PS3.8 Annex F), AE titles padded with spaces. Refuses
only what has no encoding; whether a PDU makes sense is the business of whoever built it.
"""

from struct import Struct as Layout
from struct import error as LayoutError  # noqa: N812
from typing import assert_never

from dul.enums import ItemType, PDUType
from dul.pdus import (
    AE_TITLE_LENGTH,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AnyPDU,
    ApplicationContextItem,
    AReleaseRP,
    AReleaseRQ,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    PDataTF,
    PresentationContextACItem,
    PresentationContextRQItem,
    RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UnknownItem,
    UserDataSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
    UserInformationItem,
    VariableItem,
)

_RESERVED_LENGTH = 32

_pack_pdu_header = Layout(">BxI").pack
_pack_fixed_length_pdu = Layout(">BxIxBBB").pack
_pack_pdv_header = Layout(">IBB").pack
_pack_item_header = Layout(">BBH").pack
_pack_context = Layout(">BxBx").pack
_pack_short = Layout(">H").pack
_pack_pair = Layout(">HH").pack
_pack_long = Layout(">I").pack
_pack_bytes = Layout(">BB").pack


def encode_pdu(pdu: AnyPDU) -> bytes:
    """Encode one PDU, header included.

    Raises:
        ValueError: something in it has no encoding: a title of more than 16 characters, text outside
            ISO 8859-1, a number or an item too big for its field, a context id outside 1 to 255.
    """
    try:
        match pdu:
            case PDataTF():
                return _encode_p_data_tf(pdu)
            case AAssociateRQ() | AAssociateAC():
                return _encode_a_associate(pdu)
            case AAssociateRJ(result, reason):
                return _pack_fixed_length_pdu(PDUType.A_ASSOCIATE_RJ, 4, result, reason.source, reason.reason)
            case AReleaseRQ() | AReleaseRP():
                return _pack_fixed_length_pdu(pdu.pdu_type, 4, 0, 0, 0)
            case AAbort(reason):
                return _pack_fixed_length_pdu(PDUType.A_ABORT, 4, 0, reason.source, reason.reason)
            case _:
                assert_never(pdu)
    except LayoutError as error:
        raise ValueError(f"{type(pdu).__name__} has a number that does not fit its field: {error}") from error


def _encode_p_data_tf(pdu: PDataTF) -> bytes:
    """PS3.8 9.3.5. The data are copied once, into the result."""
    if not pdu.pdvs:
        raise ValueError("a P-DATA-TF without a PDV: give it one or more")
    parts: list[bytes | memoryview] = [b""]
    length = 0
    for pdv in pdu.pdvs:
        _check_context_id(pdv.presentation_context_id)
        item_length = len(pdv.data) + 2
        length += item_length + 4
        parts.append(_pack_pdv_header(item_length, pdv.presentation_context_id, pdv.message_control_header))
        parts.append(pdv.data)
    parts[0] = _pack_pdu_header(PDUType.P_DATA_TF, length)
    encoded = b"".join(parts)
    # A view of anything wider than bytes counts elements, not bytes, and would pass for shorter than it is.
    if len(encoded) != length + 6:
        raise ValueError("PDV data of more than one byte per element: give a memoryview cast to 'B'")
    return encoded


def _check_context_id(context_id: int) -> None:
    if not 1 <= context_id <= 255:
        raise ValueError(f"presentation context id {context_id}: it must be 1 to 255")


# -- A-ASSOCIATE-RQ and -AC


def _encode_a_associate(pdu: AAssociateRQ | AAssociateAC) -> bytes:
    """PS3.8 9.3.2, 9.3.3."""
    if len(pdu.reserved) != _RESERVED_LENGTH:
        raise ValueError(f"reserved field of {len(pdu.reserved)} bytes: it must have {_RESERVED_LENGTH}")
    body = b"".join(
        [
            _pack_pair(pdu.protocol_version, 0),
            _title(pdu.called_ae_title),
            _title(pdu.calling_ae_title),
            pdu.reserved,
            *[_encode_variable_item(item) for item in pdu.variable_items],
        ]
    )
    return _pack_pdu_header(pdu.pdu_type, len(body)) + body


def _title(title: str) -> bytes:
    encoded = _text(title)
    if len(encoded) > AE_TITLE_LENGTH:
        raise ValueError(
            f"AE title {title!r} of {len(title)} characters: it can have {AE_TITLE_LENGTH} at most"
        )
    return encoded.ljust(AE_TITLE_LENGTH)


def _encode_variable_item(item: VariableItem) -> bytes:
    match item:
        case PresentationContextACItem(context_id, result, transfer_syntax):
            _check_context_id(context_id)
            syntax = _item(ItemType.TRANSFER_SYNTAX, _text(transfer_syntax))
            return _item(ItemType.PRESENTATION_CONTEXT_AC, _pack_context(context_id, result) + syntax)
        case PresentationContextRQItem(context_id, abstract_syntax, transfer_syntaxes):
            _check_context_id(context_id)
            syntaxes = [_item(ItemType.TRANSFER_SYNTAX, _text(uid)) for uid in transfer_syntaxes]
            abstract = _item(ItemType.ABSTRACT_SYNTAX, _text(abstract_syntax))
            value = b"".join([_pack_context(context_id, 0), abstract, *syntaxes])
            return _item(ItemType.PRESENTATION_CONTEXT_RQ, value)
        case ApplicationContextItem(name):
            return _item(ItemType.APPLICATION_CONTEXT, _text(name))
        case UserInformationItem(user_data):
            return _item(ItemType.USER_INFORMATION, b"".join([_encode_sub_item(i) for i in user_data]))
        case UnknownItem(item_type, data):
            return _item(item_type, data)
        case _:
            assert_never(item)


def _encode_sub_item(item: UserDataSubItem) -> bytes:
    """PS3.8 D.1; PS3.7 D.3.3."""
    match item:
        case MaximumLengthSubItem(length):
            return _item(ItemType.MAXIMUM_LENGTH, _pack_long(length))
        case ImplementationClassUIDSubItem(uid):
            return _item(ItemType.IMPLEMENTATION_CLASS_UID, _text(uid))
        case ImplementationVersionNameSubItem(name):
            return _item(ItemType.IMPLEMENTATION_VERSION_NAME, _text(name))
        case AsynchronousOperationsWindowSubItem(invoked, performed):
            return _item(ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW, _pack_pair(invoked, performed))
        case RoleSelectionSubItem(uid, scu_role, scp_role):
            value = _field(_text(uid)) + _pack_bytes(scu_role, scp_role)
            return _item(ItemType.SCP_SCU_ROLE_SELECTION, value)
        case SOPClassExtendedNegotiationSubItem(uid, information):
            return _item(ItemType.SOP_CLASS_EXTENDED_NEGOTIATION, _field(_text(uid)) + information)
        case SOPClassCommonExtendedNegotiationSubItem(uid, service_class_uid, related_uids, version):
            related = b"".join([_field(_text(related_uid)) for related_uid in related_uids])
            value = _field(_text(uid)) + _field(_text(service_class_uid)) + _field(related)
            return _item(ItemType.SOP_CLASS_COMMON_EXTENDED_NEGOTIATION, value, version)
        case UserIdentityRQSubItem(identity_type, response_requested, primary_field, secondary_field):
            value = (
                _pack_bytes(identity_type, response_requested)
                + _field(primary_field)
                + _field(secondary_field)
            )
            return _item(ItemType.USER_IDENTITY_RQ, value)
        case UserIdentityACSubItem(server_response):
            return _item(ItemType.USER_IDENTITY_AC, _field(server_response))
        case UnknownItem(item_type, data):
            return _item(item_type, data)
        case _:
            assert_never(item)


# -- The pieces all of them are made of


def _item(item_type: int, value: bytes, second: int = 0) -> bytes:
    return _pack_item_header(item_type, second, len(value)) + value


def _field(value: bytes) -> bytes:
    return _pack_short(len(value)) + value


def _text(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(f"{value!r} has characters outside ISO 8859-1, which no PDU can carry") from error
