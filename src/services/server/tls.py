"""TLS for the listener: the BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15 B.12).

The Upper Layer never knows: it is handed the context, or None for plain TCP.
"""

import ssl

from services.server.config import Config
from services.server.config_file import ConfigError, Problem

# For TLS 1.2; the suites of TLS 1.3 are OpenSSL's, all of them forward secret and authenticated.
TLS_1_2_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)


def ssl_context(config: Config) -> ssl.SSLContext | None:
    """The context the listener uses, or None where TLS is off. Peers show no certificate.

    Raises:
        ConfigError: the certificate or the private key cannot be read, or they do not belong together.
    """
    if not config.enable_tls:
        return None
    for name, file_name in (
        ("tlsCertificate", config.tls_certificate),
        ("tlsPrivateKey", config.tls_private_key),
    ):
        _check_readable(name, file_name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(TLS_1_2_SUITES))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        # Without a password of our own OpenSSL would ask for one at the terminal.
        context.load_cert_chain(config.tls_certificate, config.tls_private_key, password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        raise _cannot_be_used(config, error) from None
    return context


def _check_readable(name: str, file_name: str) -> None:
    """OpenSSL's own errors do not say which of the two files it could not open."""
    try:
        with open(file_name, "rb"):
            pass
    except OSError as error:
        raise ConfigError([Problem(name, f"cannot read {file_name!r}: {error.strerror}")]) from None


def _cannot_be_used(config: Config, error: Exception) -> ConfigError:
    text = (
        f"{config.tls_certificate!r} and the private key {config.tls_private_key!r} cannot be used: a "
        "certificate in PEM form and the private key that belongs to it, without a passphrase, are needed"
    )
    detail = getattr(error, "reason", None) or str(error)
    return ConfigError([Problem("tlsCertificate", f"{text} ({detail})")])
