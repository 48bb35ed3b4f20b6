"""What an association tells whoever keeps logs and counts; every method does nothing until overridden."""

import logging
from typing import TYPE_CHECKING

from dul.errors import AssociationEnded, AssociationRejected

if TYPE_CHECKING:
    from dimse.association import Association
    from dimse.operation import Operation

_log = logging.getLogger("dimse")


class AssociationListener:
    """Notified in the loop, between two PDUs: be quick."""

    def connected(self, association: "Association") -> None:
        """The transport connection is open; no A-ASSOCIATE-RQ has come yet."""

    def established(self, association: "Association") -> None:
        """Accepted, by us or by the peer."""

    def operation_ended(self, operation: "Operation", code: int) -> None:
        """An operation the peer invoked got its final response with this status."""

    def operation_failed(self, operation: "Operation", error: Exception) -> None:
        """A service raised something that is no status: a defect of ours, answered with 0110H."""
        _log.error("association %d: an operation failed", operation.association.number, exc_info=error)

    def ended(self, association: "Association", cause: AssociationEnded | AssociationRejected) -> None:
        """The association is over: rejected, released, aborted or lost, established or not."""

    def closed(self, association: "Association") -> None:
        """The transport connection is gone."""
