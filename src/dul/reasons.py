"""Why an association was refused or aborted: source and reason as one value.

A source without its reason (or the reverse) means nothing, so they travel together.
Unknown pairs received from a peer are kept as they are: a rejection with a reserved
code is still a rejection (PS3.8 9.3.4), an abort with one is still an abort (9.3.8).
"""

from typing import ClassVar

from msgspec import Struct


class RejectReason(Struct, frozen=True, gc=False):
    """Source and Reason/Diag. of an A-ASSOCIATE-RJ (PS3.8 9.3.4, Table 9-21)."""

    source: int
    reason: int

    NO_REASON_GIVEN: ClassVar["RejectReason"]
    APPLICATION_CONTEXT_NAME_NOT_SUPPORTED: ClassVar["RejectReason"]
    CALLING_AE_TITLE_NOT_RECOGNIZED: ClassVar["RejectReason"]
    CALLED_AE_TITLE_NOT_RECOGNIZED: ClassVar["RejectReason"]
    ACSE_NO_REASON_GIVEN: ClassVar["RejectReason"]
    PROTOCOL_VERSION_NOT_SUPPORTED: ClassVar["RejectReason"]
    TEMPORARY_CONGESTION: ClassVar["RejectReason"]
    LOCAL_LIMIT_EXCEEDED: ClassVar["RejectReason"]

    def __str__(self) -> str:
        return f"{_REJECT_TEXT.get(self, 'reserved')} (source {self.source}, reason {self.reason})"


RejectReason.NO_REASON_GIVEN = RejectReason(1, 1)
RejectReason.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED = RejectReason(1, 2)
RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED = RejectReason(1, 3)
RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED = RejectReason(1, 7)
RejectReason.ACSE_NO_REASON_GIVEN = RejectReason(2, 1)
RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED = RejectReason(2, 2)
RejectReason.TEMPORARY_CONGESTION = RejectReason(3, 1)
RejectReason.LOCAL_LIMIT_EXCEEDED = RejectReason(3, 2)

_REJECT_TEXT = {
    RejectReason.NO_REASON_GIVEN: "no reason given by the service user",
    RejectReason.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED: "application context name not supported",
    RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED: "calling AE title not recognized",
    RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED: "called AE title not recognized",
    RejectReason.ACSE_NO_REASON_GIVEN: "no reason given by the service provider",
    RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED: "protocol version not supported",
    RejectReason.TEMPORARY_CONGESTION: "temporary congestion",
    RejectReason.LOCAL_LIMIT_EXCEEDED: "local limit exceeded",
}


class AbortReason(Struct, frozen=True, gc=False):
    """Source and Reason/Diag. of an A-ABORT (PS3.8 9.3.8, Table 9-26)."""

    source: int
    reason: int

    SERVICE_USER: ClassVar["AbortReason"]
    NOT_SPECIFIED: ClassVar["AbortReason"]
    UNRECOGNIZED_PDU: ClassVar["AbortReason"]
    UNEXPECTED_PDU: ClassVar["AbortReason"]
    UNRECOGNIZED_PDU_PARAMETER: ClassVar["AbortReason"]
    UNEXPECTED_PDU_PARAMETER: ClassVar["AbortReason"]
    INVALID_PDU_PARAMETER_VALUE: ClassVar["AbortReason"]

    @property
    def by_service_provider(self) -> bool:
        """True where the peer's Upper Layer aborted, so that the user sees an A-P-ABORT (AA-3)."""
        return self.source == 2

    def __str__(self) -> str:
        return f"{_ABORT_TEXT.get(self, 'reserved')} (source {self.source}, reason {self.reason})"


AbortReason.SERVICE_USER = AbortReason(0, 0)
AbortReason.NOT_SPECIFIED = AbortReason(2, 0)
AbortReason.UNRECOGNIZED_PDU = AbortReason(2, 1)
AbortReason.UNEXPECTED_PDU = AbortReason(2, 2)
AbortReason.UNRECOGNIZED_PDU_PARAMETER = AbortReason(2, 4)
AbortReason.UNEXPECTED_PDU_PARAMETER = AbortReason(2, 5)
AbortReason.INVALID_PDU_PARAMETER_VALUE = AbortReason(2, 6)

_ABORT_TEXT = {
    AbortReason.SERVICE_USER: "aborted by the service user",
    AbortReason.NOT_SPECIFIED: "reason not specified",
    AbortReason.UNRECOGNIZED_PDU: "unrecognized PDU",
    AbortReason.UNEXPECTED_PDU: "unexpected PDU",
    AbortReason.UNRECOGNIZED_PDU_PARAMETER: "unrecognized PDU parameter",
    AbortReason.UNEXPECTED_PDU_PARAMETER: "unexpected PDU parameter",
    AbortReason.INVALID_PDU_PARAMETER_VALUE: "invalid PDU parameter value",
}
