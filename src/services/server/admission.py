"""Who is let in, and how many (PS3.8 9.1.4, 9.3.4).

Titles are compared with the tables of the configuration and used for nothing else. Over a limit, the caller is told
so by an A-ASSOCIATE-RJ: it may come back later. Connections that have not yet asked for anything are bounded on
their own, and there it is the oldest that goes, so that a flood of them keeps no caller out.
"""

import ipaddress

from dimse import status
from dimse.association import Association
from dimse.enums import CommandField
from dimse.errors import DimseError
from dimse.operation import Operation
from dul.enums import RejectResult
from dul.pdus import AAssociateRJ, AAssociateRQ
from dul.reasons import RejectReason
from services.server.config import Config
from services.server.shared_memory import OpenAssociations, SharedMemory

ANY = "*"

_CALLING_NOT_RECOGNIZED = AAssociateRJ(RejectResult.PERMANENT, RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED)
_LIMIT_EXCEEDED = AAssociateRJ(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)
_CONGESTION = AAssociateRJ(RejectResult.TRANSIENT, RejectReason.TEMPORARY_CONGESTION)


def is_loopback(host: str) -> bool:
    """True for an address, or the name `localhost`, that only this machine can reach."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Access:
    """What the configuration says of callers."""

    def __init__(self, config: Config) -> None:
        allowed = config.allowed_calling_ae_titles
        self._blocked = frozenset(config.blocked_calling_ae_titles)
        self._anybody = allowed is not None and ANY in allowed
        self._allowed = frozenset(allowed or ())
        self._has_list = allowed is not None
        self.echo_only = not self._has_list and not is_loopback(config.host)

    def may_call(self, calling_ae: str) -> bool:
        """Whether a caller gets an association at all; blocked wins over allowed."""
        if calling_ae in self._blocked:
            return False
        return not self._has_list or self._anybody or calling_ae in self._allowed

    def authorize(self, operation: Operation) -> None:
        """Refuse what an unknown caller may not do.

        Listening beyond this machine with no list of callers, everybody is unknown: they may see that we are
        here, and nothing else.

        Raises:
            DimseError: 0124H.
        """
        if self.echo_only and operation.request.command_field != CommandField.C_ECHO_RQ:
            raise DimseError(status.NOT_AUTHORIZED, "this server was not told who may call it")


class Admission:
    """How many connections and associations are open, and whether one more may be.

    Args:
        config: the limits.
        associations: those that are open, in all processes of the server; by default there is this one.

    Attributes:
        stopping: refuse every request from now on.
    """

    def __init__(self, config: Config, associations: OpenAssociations | None = None) -> None:
        self.stopping = False
        self._access = Access(config)
        # Each worker has its share, so that none has to close what another one holds.
        self._maximum_half_open = max(1, config.limits.half_open // config.workers)
        self._per_caller = config.limits.associations_per_caller
        self._per_address = config.limits.associations_per_address
        self._half_open: dict[Association, None] = {}  # oldest first
        self._associations = associations or SharedMemory(config).associations
        self._places: dict[Association, int] = {}

    def connected(self, association: Association) -> Association | None:
        """A connection opened; returns the half-open one to close for it, if there are now too many."""
        self._half_open[association] = None
        if len(self._half_open) <= self._maximum_half_open:
            return None
        oldest = next(iter(self._half_open))
        del self._half_open[oldest]
        return oldest

    def closed(self, association: Association) -> None:
        """A connection is gone."""
        self._half_open.pop(association, None)
        place = self._places.pop(association, None)
        if place is not None:
            self._associations.give_back(place)

    def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ | None:
        """The refusal, or None; from then on the association counts."""
        self._half_open.pop(association, None)
        if self.stopping:
            return _CONGESTION
        caller = request.calling_ae
        if not self._access.may_call(caller):
            return _CALLING_NOT_RECOGNIZED
        place = self._associations.admit(
            caller, _address(association), per_caller=self._per_caller, per_address=self._per_address
        )
        if place is None:
            return _LIMIT_EXCEEDED
        self._places[association] = place
        return None


def _address(association: Association) -> str:
    return association.provider.peer.rpartition(":")[0]
