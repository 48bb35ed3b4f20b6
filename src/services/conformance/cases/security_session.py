"""DICOM within a TLS session, and sessions that break: case 164, and what goes beyond (PS3.15 B.12; PS3.8 9.2)."""

from services.conformance.building import c_echo_rq, c_store_rq, element, message, p_data, pdv
from services.conformance.case import Case, case
from services.conformance.cases.security_steps import beneath, cut, refused, tls_case
from services.conformance.steps import (
    ECHO_CONTEXT,
    STORE_CONTEXT,
    Expect,
    Send,
    Step,
    associate,
    echo,
    proposal,
    reconnect,
    release,
    reset,
)
from services.conformance.target import Service, Target
from services.conformance.tls_hello import alert, application_data, client_hello, records

_ECHO = (Service.TLS, Service.VERIFICATION)
_CUT_WHY = "a session that breaks off without close_notify is an A-P-ABORT (PS3.15 B.12; AA-4)"

# -- an instance that is cut off


def _instance(target: Target) -> bytes:
    return target.uid(164, 1)


def _data_set(target: Target) -> bytes:
    """An instance in Implicit VR Little Endian, with enough in it to be cut in the middle."""

    def text(number: int, value: bytes, *, group: int = 0x0008) -> bytes:
        return element(number, value + b" " * (len(value) % 2), group=group)

    def uid(number: int, value: bytes, *, group: int = 0x0008) -> bytes:
        return element(number, value + b"\0" * (len(value) % 2), group=group)

    return b"".join(
        (
            uid(0x0016, target.storage_class),
            uid(0x0018, _instance(target)),
            text(0x0020, b"20200101"),
            text(0x0060, b"OT"),
            text(0x0010, b"Conformance^Cut", group=0x0010),
            text(0x0020, b"CONFORMANCE-CUT", group=0x0010),
            uid(0x000D, target.uid(164, 2), group=0x0020),
            uid(0x000E, target.uid(164, 3), group=0x0020),
            text(0x4000, b"x" * 4000, group=0x0020),
        )
    )


def _half(target: Target) -> bytes:
    """The command, and the first half of the data set."""
    data = _data_set(target)
    command = p_data(pdv(STORE_CONTEXT, 3, c_store_rq(5, target.storage_class, _instance(target))))
    return command + p_data(pdv(STORE_CONTEXT, 0, data[: len(data) // 4 * 2]))


def _whole(target: Target) -> bytes:
    return message(STORE_CONTEXT, c_store_rq(6, target.storage_class, _instance(target)), _data_set(target))


_STORED_ANEW: tuple[Step, ...] = (
    reconnect(),
    *associate("store"),
    Send("the same C-STORE-RQ with the whole data set", _whole),
    Expect(
        "C-STORE-RSP 6 0000",
        why="of what was cut off nothing was kept: this is the first instance of its UID",
    ),
)


_CUT = (
    case(
        "security-164a",
        "The TLS session breaks off within a data set: FIN without close_notify",
        "PS3.15 B.12; PS3.8 9.2: Evt17 in Sta6, AA-4; PS3.4 B.2.2",
        associate("store"),
        Send("a C-STORE-RQ and half of its data set", _half),
        cut(),
        Expect("closed|reset", why=_CUT_WHY),
        _STORED_ANEW,
        needs=(Service.TLS, Service.STORAGE),
        writes=True,
    ),
    case(
        "security-164b",
        "The TLS session breaks off within a data set: the connection is reset",
        "PS3.15 B.12; PS3.8 9.2: Evt17 in Sta6, AA-4; PS3.4 B.2.2",
        associate("store"),
        Send("a C-STORE-RQ and half of its data set", _half),
        reset(),
        _STORED_ANEW,
        needs=(Service.TLS, Service.STORAGE),
        writes=True,
    ),
    tls_case(
        "security-164c",
        "The TLS session breaks off within an A-ASSOCIATE-RQ: FIN without close_notify",
        "PS3.15 B.12; PS3.8 9.2: Evt17 in Sta2, AA-5",
        Send("the first 100 bytes of an A-ASSOCIATE-RQ", lambda target: proposal(target)[:100]),
        cut(),
        Expect("closed|reset", why="AA-5: nothing is left to be done"),
    ),
    tls_case(
        "security-164d",
        "The TLS session breaks off between two C-ECHOs: FIN without close_notify",
        "PS3.15 B.12; PS3.8 9.2: Evt17 in Sta6, AA-4",
        associate(),
        echo(),
        cut(),
        Expect("closed|reset", why=_CUT_WHY),
    ),
)

# -- records

_RECORDS = (
    case(
        "security-202a",
        "An association in TLS records of 1 byte",
        "PS3.15 B.12; RFC 8446 5.1; PS3.8 9.1.3: a stream",
        Send("an A-ASSOCIATE-RQ", proposal, piece=1),
        Expect("accept", why="where records end means nothing"),
        Send("a C-ECHO-RQ", message(ECHO_CONTEXT, c_echo_rq(7)), piece=1),
        Expect("C-ECHO-RSP 7 0000", why="where records end means nothing"),
        release(),
        needs=_ECHO,
    ),
    tls_case(
        "security-202b",
        "Bytes beneath the TLS session: an A-RELEASE-RQ in the clear",
        "PS3.15 B.12; RFC 8446 5.2: a failed integrity check is an A-P-ABORT",
        associate(),
        beneath("an A-RELEASE-RQ in the clear", bytes.fromhex("05 00 00000004 00000000")),
        Expect("closed|reset", why="what is no record of the session ends it"),
    ),
    tls_case(
        "security-202c",
        "Bytes beneath the TLS session: a record that nobody encrypted",
        "PS3.15 B.12; RFC 8446 5.2: a failed integrity check is an A-P-ABORT",
        associate(),
        beneath(
            "a record of application data with a C-ECHO-RQ in the clear",
            application_data(message(1, c_echo_rq(7))),
        ),
        Expect("closed|reset", why="a record that fails its integrity check ends the session"),
    ),
    tls_case(
        "security-202d",
        "Bytes beneath the TLS session: a fatal alert in the clear",
        "PS3.15 B.12; RFC 8446 6",
        associate(),
        beneath("a fatal alert that nobody encrypted", alert(2, 40)),
        Expect("closed|reset", why="it is an alert, or a record that fails its integrity check"),
    ),
    tls_case(
        "security-203a",
        "Application data before any handshake",
        "PS3.15 B.12; RFC 8446 5; RFC 5246 7.4",
        refused(
            "an A-ASSOCIATE-RQ in a record of application data",
            application_data(proposal(Target(host="", port=0, called_ae=b"ANY"))),
            "nothing was agreed yet",
        ),
    ),
    tls_case(
        "security-203b",
        "A handshake record that is longer than records may be",
        "PS3.15 B.12; RFC 8446 5.1: 16384 bytes",
        refused(
            "a record of 32768 bytes that begins with a ClientHello",
            records(client_hello(0xC02F, 0xC02B).ljust(0x8000, b"\0"), size=0x8000),
            "its length is above the limit",
        ),
    ),
    tls_case(
        "security-203c",
        "A handshake message that claims to have 16 MiB",
        "PS3.15 B.12; RFC 5246 7.4; RFC 8446 4",
        refused(
            "a ClientHello with a length of FFFFFFH, and 64 KiB of it",
            records(b"\1\xff\xff\xff" + client_hello(0xC02F)[4:].ljust(0x10000, b"\0")),
            "no ClientHello is as long: it is not waited for",
        ),
    ),
    tls_case(
        "security-203d",
        "An alert before any handshake",
        "PS3.15 B.12; RFC 8446 6",
        refused("a fatal alert", alert(2, 40), "a fatal alert ends the connection"),
    ),
)

CASES: tuple[Case, ...] = (*_CUT, *_RECORDS)
