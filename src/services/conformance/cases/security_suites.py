"""Cipher suites, client certificates, handshakes that stand still: cases 160 to 165 (PS3.15 B.12; RFC 9325)."""

from services.conformance.case import Case
from services.conformance.cases.security_certificates import EXPIRED, UNKNOWN
from services.conformance.cases.security_steps import (
    answered,
    closes_in_time,
    hello_flight,
    is_refusal,
    modern_hello,
    nobody_gets_in,
    refused,
    say,
    shown,
    tls_case,
    unverified,
)
from services.conformance.cases.security_tls import MODERN
from services.conformance.conversation import Conversation
from services.conformance.steps import Do
from services.conformance.tls_hello import EARLY_DATA as EARLY_DATA_EXTENSION
from services.conformance.tls_hello import (
    FALLBACK_SCSV,
    HEARTBEAT,
    client_hello,
    client_hello_1_3,
    describe,
    made_up_ticket,
    records,
)

_B_12 = "PS3.15 B.12"

_WEAK = (
    ("a", "without encryption (NULL)", (0x003B, 0x0001, 0x0002, 0xC006, 0xC010)),
    ("b", "without authentication (anonymous)", (0x00A6, 0x00A7, 0xC018, 0xC019, 0x0034, 0x003A, 0x006C)),
    ("c", "with RC4", (0xC007, 0xC011, 0x0005, 0x0004)),
    ("d", "with 3DES or DES", (0xC008, 0xC012, 0x0016, 0x000A, 0x0015, 0x0009)),
    ("e", "of export strength", (0x0003, 0x0006, 0x0008, 0x0011, 0x0014, 0x0062, 0x0064)),
    ("f", "with static RSA, so without forward secrecy", (0x009C, 0x009D, 0x003C, 0x003D, 0x002F, 0x0035)),
    ("g", "with static (EC)DH", (0xC02D, 0xC031, 0xC025, 0xC029, 0xC004, 0xC00E, 0x00A0)),
    ("h", "with IDEA, SEED, Camellia or ARIA, and static RSA", (0x0007, 0x0096, 0x0041, 0x0084, 0xC03C)),
)

_SUITES = (
    *(
        tls_case(
            f"security-160{letter}",
            f"Cipher suites {what}",
            f"{_B_12}; RFC 9325 4.1",
            refused(
                f"a ClientHello for TLS 1.2 with cipher suites {what}, and no other",
                records(client_hello(*suites)),
                "they are forbidden",
            ),
        )
        for letter, what, suites in _WEAK
    ),
    tls_case(
        "security-160i",
        "Cipher suites with ECDHE and CBC",
        f"{_B_12}; RFC 9325 4.2",
        refused(
            "a ClientHello with ECDHE suites in CBC mode, and no other",
            records(client_hello(0xC023, 0xC024, 0xC027, 0xC028, 0xC009, 0xC00A, 0xC013, 0xC014)),
            f"{_B_12}; RFC 9325 recommends AEAD suites, and forbids none of these",
            tolerated=True,
        ),
    ),
    tls_case(
        "security-160j",
        "Cipher suites with DHE: the length of the modulus",
        f"{_B_12}; RFC 9325 4.1, 4.4",
        Do(
            "sends a ClientHello with DHE suites, and no other; expects a refusal, or a modulus of 2048 bits and more",
            lambda conversation: _long_modulus(conversation),
        ),
    ),
    tls_case(
        "security-160k",
        "Elliptic curves of fewer than 224 bits",
        f"{_B_12}; RFC 9325 4.4; RFC 8422 5.1.1",
        refused(
            "a ClientHello that knows the curves secp160r1 and secp192r1 alone",
            records(client_hello(*MODERN, groups=(0x0010, 0x0013))),
            "keys that short are forbidden, and there is no other curve in common",
        ),
    ),
    tls_case(
        "security-160l",
        "Signatures with MD5 and SHA-1 alone",
        f"{_B_12}; RFC 9155 2, 4; RFC 9325 4.3",
        refused(
            "a ClientHello that knows signatures with SHA-1 and MD5 alone",
            records(client_hello(*MODERN, signatures=(0x0201, 0x0203, 0x0101))),
            f"{_B_12}; RFC 9155 forbids them in TLS 1.2",
        ),
    ),
    tls_case(
        "security-160m",
        "TLS compression offered",
        f"{_B_12}; RFC 9325 3.3",
        answered(
            "a ClientHello that offers DEFLATE beside no compression",
            records(client_hello(*MODERN, compression=b"\1\0")),
            lambda hello: f"compression method {hello.compression}" if hello.compression else "",
            "compression gives secrets away",
        ),
    ),
)


async def _long_modulus(conversation: Conversation) -> None:
    flight, end = await say(
        conversation, records(client_hello(0x009E, 0x009F, 0xCCAA, 0x0067, 0x0033, 0x0039))
    )
    why = "shorter ones can be broken (RFC 9325 4.4)"
    if is_refusal(flight, end):
        return
    if flight.hello is None or not flight.is_tls:
        conversation.fail("a refusal, or a ServerHello", describe(flight), why)
    if flight.prime_bits < 2048:
        conversation.fail("a modulus of 2048 bits or more", f"{flight.prime_bits} bits", why)


_CLIENTS = tuple(
    tls_case(
        f"security-161{letter}",
        f"A client {title}",
        f"{_B_12}; PS3.15 A.5.3.11",
        nobody_gets_in(
            title,
            context,
            "who asks for a certificate lets in nobody whose certificate does not hold",
            *tolerated,
        ),
        note="Not applicable where the peer asks for no client certificate; it may ask and do without.",
    )
    for letter, title, context, tolerated in (
        ("a", "without a certificate", unverified, ("accept",)),
        ("b", "with a certificate nobody vouches for", lambda: shown(UNKNOWN), ()),
        ("c", "with a certificate that has expired", lambda: shown(EXPIRED), ()),
    )
)

_STALLED = tuple(
    tls_case(
        f"security-163{letter}",
        f"A TLS handshake that stands still: {title}",
        "PS3.8 9.1.4, 9.1.5; a local time-out",
        closes_in_time(title, what, delay=delay),
        waits=True,
        note="How long a handshake may take is the peer's own matter: --artim tells how long to wait at the most.",
    )
    for letter, title, what, delay in (
        ("a", "nothing", b"", 0.0),
        ("b", "the first 5 bytes of a ClientHello", modern_hello()[:5], 0.0),
        ("c", "all of a ClientHello but its last byte", modern_hello()[:-1], 0.0),
        ("d", "a ClientHello, and no answer to the ServerHello", modern_hello(), 0.0),
        ("e", "a ClientHello byte by byte, 0.2 s apart", modern_hello() * 100, 0.2),
    )
)


async def _says_it_renegotiates_safely(conversation: Conversation) -> None:
    flight = await hello_flight(conversation)
    why = "without it a man in the middle can put his own words before the client's"
    if flight.hello is None or not flight.is_tls:
        conversation.fail("a ServerHello", describe(flight), why)
    if 0xFF01 not in flight.hello.extensions:
        conversation.fail("renegotiation_info in the ServerHello", "none", why)


async def _refuses_the_fallback(conversation: Conversation) -> None:
    if is_refusal(*await say(conversation, records(client_hello_1_3()))):
        conversation.not_applicable(
            "the peer has TLS 1.2 and nothing newer: there is nothing to fall back from"
        )
    flight, end = await say(conversation, records(client_hello(*MODERN, FALLBACK_SCSV)))
    why = "the client says that it fell back, and both could do better"
    if is_refusal(flight, end):
        return
    if flight.hello is None or not flight.is_tls:
        conversation.fail("alert inappropriate_fallback", describe(flight), why)
    else:
        conversation.tolerate("alert inappropriate_fallback", describe(flight), why)


async def _marks_the_downgrade(conversation: Conversation) -> None:
    if is_refusal(*await say(conversation, records(client_hello_1_3()))):
        conversation.not_applicable("the peer has TLS 1.2 and nothing newer")
    flight = await hello_flight(conversation)
    why = "by it a client that offered 1.3 sees that somebody took the offer away"
    if flight.hello is None or not flight.is_tls:
        conversation.fail("a ServerHello", describe(flight), why)
    if flight.hello.random[-8:] != b"DOWNGRD\x01":
        conversation.fail("a Random that ends with 'DOWNGRD' and 01H", flight.hello.random[-8:].hex(), why)


_LATER = (
    tls_case(
        "security-165a",
        "Renegotiation: the extension that makes it safe",
        f"{_B_12}; RFC 5746 3.6; RFC 9325 3.5",
        Do(
            "sends a ClientHello for TLS 1.2; expects renegotiation_info in the answer",
            _says_it_renegotiates_safely,
        ),
    ),
    tls_case(
        "security-165b",
        "Early data (0-RTT) with a ticket nobody issued",
        f"{_B_12}; RFC 8446 4.2.10, 4.2.11; RFC 9325 3.6",
        answered(
            "a ClientHello with early_data and a made-up pre-shared key",
            records(client_hello_1_3(more=(EARLY_DATA_EXTENSION, made_up_ticket()))),
            lambda hello: "the pre-shared key taken" if 0x0029 in hello.extensions else "",
            "a key the server did not issue is passed over",
            tolerates_refusal=True,
        ),
    ),
    tls_case(
        "security-200a",
        "A fallback to TLS 1.2 that says so",
        f"{_B_12}; RFC 7507 3",
        Do(
            "sends a ClientHello for TLS 1.2 with TLS_FALLBACK_SCSV; expects alert inappropriate_fallback "
            "(tolerated: a ServerHello)",
            _refuses_the_fallback,
        ),
    ),
    tls_case(
        "security-200b",
        "TLS 1.2 chosen by a server that has 1.3: the mark in its Random",
        f"{_B_12}; RFC 8446 4.1.3",
        Do(
            "sends a ClientHello for TLS 1.2; expects the mark of a downgrade in the Random",
            _marks_the_downgrade,
        ),
    ),
    tls_case(
        "security-201",
        "The heartbeat extension",
        f"{_B_12}; RFC 6520 2; RFC 9325",
        answered(
            "a ClientHello that offers heartbeats",
            records(client_hello(*MODERN, more=(HEARTBEAT,))),
            lambda hello: "heartbeats agreed" if 0x000F in hello.extensions else "",
            "nobody needs it, and it has given memory away",
        ),
    ),
)

CASES: tuple[Case, ...] = (*_SUITES, *_CLIENTS, *_STALLED, *_LATER)
