"""What to look at when there is no association: one sentence for each reason a peer or a network gives."""

import errno
import socket
import ssl

from dul.errors import AssociationAborted, AssociationRejected, ConnectionLost
from dul.reasons import RejectReason

# PS3.8 9.3.4, Table 9-21
_REJECT_HINTS = {
    RejectReason.NO_REASON_GIVEN: "the peer's log may say why",
    RejectReason.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED: (
        "the peer does not know the DICOM application context: is it a DICOM node at all?"
    ),
    RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED: (
        "the peer does not know our AE title: register it there, or say another one with --aet"
    ),
    RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED: (
        "the peer has another AE title than the one we called: say it with --called-ae (letter case counts)"
    ),
    RejectReason.ACSE_NO_REASON_GIVEN: "the peer's log may say why",
    RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED: "the peer does not speak version 1 of the Upper Layer protocol",
    RejectReason.TEMPORARY_CONGESTION: "the peer is busy: try again later",
    RejectReason.LOCAL_LIMIT_EXCEEDED: (
        "the peer has as many associations as it takes: try again later, or open fewer at a time"
    ),
}

_NAME_MISMATCHES = (62, 63, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH, EMAIL_MISMATCH and IP_ADDRESS_MISMATCH."""

_REFUSED = "nothing listens there: is the server running, and is this its port?"
_UNREACHABLE = "there is no way to that address: is the network up, and is the address right?"
_SILENT = "nothing answers: is the address right, and does a firewall let the port through?"
_UNKNOWN_NAME = "no such host name: is it spelled right, and does the name service know it?"
_UNTRUSTED = "the certificate is not trusted: name the authority that issued it with --tls-ca"
_MISNAMED = "connect by a name that the certificate holds"
_NO_TLS = "does the peer speak TLS on this port? pacs:// is without, dicoms:// with it"
_CLOSED = (
    "the peer closed the connection without a word: does it speak DICOM on this port, with or without TLS?"
)


def hint(error: BaseException) -> str | None:
    """What the person who sees `error` may look at; None where there is nothing to say beyond it."""
    match error:
        case AssociationRejected():
            return _REJECT_HINTS.get(error.reason)
        case AssociationAborted():
            return "the peer's log may say why"
        case ConnectionLost():
            cause = error.__cause__
            return _CLOSED if cause is None else hint(cause)
        case ssl.SSLCertVerificationError():
            return _MISNAMED if getattr(error, "verify_code", None) in _NAME_MISMATCHES else _UNTRUSTED
        case ssl.SSLError():
            return _NO_TLS
        case socket.gaierror():
            return _UNKNOWN_NAME
        case TimeoutError():
            return _SILENT
        case OSError():
            return _of_connecting(error)
    return None


def _of_connecting(error: OSError) -> str | None:
    """asyncio joins the errors of several addresses into one that has a text and no number."""
    text = str(error)
    if error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in text:
        return _REFUSED
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH) or "unreachable" in text:
        return _UNREACHABLE
    return _CLOSED if error.errno == errno.ECONNRESET else None
