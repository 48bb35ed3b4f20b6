import ssl
from pathlib import Path

import pytest

from certificates import self_signed, server_context
from services.client_tls import InvalidTLSFile, client_context


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> ssl.SSLObject:
    """Both ends over memory, and a byte from the server, since TLS 1.3 clients learn only then of a refusal."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    pending = [ours, theirs]
    for _ in range(10):
        for end in list(pending):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            pending.remove(end)
        if not pending:
            return theirs
    raise AssertionError("the handshake does not end")


def test_a_known_authority_is_trusted(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    theirs = handshake(client_context(ca=certificate), server_context(certificate, key))
    assert theirs.version() == "TLSv1.3"


def test_an_unknown_authority_is_not(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(), server_context(certificate, key))


def test_another_name_is_not_trusted(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(client_context(ca=certificate), server_context(certificate, key))


def test_insecure_trusts_anybody(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "elsewhere")
    assert handshake(client_context(insecure=True), server_context(certificate, key)).version() == "TLSv1.3"


def test_our_certificate_is_shown_to_a_peer_that_asks(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    ours, our_key = self_signed(tmp_path, "client")
    server = server_context(certificate, key, trusts=ours)
    theirs = handshake(client_context(ca=certificate, certificate=ours, private_key=our_key), server)
    shown = theirs.getpeercert()
    assert shown is not None
    assert shown["subject"] == ((("commonName", "client"),),)
    with pytest.raises(ssl.SSLError):
        handshake(client_context(ca=certificate), server)


def test_certificate_and_key_may_be_one_file(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    client_context(certificate=both)


def test_nothing_older_than_tls_1_2() -> None:
    assert client_context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    for arguments in ({"ca": missing}, {"certificate": missing}):
        with pytest.raises(InvalidTLSFile, match=r"cannot read '.*missing.pem': No such file"):
            client_context(**arguments)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(InvalidTLSFile, match=r"'.*nonsense.pem' has no certificate in PEM form"):
        client_context(ca=nonsense)
    with pytest.raises(InvalidTLSFile, match=r"'.*nonsense.pem' and the private key in .* cannot be used"):
        client_context(certificate=nonsense)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path)
    _, other_key = self_signed(tmp_path, "other")
    with pytest.raises(InvalidTLSFile, match=r"localhost.crt' and the private key in '.*other.key'"):
        client_context(certificate=certificate, private_key=other_key)
