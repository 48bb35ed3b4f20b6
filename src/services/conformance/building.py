"""PDUs, items and command sets laid out by hand from PS3.8 9.3 and PS3.7 Annexes D.3.3 and E.

Uses nothing of `dul.encode` or `dimse.command_set`: it must be able to send what they refuse, and a mistake there
cannot hide here. Every length can be made wrong. UIDs and titles are bytes, as on the wire.
"""

import struct

VERIFICATION = b"1.2.840.10008.1.1"
CT_IMAGE = b"1.2.840.10008.5.1.4.1.1.2"
STUDY_ROOT_FIND = b"1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_GET = b"1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT = b"1.2.840.10008.1.2"
EXPLICIT = b"1.2.840.10008.1.2.1"
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"

RELEASE_RQ = bytes.fromhex("05 00 00000004 00000000")
RELEASE_RP = bytes.fromhex("06 00 00000004 00000000")

# -- PDUs


def pdu(kind: int, body: bytes, *, reserved: int = 0, length: int | None = None) -> bytes:
    """PDU-type, a reserved byte, PDU-length, body."""
    return struct.pack(">BBI", kind, reserved, len(body) if length is None else length) + body


def abort(source: int, reason: int) -> bytes:
    return pdu(7, bytes([0, 0, source, reason]))


def item(kind: int, value: bytes, *, reserved: int = 0, length: int | None = None) -> bytes:
    """Item-type, a reserved byte, item-length of 2 bytes, value."""
    return struct.pack(">BBH", kind, reserved, len(value) if length is None else length) + value


def application_context(name: bytes = APPLICATION_CONTEXT) -> bytes:
    return item(0x10, name)


def context(context_id: int, abstract: bytes | None, *transfer: bytes, reserved: int = 0) -> bytes:
    """A proposed presentation context (20H) with its syntaxes (30H, 40H)."""
    names = b"" if abstract is None else item(0x30, abstract, reserved=reserved)
    names += b"".join(item(0x40, uid, reserved=reserved) for uid in transfer)
    return item(0x20, bytes([context_id, reserved, reserved, reserved]) + names, reserved=reserved)


def maximum_length(value: int) -> bytes:
    return item(0x51, struct.pack(">I", value))


IMPLEMENTATION_CLASS = item(0x52, b"2.25.1")


def window(invoked: int, performed: int) -> bytes:
    return item(0x53, struct.pack(">HH", invoked, performed))


def role(uid: bytes, scu: int, scp: int) -> bytes:
    return item(0x54, struct.pack(">H", len(uid)) + uid + bytes([scu, scp]))


def user_identity(kind: int, response: int, primary: bytes, secondary: bytes = b"") -> bytes:
    fields = b"".join(struct.pack(">H", len(field)) + field for field in (primary, secondary))
    return item(0x58, bytes([kind, response]) + fields)


def user_information(*sub_items: bytes) -> bytes:
    return item(0x50, b"".join(sub_items or (maximum_length(16384), IMPLEMENTATION_CLASS)))


def a_associate_rq(
    *items: bytes,
    called: bytes = b"SERVER",
    calling: bytes = b"TESTER",
    version: int = 1,
    reserved: int = 0,
    length_off_by: int = 0,
) -> bytes:
    """An A-ASSOCIATE-RQ; by default one context, id 1, Verification in Implicit VR Little Endian."""
    if not items:
        items = (application_context(), context(1, VERIFICATION, IMPLICIT), user_information())
    filler = bytes([reserved])
    body = struct.pack(">H", version) + filler * 2 + called.ljust(16) + calling.ljust(16) + filler * 32
    body += b"".join(items)
    return pdu(1, body, reserved=reserved, length=len(body) + length_off_by)


def proposing(*contexts: bytes, sub_items: tuple[bytes, ...] = ()) -> bytes:
    """An A-ASSOCIATE-RQ with these contexts, and sub-items beside the two that must be there."""
    sub_items = (maximum_length(16384), IMPLEMENTATION_CLASS, *sub_items)
    return a_associate_rq(application_context(), *contexts, user_information(*sub_items))


def pdv(context_id: int, header: int, data: bytes, *, length: int | None = None) -> bytes:
    """Item-length of 4 bytes, context id, message control header (1 command, 2 last), fragment."""
    return struct.pack(">IBB", len(data) + 2 if length is None else length, context_id, header) + data


def p_data(*pdvs: bytes, reserved: int = 0) -> bytes:
    return pdu(4, b"".join(pdvs), reserved=reserved)


# -- messages


def element(number: int, value: bytes, *, group: int = 0) -> bytes:
    """Group, element, length of 4 bytes, value: Implicit VR Little Endian."""
    return struct.pack("<HHI", group, number, len(value)) + value


def us(number: int, value: int) -> bytes:
    return element(number, struct.pack("<H", value))


def ui(number: int, value: bytes) -> bytes:
    return element(number, value + b"\0" * (len(value) % 2))


def command(*elements: bytes) -> bytes:
    """A command set with its group length."""
    body = b"".join(elements)
    return element(0x0000, struct.pack("<I", len(body))) + body


NO_DATA, DATA = 0x0101, 0x0000


def c_echo_rq(message_id: int, sop_class: bytes = VERIFICATION) -> bytes:
    return command(ui(0x0002, sop_class), us(0x0100, 0x0030), us(0x0110, message_id), us(0x0800, NO_DATA))


def c_store_rq(message_id: int, sop_class: bytes = CT_IMAGE, sop_instance: bytes = b"2.25.7") -> bytes:
    return command(
        ui(0x0002, sop_class),
        us(0x0100, 0x0001),
        us(0x0110, message_id),
        us(0x0700, 0),
        us(0x0800, DATA),
        ui(0x1000, sop_instance),
    )


def c_find_rq(message_id: int, sop_class: bytes = STUDY_ROOT_FIND) -> bytes:
    return command(
        ui(0x0002, sop_class),
        us(0x0100, 0x0020),
        us(0x0110, message_id),
        us(0x0700, 0),
        us(0x0800, DATA),
    )


def c_cancel_rq(message_id: int) -> bytes:
    return command(us(0x0100, 0x0FFF), us(0x0120, message_id), us(0x0800, NO_DATA))


def response(
    field: int, message_id: int, status: int = 0, *, sop_class: bytes = CT_IMAGE, data_set: int = NO_DATA
) -> bytes:
    return command(
        ui(0x0002, sop_class),
        us(0x0100, field),
        us(0x0120, message_id),
        us(0x0800, data_set),
        us(0x0900, status),
    )


def message(context_id: int, command_set: bytes, *data_set: bytes) -> bytes:
    """One P-DATA-TF for the command, one for each fragment of the data set."""
    pdus = [p_data(pdv(context_id, 3, command_set))]
    for number, fragment in enumerate(data_set, 1):
        pdus.append(p_data(pdv(context_id, 2 if number == len(data_set) else 0, fragment)))
    return b"".join(pdus)
