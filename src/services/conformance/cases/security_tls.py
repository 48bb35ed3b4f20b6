"""Whether TLS is spoken, and which version: cases 157 to 159 (PS3.15 B.12; RFC 8996, RFC 9325).

Most ClientHellos are laid out by hand: TLS libraries of today would not send them.
"""

from services.conformance.building import c_echo_rq, message, pdu
from services.conformance.case import Case
from services.conformance.cases.security_steps import (
    answered,
    in_the_clear,
    modern_hello,
    refused,
    say,
    tls_case,
)
from services.conformance.conversation import Conversation
from services.conformance.steps import Do, proposal
from services.conformance.tls_hello import (
    ECDHE_CHACHA20,
    ECDHE_GCM_128,
    ECDHE_GCM_256,
    SSL_3_0,
    SUITES_1_3,
    TLS_1_0,
    TLS_1_1,
    TLS_1_2,
    TLS_1_3,
    ServerHello,
    client_hello,
    client_hello_1_3,
    describe,
    extension,
    records,
    ssl_2_hello,
    supported_versions,
)

_B_12 = "PS3.15 B.12"
MODERN = (*ECDHE_GCM_128, *ECDHE_GCM_256, *ECDHE_CHACHA20)
"""Suites for TLS 1.2 that nothing speaks against."""

_OLD = (0xC009, 0xC00A, 0xC013, 0xC014, 0x0033, 0x0039, 0x002F, 0x0035, 0x000A)
"""Suites of the time before TLS 1.2: (EC)DHE and RSA with CBC."""


def _is_1_2(hello: ServerHello) -> str:
    return "" if hello.version == TLS_1_2 else f"version {hello.version:04X}H"


def _is_1_3(hello: ServerHello) -> str:
    return "" if hello.version == TLS_1_3 else f"version {hello.version:04X}H"


_IN_THE_CLEAR = (
    tls_case(
        "security-157a",
        "An A-ASSOCIATE-RQ without TLS to the TLS port",
        _B_12,
        in_the_clear("an A-ASSOCIATE-RQ", proposal),
    ),
    tls_case(
        "security-157b",
        "A C-ECHO-RQ without TLS to the TLS port",
        _B_12,
        in_the_clear("a P-DATA-TF with a C-ECHO-RQ", message(1, c_echo_rq(7))),
    ),
    tls_case(
        "security-157c",
        "An HTTP request without TLS to the TLS port",
        _B_12,
        in_the_clear("an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ),
    tls_case(
        "security-157d",
        "A PDU of type FFH without TLS to the TLS port",
        _B_12,
        in_the_clear("a PDU of type FFH", pdu(0xFF, bytes(20))),
    ),
)

_NO_LONGER = "RFC 8996 forbids it, and B.12 with it"

_VERSIONS = (
    tls_case(
        "security-158a",
        "SSL 2.0",
        f"{_B_12}; RFC 6176",
        refused("a CLIENT-HELLO of SSL 2.0", ssl_2_hello(), "RFC 6176 forbids it"),
    ),
    *(
        tls_case(
            f"security-158{letter}",
            name,
            f"{_B_12}; {clause}",
            refused(
                f"a ClientHello that offers {name} and nothing newer",
                records(client_hello(*_OLD, version=version), version=min(version, TLS_1_0)),
                why,
            ),
        )
        for letter, name, version, clause, why in (
            ("b", "SSL 3.0", SSL_3_0, "RFC 7568", "RFC 7568 forbids it"),
            ("c", "TLS 1.0", TLS_1_0, "RFC 8996", _NO_LONGER),
            ("d", "TLS 1.1", TLS_1_1, "RFC 8996", _NO_LONGER),
        )
    ),
    tls_case(
        "security-158e",
        "TLS 1.0 and 1.1 in the supported_versions of a ClientHello for TLS 1.2",
        f"{_B_12}; RFC 8446 4.2.1; RFC 8996",
        refused(
            "a ClientHello whose supported_versions are TLS 1.1 and 1.0",
            records(client_hello(*MODERN, *_OLD, more=(supported_versions(TLS_1_1, TLS_1_0),))),
            "supported_versions alone counts where it is there, and these two are forbidden",
            tolerated=True,
        ),
        note="A server that knows no TLS 1.3 does not know the extension either, and takes TLS 1.2.",
    ),
    tls_case(
        "security-159a",
        "TLS 1.2 with the suites that RFC 9325 recommends",
        f"{_B_12}; RFC 9325 4.2",
        answered("a ClientHello for TLS 1.2", modern_hello(), _is_1_2, "TLS 1.2 must be supported"),
    ),
    *(
        tls_case(
            f"security-159{letter}",
            f"TLS 1.2 with {name} alone",
            f"{_B_12}; RFC 9325 4.2",
            answered(
                f"a ClientHello with ECDHE and {name}, for ECDSA and RSA",
                records(client_hello(*suites)),
                _is_1_2,
                why,
                tolerates_refusal=tolerant,
            ),
        )
        for letter, name, suites, tolerant, why in (
            ("b", "AES-128-GCM", ECDHE_GCM_128, False, "it is recommended, and everybody has it"),
            ("c", "AES-256-GCM", ECDHE_GCM_256, False, "it is recommended, and everybody has it"),
            (
                "d",
                "CHACHA20-POLY1305",
                ECDHE_CHACHA20,
                True,
                "it is as good, and B.13 wants it; B.12 does not",
            ),
        )
    ),
    tls_case(
        "security-159e",
        "TLS 1.3 beside TLS 1.2",
        f"{_B_12}: the server prefers 1.3",
        Do(
            "sends a ClientHello that offers TLS 1.3 and 1.2; expects TLS 1.3, or 1.2 of a server that has no other",
            lambda conversation: _prefers_1_3(conversation),
        ),
        note="A server may have no TLS 1.3: that is tolerated, for B.12 recommends it.",
    ),
    tls_case(
        "security-159f",
        "TLS 1.3 alone",
        f"{_B_12}; RFC 8446 4.1.3",
        answered(
            "a ClientHello that offers TLS 1.3 alone",
            records(client_hello_1_3()),
            _is_1_3,
            "it should be supported",
            tolerates_refusal=True,
        ),
    ),
    tls_case(
        "security-159g",
        "Versions nobody knows beside TLS 1.3 and 1.2",
        f"{_B_12}; RFC 8446 4.2.1, 9.2; RFC 8701",
        answered(
            "a ClientHello that offers versions 7F1CH and 0305H first",
            records(client_hello_1_3(*SUITES_1_3, *MODERN, versions=(0x7A7A, 0x0305, TLS_1_3, TLS_1_2))),
            lambda hello: "" if hello.version in (TLS_1_2, TLS_1_3) else f"version {hello.version:04X}H",
            "what is not known is passed over",
        ),
    ),
    tls_case(
        "security-159h",
        "A client_version of 0304H, without supported_versions",
        f"{_B_12}; RFC 5246 E.1; RFC 8446 4.1.2, D.2",
        answered(
            "a ClientHello of version 0304H",
            records(client_hello(*MODERN, version=0x0304)),
            _is_1_2,
            "the highest version not above that one is TLS 1.2: 1.3 is offered by the extension alone",
        ),
    ),
    tls_case(
        "security-159i",
        "Cipher suites, groups and extensions nobody knows beside good ones",
        f"{_B_12}; RFC 5246 7.4.1.2; RFC 8701",
        answered(
            "such a ClientHello",
            records(
                client_hello(
                    0x0A0A,
                    *MODERN,
                    0xFAFA,
                    groups=(0x1A1A, 0x001D, 0x0017),
                    more=(extension(0x2A2A, b"\0"),),
                )
            ),
            lambda hello: "" if hello.suite in MODERN else f"cipher suite {hello.suite:04X}H",
            "what is not known is passed over",
        ),
    ),
    tls_case(
        "security-159j",
        "A ClientHello in records of 16 bytes",
        f"{_B_12}; RFC 5246 6.2.1; RFC 8446 5.1",
        answered(
            "a ClientHello in records of 16 bytes",
            records(client_hello(*MODERN), size=16),
            _is_1_2,
            "handshake messages may be cut into records anywhere",
            tolerates_refusal=True,
        ),
        note="Some libraries refuse short records by way of defence, and say so with an alert.",
    ),
    tls_case(
        "security-159k",
        "A ClientHello in TCP segments of 1 byte",
        f"{_B_12}; RFC 5246 6.2: records on a stream",
        answered("a ClientHello", modern_hello(), _is_1_2, "where TCP cuts means nothing", piece=1),
    ),
)


async def _prefers_1_3(conversation: Conversation) -> None:
    why = "a server that has TLS 1.3 takes it where it is offered"
    flight, _ = await say(
        conversation, records(client_hello_1_3(*SUITES_1_3, *MODERN, versions=(TLS_1_3, TLS_1_2)))
    )
    if flight.hello is None or not flight.is_tls:
        conversation.fail("a ServerHello", describe(flight), why)
    if flight.hello.version == TLS_1_3:
        return
    alone, _ = await say(conversation, records(client_hello_1_3()))
    if alone.hello is not None or flight.hello.version != TLS_1_2:
        conversation.fail("TLS 1.3", describe(flight), why)
    conversation.tolerate("TLS 1.3", describe(flight), "the peer has TLS 1.2 and nothing newer")


CASES: tuple[Case, ...] = (*_IN_THE_CLEAR, *_VERSIONS)
