import errno
import os
import socket
import ssl

import pytest

from dul.errors import AssociationAborted, AssociationRejected, ConnectionLost
from dul.reasons import RejectReason
from services.cli.hints import hint


def lost(cause: Exception | None) -> ConnectionLost:
    error = ConnectionLost("lost")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        (1, 1, "log"),
        (1, 2, "application context"),
        (1, 3, "our AE title"),
        (1, 7, "another AE title than the one we called"),
        (2, 1, "log"),
        (2, 2, "version 1"),
        (3, 1, "busy"),
        (3, 2, "as many associations as it takes"),
    ],
)
def test_each_reason_of_table_9_21_has_its_own(source: int, reason: int, words: str) -> None:
    text = hint(AssociationRejected(1, RejectReason(source, reason)))
    assert text is not None
    assert words in text


@pytest.mark.parametrize("code", [62, 64])
def test_a_certificate_for_another_name(code: int) -> None:
    error = ssl.SSLCertVerificationError("Hostname mismatch")
    error.verify_code = code
    assert hint(error) == "connect by a name that the certificate holds"


def test_what_table_9_21_reserves_has_none() -> None:
    assert hint(AssociationRejected(1, RejectReason(1, 4))) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ECONNREFUSED, "refused"), "nothing listens there"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect"),
            "nothing listens",
        ),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no way to that address"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no way to that address"),
        (OSError(errno.ECONNRESET, "reset"), "closed the connection without a word"),
        (TimeoutError(), "firewall"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "no such host name"),
        (ssl.SSLCertVerificationError("self-signed"), "--tls-ca"),
        (ssl.SSLError("wrong version number"), "does the peer speak TLS"),
        (None, "does it speak DICOM on this port"),
    ],
    ids=repr,
)
def test_what_keeps_a_connection_from_coming_about(error: Exception | None, words: str) -> None:
    text = hint(lost(error))
    assert text is not None
    assert words in text
    if error is not None:
        assert hint(error) == text


def test_an_abort() -> None:
    assert hint(AssociationAborted("aborted")) == "the peer's log may say why"


def test_what_says_everything_itself() -> None:
    assert hint(ValueError("x")) is None
    assert hint(OSError(errno.EACCES, os.strerror(errno.EACCES))) is None
