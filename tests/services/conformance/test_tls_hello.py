"""ClientHellos laid out by hand are ClientHellos to OpenSSL, and what it answers is read as it meant it."""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import self_signed, server_context
from services.conformance.tls_hello import EARLY_DATA as EARLY_DATA_EXTENSION
from services.conformance.tls_hello import (
    ECDHE_GCM_128,
    ECDHE_GCM_256,
    SUITES_1_3,
    TLS_1_0,
    TLS_1_1,
    TLS_1_2,
    TLS_1_3,
    Flight,
    alert,
    client_hello,
    client_hello_1_3,
    describe,
    made_up_ticket,
    read_flight,
    records,
    ssl_2_hello,
)

MODERN = (*ECDHE_GCM_128, *ECDHE_GCM_256)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder: Path = tmp_path_factory.mktemp("tls")
    return server_context(*self_signed(folder))


def answer(context: ssl.SSLContext, hello: bytes) -> bytes:
    """What OpenSSL says to a ClientHello, or to anything."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with suppress(ssl.SSLError):
        session.do_handshake()
    return outgoing.read()


def flight(context: ssl.SSLContext, hello: bytes) -> Flight:
    return read_flight(answer(context, hello))


def test_tls_1_2(context: ssl.SSLContext) -> None:
    found = flight(context, records(client_hello(*MODERN)))
    assert found.hello is not None
    assert (found.hello.version, found.hello.compression, found.is_done, found.is_tls) == (
        TLS_1_2,
        0,
        True,
        True,
    )
    assert found.hello.suite in MODERN
    assert found.hello.random[-8:] == b"DOWNGRD\x01"
    assert 0xFF01 in found.hello.extensions
    assert not found.asks_certificate
    assert "TLS 1.2" in describe(found)


def test_tls_1_3(context: ssl.SSLContext) -> None:
    found = flight(context, records(client_hello_1_3()))
    assert found.hello is not None
    assert (found.hello.version, found.hello.is_retry, found.is_done) == (TLS_1_3, False, True)
    assert found.hello.suite in SUITES_1_3


def test_records_of_16_bytes_are_one_hello(context: ssl.SSLContext) -> None:
    found = flight(context, records(client_hello(*MODERN), size=16))
    assert found.hello is not None or found.alerts


def test_a_made_up_ticket_is_passed_over(context: ssl.SSLContext) -> None:
    found = flight(context, records(client_hello_1_3(more=(EARLY_DATA_EXTENSION, made_up_ticket()))))
    assert found.hello is not None
    assert 0x0029 not in found.hello.extensions


@pytest.mark.parametrize("version", [TLS_1_0, TLS_1_1])
def test_old_versions_are_refused(context: ssl.SSLContext, version: int) -> None:
    found = flight(context, records(client_hello(0xC013, 0xC009, version=version)))
    assert found.hello is None
    assert found.alerts == (70,)
    assert describe(found) == "alert protocol_version"


def test_ssl_2_is_refused(context: ssl.SSLContext) -> None:
    assert flight(context, ssl_2_hello()).hello is None


def test_a_wish_for_a_certificate_is_seen(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    wishing = server_context(certificate, key, trusts=certificate)
    assert flight(wishing, records(client_hello(*MODERN))).asks_certificate


def test_the_modulus_of_dhe_is_measured() -> None:
    hello = bytes.fromhex("0303") + bytes(32) + b"\0" + bytes.fromhex("009e 00")
    prime = b"\x80" + bytes(127)
    exchange = len(prime).to_bytes(2) + prime + b"\0\1\2\0\1\5"
    handshake = b"\2" + len(hello).to_bytes(3) + hello + b"\x0c" + len(exchange).to_bytes(3) + exchange
    assert read_flight(records(handshake)).prime_bits == 1024


def test_what_is_no_tls_is_told() -> None:
    found = read_flight(bytes.fromhex("0700000000040000 0000"))
    assert not found.is_tls
    assert describe(found) == "bytes that are no TLS record"
    assert describe(read_flight(b"")) == "nothing"
    assert read_flight(alert(2, 40)).alerts == (40,)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_are_too_much(data: bytes, in_a_record: bool) -> None:
    found = read_flight(records(data) if in_a_record else data)
    assert describe(found)
