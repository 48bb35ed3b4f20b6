"""What can go wrong with a DIMSE message, and how each is answered.

DimseError                    an operation ends with this status (PS3.7 Annex C)
InvalidCommandSet             a command set cannot be read: refused, or the association is aborted
dul.errors.RemoteProtocolError
+-- UnexpectedPDV             a fragment where Annex E.1 of PS3.8 has no place for it
"""

from dimse.enums import RESPONSE_BIT, CommandField
from dimse.messages import RefusalRSP, Request, Response, error_comment, response_to
from dimse.status import UNRECOGNIZED_OPERATION, describe
from dul.errors import RemoteProtocolError
from dul.reasons import AbortReason


class DimseError(Exception):
    """Raised by whoever performs an operation, to end it with a status.

    Args:
        status: 0000H to FFFFH, see `dimse.status`.
        comment: why, for the peer's user: the first 64 characters become the Error Comment.
        offending_elements: tags, such as 0x00100020, of the elements in which the error was detected.
    """

    def __init__(self, status: int, comment: str = "", *, offending_elements: tuple[int, ...] = ()) -> None:
        super().__init__(f"{describe(status)}: {comment}" if comment else describe(status))
        self.status = status
        self.comment = comment
        self.offending_elements = offending_elements

    def response(self, request: Request) -> Response:
        """The response that answers the request with this error."""
        return response_to(
            request,
            self.status,
            error_comment=self.comment or None,
            offending_element=self.offending_elements or None,
        )


class InvalidCommandSet(Exception):
    """A command set that cannot be read.

    Args:
        message: what was wrong, with the value.
        message_id: of the request, where it could be read; None where no answer can be addressed.
        command_field: where it could be read.
        has_data_set: a data set follows, which whoever refuses the request must skip.
        status: what refuses the request, 0211H or 0212H.
    """

    def __init__(
        self,
        message: str,
        *,
        message_id: int | None = None,
        command_field: int | None = None,
        has_data_set: bool = False,
        status: int = UNRECOGNIZED_OPERATION,
    ) -> None:
        super().__init__(message)
        self.message_id = message_id
        self.command_field = command_field
        self.has_data_set = has_data_set
        self.status = status

    @property
    def is_answerable(self) -> bool:
        """True for a request whose Message ID is known; what is no request has no response."""
        if self.message_id is None or self.command_field is None:
            return False
        return not self.command_field & RESPONSE_BIT and self.command_field != CommandField.C_CANCEL_RQ

    def refusal(self) -> RefusalRSP | None:
        """The response that refuses the request; None where only an A-ABORT is left."""
        if not self.is_answerable or self.message_id is None or self.command_field is None:
            return None
        return RefusalRSP(
            command_field=self.command_field | RESPONSE_BIT,
            message_id_being_responded_to=self.message_id,
            status=self.status,
            error_comment=error_comment(str(self)),
        )


class UnexpectedPDV(RemoteProtocolError):
    """A fragment of another message, or of a part that is not due (PS3.8 E.1)."""

    reason = AbortReason.UNEXPECTED_PDU_PARAMETER
