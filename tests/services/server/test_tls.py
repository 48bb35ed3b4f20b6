import ssl
from pathlib import Path

import pynetdicom
import pytest

from services.server.config import Config
from services.server.config_file import ConfigError
from services.server.tls import TLS_1_2_SUITES, ssl_context

CERTIFICATES = Path(pynetdicom.__file__).parent / "tests" / "cert_files"
CERTIFICATE = str(CERTIFICATES / "server.crt")
KEY = str(CERTIFICATES / "server.key")


def config(certificate: str = CERTIFICATE, key: str = KEY) -> Config:
    return Config(enable_tls=True, tls_certificate=certificate, tls_private_key=key)


def context() -> ssl.SSLContext:
    made = ssl_context(config())
    assert made is not None
    return made


def handshake(client: ssl.SSLContext) -> ssl.SSLObject:
    """Client and server over memory; returns the client's end of it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context().wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server)
    pending = [theirs, ours]
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


def client_context() -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return client


def test_without_tls_there_is_no_context() -> None:
    assert ssl_context(Config()) is None


def test_only_the_suites_of_the_profile_are_offered_for_tls_1_2() -> None:
    old = {suite["name"] for suite in context().get_ciphers() if suite["protocol"] == "TLSv1.2"}
    assert old == set(TLS_1_2_SUITES)


def test_no_compression_and_no_renegotiation() -> None:
    options = context().options
    assert options & ssl.OP_NO_COMPRESSION
    assert options & ssl.OP_NO_RENEGOTIATION


def test_the_newest_version_is_agreed_on() -> None:
    assert handshake(client_context()).version() == "TLSv1.3"


def test_tls_1_2_is_spoken_with_those_that_have_no_more() -> None:
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    theirs = handshake(client)
    cipher = theirs.cipher()
    assert theirs.version() == "TLSv1.2"
    assert cipher is not None
    assert cipher[0] in TLS_1_2_SUITES


def test_nothing_older_than_tls_1_2() -> None:
    assert context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_suite_without_forward_secrecy_is_refused() -> None:
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError):
        handshake(client)


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("tlsCertificate", config(certificate="no.crt")),
        ("tlsPrivateKey", config(key="no.key")),
        ("tlsPrivateKey", config(key="/")),
    ],
)
def test_a_file_that_cannot_be_read_is_named(field: str, settings: Config) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: cannot read "):
        ssl_context(settings)


@pytest.mark.parametrize(
    "settings",
    [
        config(key=str(CERTIFICATES / "client.key")),
        config(certificate=KEY),
        config(key=CERTIFICATE),
        config(certificate="/dev/null"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(settings: Config) -> None:
    with pytest.raises(ConfigError, match="the private key that belongs to it"):
        ssl_context(settings)


ENCRYPTED_KEY = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhE88LIFrRrVQICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEECVYtQ0OXTRgCfyHwr+4TS4EgZDl
A019dcoAwE8qOB9OWFCDbwbVj7qKD0AFecFwtFylB7mELxT0neMAuTcV9tl5RCWr
if0ZnY9/lUpv+DuoyEhyny4Pjkvpsv0DGHSaqzHntxl7KEulyhIHyDQV1CMBcda5
XY9gSlv5D+HTTrcLCx5N2ODdxSnlkVRDzCUL29MT/Y++OUCyK3BCoAZg7VKWgiQ=
-----END ENCRYPTED PRIVATE KEY-----
"""


def test_a_key_with_a_passphrase_does_not_ask_at_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "encrypted.key"
    key.write_text(ENCRYPTED_KEY)
    with pytest.raises(ConfigError, match="without a passphrase"):
        ssl_context(config(key=str(key)))
    assert "pass phrase" not in "".join(capfd.readouterr())
