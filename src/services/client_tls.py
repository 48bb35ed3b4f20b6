"""TLS for those who open associations (PS3.15 B.12): whom to trust, and who we are.

The Upper Layer never knows: it is handed the context, or None for plain TCP.
"""

import os
import ssl

Path = str | os.PathLike[str]


class InvalidTLSFile(ValueError):
    """A certificate or key file that cannot be used; the message names it and says why."""


def client_context(
    *,
    ca: Path | None = None,
    certificate: Path | None = None,
    private_key: Path | None = None,
    insecure: bool = False,
) -> ssl.SSLContext:
    """A context for TLS 1.2 or later that trusts `ca`.

    Args:
        ca: certificates to trust, PEM; None for those the system trusts.
        certificate: our own chain, PEM, where the peer wants to know us.
        private_key: that of `certificate`, PEM, without a passphrase; None where it is in the same file.
        insecure: trust any certificate of any name. Whoever stands between can read and change everything.

    Raises:
        InvalidTLSFile: one of the files cannot be used.
    """
    for file in (ca, certificate, private_key):
        _check_readable(file)
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise InvalidTLSFile(f"{_name(ca)} has no certificate in PEM form") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        _load(context, certificate, private_key)
    return context


def _load(context: ssl.SSLContext, certificate: Path, private_key: Path | None) -> None:
    try:
        # Without a password of our own OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, private_key, password=lambda: b"")
    except ssl.SSLError as error:
        key = _name(certificate if private_key is None else private_key)
        raise InvalidTLSFile(
            f"{_name(certificate)} and the private key in {key} cannot be used: a certificate in PEM form and the "
            f"key that belongs to it, without a passphrase, are needed ({error.reason or error})"
        ) from None


def _check_readable(file: Path | None) -> None:
    """OpenSSL's own errors do not say which of the files it could not open."""
    if file is None:
        return
    try:
        with open(file, "rb"):
            pass
    except OSError as error:
        raise InvalidTLSFile(f"cannot read {_name(file)}: {error.strerror}") from None


def _name(file: Path | None) -> str:
    return f"'{os.fspath(file)}'" if file is not None else "the system's list of authorities"
