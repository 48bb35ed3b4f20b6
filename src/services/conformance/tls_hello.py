"""TLS handshake messages laid out and read by hand (RFC 5246, RFC 8446): what no TLS library would send any more.

Nothing is encrypted here: everything a server says to a ClientHello comes in the clear up to its ServerHelloDone, or,
with TLS 1.3, up to its ServerHello. Knows no connection.
"""

import struct
from collections.abc import Sequence

from msgspec import Struct

SSL_3_0, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304

HELLO_RANDOM = b"a ClientHello laid out by hand.."
"""The Random of every ClientHello we lay out, 32 bytes. Nothing is kept secret by it."""

SESSION_ID = bytes(range(32))

ECDHE_GCM_128 = (0xC02B, 0xC02F)
ECDHE_GCM_256 = (0xC02C, 0xC030)
ECDHE_CHACHA20 = (0xCCA9, 0xCCA8)
SUITES_1_3 = (0x1301, 0x1302, 0x1303)
FALLBACK_SCSV = 0x5600

_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA = 20, 21, 22, 23
_SERVER_HELLO, _CERTIFICATE, _SERVER_KEY_EXCHANGE, _CERTIFICATE_REQUEST, _DONE = 2, 11, 12, 13, 14
_HELLO_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

_GROUPS = (0x001D, 0x0017, 0x0018)
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601)

# -- writing


def _vector(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size) + data


def _numbers(values: Sequence[int]) -> bytes:
    return b"".join(struct.pack(">H", value) for value in values)


def extension(kind: int, data: bytes = b"") -> bytes:
    """An extension of a hello message (RFC 8446 4.2)."""
    return struct.pack(">H", kind) + _vector(data, 2)


def supported_versions(*versions: int) -> bytes:
    """The versions a client offers (RFC 8446 4.2.1)."""
    return extension(0x002B, _vector(_numbers(versions), 1))


def key_share() -> bytes:
    """A share for X25519: the base point, which is as good as any for a handshake that ends after the ServerHello."""
    return extension(0x0033, _vector(struct.pack(">H", 0x001D) + _vector(b"\x09" + bytes(31), 2), 2))


HEARTBEAT = extension(0x000F, b"\1")
EARLY_DATA = extension(0x002A)
PSK_MODES = extension(0x002D, b"\1\1")


def made_up_ticket() -> bytes:
    """A pre-shared key nobody issued; it must be the last extension (RFC 8446 4.2.11)."""
    identity = _vector(b"a ticket that nobody issued", 2) + bytes(4)
    return extension(0x0029, _vector(identity, 2) + _vector(_vector(bytes(32), 1), 2))


def records(handshake: bytes, *, version: int = TLS_1_0, size: int = 1 << 14) -> bytes:
    """Handshake bytes in records of at most `size` bytes (RFC 8446 5.1)."""
    pieces = [handshake[start : start + size] for start in range(0, len(handshake), size)]
    return b"".join(struct.pack(">BH", _HANDSHAKE, version) + _vector(piece, 2) for piece in pieces)


def client_hello(
    *suites: int,
    version: int = TLS_1_2,
    groups: Sequence[int] = _GROUPS,
    signatures: Sequence[int] = _SIGNATURES,
    compression: bytes = b"\0",
    more: Sequence[bytes] = (),
) -> bytes:
    """A ClientHello, without its record.

    Args:
        suites: cipher suites offered.
        version: `client_version`.
        groups: offered for (EC)DHE.
        signatures: signature algorithms offered; none, and no extension at all before TLS 1.2.
        compression: methods offered.
        more: extensions after these, in their order.
    """
    extensions = [
        extension(0xFF01, b"\0"),
        extension(0x000A, _vector(_numbers(groups), 2)),
        extension(0x000B, b"\1\0"),
    ]
    if version >= TLS_1_2:
        extensions.append(extension(0x000D, _vector(_numbers(signatures), 2)))
    body = struct.pack(">H", version) + HELLO_RANDOM + _vector(SESSION_ID, 1)
    body += _vector(_numbers(suites), 2) + _vector(compression, 1)
    if version > SSL_3_0:
        body += _vector(b"".join((*extensions, *more)), 2)
    return b"\1" + _vector(body, 3)


def client_hello_1_3(*suites: int, versions: Sequence[int] = (TLS_1_3,), more: Sequence[bytes] = ()) -> bytes:
    """A ClientHello that offers TLS 1.3, and other versions where told."""
    return client_hello(
        *(suites or SUITES_1_3), more=(supported_versions(*versions), key_share(), PSK_MODES, *more)
    )


def ssl_2_hello() -> bytes:
    """A CLIENT-HELLO of SSL 2.0, record and all: RC4, 3DES, and a challenge of 16 bytes."""
    body = b"\1\0\2" + struct.pack(">HHH", 6, 0, 16) + bytes.fromhex("010080 0700c0") + HELLO_RANDOM[:16]
    return struct.pack(">H", 0x8000 | len(body)) + body


def alert(level: int, description: int) -> bytes:
    """An alert record."""
    return struct.pack(">BH", _ALERT, TLS_1_2) + _vector(bytes([level, description]), 2)


def application_data(data: bytes) -> bytes:
    """A record that claims to be application data."""
    return struct.pack(">BH", _APPLICATION_DATA, TLS_1_2) + _vector(data, 2)


# -- reading

ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    47: "illegal_parameter",
    50: "decode_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    109: "missing_extension",
    110: "unsupported_extension",
    116: "certificate_required",
}
"""Names of alerts (RFC 8446 6)."""


class ServerHello(Struct, frozen=True):
    """What a server chose.

    Attributes:
        version: with TLS 1.3 that of its extension.
        random: 32 bytes.
        suite: the cipher suite.
        compression: the method.
        extensions: by type.
        is_retry: it asks for another ClientHello (RFC 8446 4.1.4).
    """

    version: int
    random: bytes
    suite: int
    compression: int
    extensions: dict[int, bytes]
    is_retry: bool


class Flight(Struct, frozen=True):
    """What a server said in the clear.

    Attributes:
        hello: its ServerHello; None where none came.
        alerts: descriptions, in order.
        asks_certificate: it sent a CertificateRequest.
        prime_bits: of the modulus of a DHE key exchange; 0 where none came.
        is_done: nothing more can come in the clear.
        is_tls: everything that came are TLS records.
    """

    hello: ServerHello | None = None
    alerts: tuple[int, ...] = ()
    asks_certificate: bool = False
    prime_bits: int = 0
    is_done: bool = False
    is_tls: bool = True


_DHE = frozenset({0x0033, 0x0039, 0x0067, 0x006B, 0x009E, 0x009F, 0xCCAA})


def read_flight(data: bytes) -> Flight:
    """Read what a server sent; whatever it is, nothing is raised."""
    handshake, alerts, is_done, is_tls = b"", [], False, True
    while len(data) >= 5:
        kind, version, length = struct.unpack_from(">BHH", data)
        if not _CHANGE_CIPHER_SPEC <= kind <= _APPLICATION_DATA or version >> 8 != 3:
            is_tls = False
            break
        if len(data) < 5 + length:
            break
        content, data = data[5 : 5 + length], data[5 + length :]
        if kind == _HANDSHAKE:
            handshake += content
        elif kind == _ALERT and length == 2:
            alerts.append(content[1])
        else:
            is_done = True  # what follows is encrypted
    if data and not _CHANGE_CIPHER_SPEC <= data[0] <= _APPLICATION_DATA:
        is_tls = False
    hello, asks, prime_bits = None, False, 0
    for kind, body in _messages(handshake):
        if kind == _SERVER_HELLO and hello is None:
            hello = _read_server_hello(body)
            is_done = is_done or (hello is not None and (hello.is_retry or hello.version >= TLS_1_3))
        elif kind == _SERVER_KEY_EXCHANGE and hello is not None and hello.suite in _DHE:
            prime_bits = int.from_bytes(body[2 : 2 + int.from_bytes(body[:2])]).bit_length()
        elif kind == _CERTIFICATE_REQUEST:
            asks = True
        elif kind == _DONE:
            is_done = True
    return Flight(hello, tuple(alerts), asks, prime_bits, is_done, is_tls)


def _messages(handshake: bytes) -> list[tuple[int, bytes]]:
    found = []
    while len(handshake) >= 4:
        end = 4 + int.from_bytes(handshake[1:4])
        if len(handshake) < end:
            break
        found.append((handshake[0], handshake[4:end]))
        handshake = handshake[end:]
    return found


def _read_server_hello(body: bytes) -> ServerHello | None:
    if len(body) < 38:
        return None
    version, random = int.from_bytes(body[:2]), body[2:34]
    position = 35 + body[34]
    suite, compression = int.from_bytes(body[position : position + 2]), body[position + 2 : position + 3]
    extensions, rest = {}, body[position + 5 :]
    while len(rest) >= 4:
        end = 4 + int.from_bytes(rest[2:4])
        extensions[int.from_bytes(rest[:2])] = rest[4:end]
        rest = rest[end:]
    chosen = int.from_bytes(extensions.get(0x002B, b"")) or version
    return ServerHello(chosen, random, suite, int.from_bytes(compression), extensions, random == _HELLO_RETRY)


def describe(flight: Flight) -> str:
    """What a server said, in words."""
    if not flight.is_tls:
        return "bytes that are no TLS record"
    if flight.hello is not None:
        name = {
            SSL_3_0: "SSL 3.0",
            TLS_1_0: "TLS 1.0",
            TLS_1_1: "TLS 1.1",
            TLS_1_2: "TLS 1.2",
            TLS_1_3: "TLS 1.3",
        }
        version = name.get(flight.hello.version, f"version {flight.hello.version:04X}H")
        return f"a ServerHello with {version}, cipher suite {flight.hello.suite:04X}H"
    if flight.alerts:
        return "alert " + ", ".join(ALERTS.get(each, str(each)) for each in flight.alerts)
    return "nothing"
