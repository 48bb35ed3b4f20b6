"""From the bytes of a PDU to its value (PS3.8 9.3, Annexes D and E; PS3.7 Annex D.3.3).

Everything a peer can get wrong in the shape of a PDU is found here and raised as a RemoteProtocolError; no
other exception leaves this file, whatever the bytes. Each length is checked against what is left of the
field around it. Reserved bytes are never tested, unknown items are kept. What the values mean (protocol
version, names, results) is judged elsewhere, and so is whether the PDU may come now.
"""

from collections.abc import Callable
from struct import Struct as Layout

from dul.decode_user_information import decode_user_information
from dul.enums import ContextResult, ItemType
from dul.errors import InvalidContextId, InvalidPDU, UnrecognizedPDU
from dul.framing import FIXED_LENGTH, SHORTEST_A_ASSOCIATE
from dul.items import RawItem, split_items, text
from dul.pdus import (
    PDV,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AnyPDU,
    ApplicationContextItem,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
    PresentationContextACItem,
    PresentationContextRQItem,
    UnknownItem,
    VariableItem,
)
from dul.reasons import AbortReason, RejectReason

_PDV_HEADER_LENGTH = 6  # item-length, presentation-context-ID, message control header

_unpack_pdv_header = Layout(">IBB").unpack_from


def decode_pdu(pdu_type: int, body: bytes | memoryview) -> AnyPDU:
    """Decode one PDU.

    Args:
        pdu_type: first byte of the PDU.
        body: everything after its 6-byte header.

    Returns:
        The PDU. `PDV.data` are slices of `body`, so views where it is a memoryview; all else is copied.

    Raises:
        UnrecognizedPDU: `pdu_type` is none of 01H to 07H.
        InvalidPDU: a length, count or value the PDU cannot have.
    """
    match pdu_type:
        case 4:
            return _decode_p_data_tf(body)
        case 1:
            return _decode_a_associate_rq(bytes(body))
        case 2:
            return _decode_a_associate_ac(bytes(body))
        case 3:
            _check_fixed_length("A-ASSOCIATE-RJ", body)
            return AAssociateRJ(body[1], RejectReason(body[2], body[3]))
        case 5:
            _check_fixed_length("A-RELEASE-RQ", body)
            return AReleaseRQ()
        case 6:
            _check_fixed_length("A-RELEASE-RP", body)
            return AReleaseRP()
        case 7:
            return _decode_a_abort(body)
    raise UnrecognizedPDU(f"PDU-type {pdu_type:02X}H: it must be 01H to 07H")


def _check_fixed_length(name: str, body: bytes | memoryview) -> None:
    if len(body) != FIXED_LENGTH:
        raise InvalidPDU(f"{name} with PDU-length {len(body)}: it must be {FIXED_LENGTH}")


def _decode_a_abort(body: bytes | memoryview) -> AAbort:
    # An abort that cannot be read is still an abort, and no abort is ever answered (PS3.8 9.3.8).
    if len(body) != FIXED_LENGTH:
        return AAbort(AbortReason.SERVICE_USER)
    return AAbort(AbortReason(body[2], body[3]))


def _decode_p_data_tf(body: bytes | memoryview) -> PDataTF:
    """PS3.8 9.3.5: PDV items that end exactly where the PDU does."""
    end = len(body)
    if not end:
        raise InvalidPDU("P-DATA-TF without a PDV item: it must have one or more")
    pdvs = []
    position = 0
    while position < end:
        data = position + _PDV_HEADER_LENGTH
        if data > end:
            raise InvalidPDU(f"P-DATA-TF ends with {end - position} bytes that are no PDV item")
        length, context_id, control_header = _unpack_pdv_header(body, position)
        position += 4 + length
        if length < 2 or position > end:
            raise InvalidPDU(
                f"PDV with item-length {length}: its P-DATA-TF has {end - data + 2} left, 2 are the least"
            )
        if not context_id & 1:
            raise InvalidPDU(f"PDV with presentation context id {context_id}: it must be odd")
        pdvs.append(PDV(context_id, control_header, body[data:position]))
    return PDataTF(tuple(pdvs))


# -- A-ASSOCIATE-RQ and -AC


def _decode_a_associate_rq(body: bytes) -> AAssociateRQ:
    raw = _variable_items("A-ASSOCIATE-RQ", body, ItemType.PRESENTATION_CONTEXT_RQ)
    sound, fault = _sound_contexts(raw, ItemType.PRESENTATION_CONTEXT_RQ)
    items = tuple([_decode_item(item, _RQ_ITEMS) for item in sound])
    called, calling, version = _titles_and_version(body)
    pdu = AAssociateRQ(called, calling, items, version, body[36:68])
    if fault:
        raise InvalidContextId(fault, pdu)
    return pdu


def _decode_a_associate_ac(body: bytes) -> AAssociateAC:
    raw = _variable_items("A-ASSOCIATE-AC", body, ItemType.PRESENTATION_CONTEXT_AC)
    _, fault = _sound_contexts(raw, ItemType.PRESENTATION_CONTEXT_AC)
    if fault:
        raise InvalidPDU(fault)
    items = tuple([_decode_item(item, _AC_ITEMS) for item in raw])
    called, calling, version = _titles_and_version(body)
    return AAssociateAC(called, calling, items, version, body[36:68])


def _titles_and_version(body: bytes) -> tuple[str, str, int]:
    return body[4:20].decode("latin-1"), body[20:36].decode("latin-1"), int.from_bytes(body[:2])


def _variable_items(name: str, body: bytes, context_type: ItemType) -> list[RawItem]:
    """The items after the fixed fields, with those of which there must be one (PS3.8 9.3.2, 9.3.3)."""
    if len(body) < SHORTEST_A_ASSOCIATE:
        raise InvalidPDU(f"{name} with PDU-length {len(body)}: it must be {SHORTEST_A_ASSOCIATE} or more")
    raw = split_items(body[SHORTEST_A_ASSOCIATE:], name)
    types = [item[0] for item in raw]
    for item_type, what in (
        (ItemType.APPLICATION_CONTEXT, "application context"),
        (ItemType.USER_INFORMATION, "user information"),
    ):
        if types.count(item_type) != 1:
            raise InvalidPDU(f"{name} with {types.count(item_type)} {what} items: it must have exactly one")
    if context_type not in types:
        raise InvalidPDU(f"{name} without a presentation context item: it must have one or more")
    return raw


def _sound_contexts(raw: list[RawItem], context_type: ItemType) -> tuple[list[RawItem], str]:
    """The items but for contexts whose id is not odd, or not unique, and what was wrong with the first such one.

    PS3.8 9.3.2.2, 9.3.3.2, 7.1.1.13.
    """
    sound, fault = [], ""
    seen = set()
    for item in raw:
        item_type, _, value = item
        if item_type == context_type and value:
            context_id = value[0]
            if not context_id & 1:
                fault = fault or f"presentation context id {context_id}: it must be odd"
                continue
            if context_id in seen:
                fault = fault or f"presentation context id {context_id} twice: each must be unique"
                continue
            seen.add(context_id)
        sound.append(item)
    return sound, fault


def _decode_item(raw: RawItem, decoders: dict[int, Callable[[bytes], VariableItem]]) -> VariableItem:
    item_type, _, value = raw
    decoder = decoders.get(item_type)
    return UnknownItem(item_type, value) if decoder is None else decoder(value)


def _decode_application_context(value: bytes) -> ApplicationContextItem:
    return ApplicationContextItem(text(value))


def _decode_presentation_context_rq(value: bytes) -> PresentationContextRQItem:
    """PS3.8 9.3.2.2: one abstract syntax, one or more transfer syntaxes."""
    if len(value) < 4:
        raise InvalidPDU(f"presentation context item with item-length {len(value)}: it must be 4 or more")
    context_id = value[0]
    abstract_syntaxes = []
    transfer_syntaxes = []
    for item_type, _, name in split_items(value[4:], "presentation context item"):
        if item_type == ItemType.TRANSFER_SYNTAX:
            # Some devices put an empty one first; it names nothing, so it offers nothing.
            if uid := text(name):
                transfer_syntaxes.append(uid)
        elif item_type == ItemType.ABSTRACT_SYNTAX:
            abstract_syntaxes.append(text(name))
    if len(abstract_syntaxes) != 1:
        raise InvalidPDU(
            f"presentation context {context_id} with {len(abstract_syntaxes)} abstract syntaxes: "
            "it must have one"
        )
    if not transfer_syntaxes:
        raise InvalidPDU(
            f"presentation context {context_id} without a transfer syntax: it must have one or more"
        )
    return PresentationContextRQItem(context_id, abstract_syntaxes[0], tuple(transfer_syntaxes))


def _decode_presentation_context_ac(value: bytes) -> PresentationContextACItem:
    """PS3.8 9.3.3.2: one transfer syntax; without acceptance it means nothing and is not tested."""
    if len(value) < 4:
        raise InvalidPDU(f"presentation context item with item-length {len(value)}: it must be 4 or more")
    context_id, result = value[0], value[2]
    if result != ContextResult.ACCEPTANCE:
        return PresentationContextACItem(context_id, result, _first_transfer_syntax(value))
    transfer_syntaxes = _transfer_syntaxes(value)
    if len(transfer_syntaxes) != 1:
        raise InvalidPDU(
            f"presentation context {context_id} accepted with {len(transfer_syntaxes)} transfer syntaxes: "
            "it must have one"
        )
    return PresentationContextACItem(context_id, result, transfer_syntaxes[0])


def _transfer_syntaxes(value: bytes) -> list[str]:
    raw = split_items(value[4:], "presentation context item")
    return [text(name) for item_type, _, name in raw if item_type == ItemType.TRANSFER_SYNTAX]


def _first_transfer_syntax(value: bytes) -> str:
    try:
        return next(iter(_transfer_syntaxes(value)), "")
    except InvalidPDU:
        return ""


# The presentation context item of the one PDU is an unknown item in the other.
_RQ_ITEMS: dict[int, Callable[[bytes], VariableItem]] = {
    ItemType.APPLICATION_CONTEXT: _decode_application_context,
    ItemType.PRESENTATION_CONTEXT_RQ: _decode_presentation_context_rq,
    ItemType.USER_INFORMATION: decode_user_information,
}
_AC_ITEMS: dict[int, Callable[[bytes], VariableItem]] = {
    ItemType.APPLICATION_CONTEXT: _decode_application_context,
    ItemType.PRESENTATION_CONTEXT_AC: _decode_presentation_context_ac,
    ItemType.USER_INFORMATION: decode_user_information,
}
