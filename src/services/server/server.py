"""The SCP of the program: an archive, limits, access rules, a log and counters."""

import msgspec
from structlog.typing import FilteringBoundLogger

from dimse.association import Association
from dimse.enums import CommandField
from dimse.operation import Operation
from dimse.status import StatusCategory, category
from dul.enums import UserIdentityType
from dul.errors import (
    AssociationEnded,
    AssociationRejected,
    AssociationReleased,
    ConnectionLost,
    InvalidContextId,
    RemoteProtocolError,
)
from dul.framing import PDULimits
from dul.negotiation import AcceptorPolicy
from dul.negotiation import tolerated as used_tolerance
from dul.pdus import AAssociateRJ, AAssociateRQ, AnyPDU, UserIdentityRQSubItem
from dul.provider import ProviderOptions, ServiceProvider
from dul.timers import Timers
from services.archive.errors import IndexUnavailable, cause_of
from services.archive.opening import Opened
from services.printable import shorten
from services.scp import SCP
from services.server.admission import Access, Admission
from services.server.archive_index import ArchiveIndex
from services.server.archive_store import ArchiveStore
from services.server.config import Config
from services.server.log import get_logger
from services.server.services import negotiate_extended, services_of
from services.server.shared_memory import SharedMemory
from services.server.statistics import Statistics
from services.trace.recorder import Recorder

_OVERSIZED_PDU = 16 << 20
"""How long a P-DATA-TF may be for a peer that is allowed to exceed what we announced, in bytes."""

_NAMED = (UserIdentityType.USERNAME, UserIdentityType.USERNAME_AND_PASSCODE)

_COUNTERS = {
    CommandField.C_ECHO_RQ: "c_echo",
    CommandField.C_STORE_RQ: "c_store",
    CommandField.C_FIND_RQ: "c_find",
    CommandField.C_MOVE_RQ: "c_move",
    CommandField.C_GET_RQ: "c_get",
}


class DicomServer(SCP):
    """The SCP of `dicom-server start`.

    Args:
        config: what it is told.
        opened: where instances are kept.
        statistics: counted on.
        recorder: records every association.
        shared: what it shares with other processes; by default there are none.
    """

    def __init__(
        self,
        config: Config,
        opened: Opened,
        statistics: Statistics,
        recorder: Recorder | None = None,
        shared: SharedMemory | None = None,
    ) -> None:
        shared = shared or SharedMemory(config)
        self.config = config
        self.statistics = statistics
        self.admission = Admission(config, shared.associations)
        self._is_verbose = config.log_level == "debug"
        self._asking: dict[Association, AAssociateRQ] = {}  # not answered yet
        self.archive = opened.archive
        store = ArchiveStore(opened.archive, config.tolerated, self._tolerate)
        index = None
        if opened.index is not None:
            index = ArchiveIndex(opened.index.reader, opened.archive.path)
        super().__init__(
            config.ae_title,
            services_of(config, store, index, statistics.add_sent, shared.moves),
            options=msgspec.structs.replace(
                provider_options(config),
                forgive=self._forgive,
                observe=recorder.observe if recorder is not None else None,
            ),
            authorize=Access(config).authorize,
            maximum_command_length=config.limits.command_set_length,
            maximum_lent=_share_of_buffers(config),
        )
        self.policy = msgspec.structs.replace(self.policy, extended=negotiate_extended)

    # -- decisions

    def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ | None:
        self._asking[association] = request
        return self.admission.judge(request, association)

    def policy_for(self, request: AAssociateRQ, association: Association) -> AcceptorPolicy:
        """The same for everybody but for what a peer is allowed to get wrong (`peers.<AE>.tolerate`)."""
        tolerated = self.config.tolerated(request.calling_ae)
        if not tolerated:
            return self.policy
        if "oversized-pdu" in tolerated:
            provider = association.provider
            provider.limits = msgspec.structs.replace(provider.limits, p_data_tf=_OVERSIZED_PDU)
        if "odd-fragments" in tolerated:
            association.tolerate_odd_fragments()
        policy = msgspec.structs.replace(self.policy, tolerate=tolerated)
        for switch in used_tolerance(request, policy):
            self._tolerate(association, switch)
        return policy

    def _forgive(self, provider: ServiceProvider, error: RemoteProtocolError) -> AnyPDU | None:
        """Let pass what a peer is allowed to get wrong (`peers.<AE>.tolerate`)."""
        if not isinstance(error, InvalidContextId):
            return None
        if "context-ids" not in self.config.tolerated(error.remaining.calling_ae):
            return None
        assert isinstance(provider.user, Association)
        self._tolerate(provider.user, "context-ids")
        return error.remaining

    def _tolerate(self, association: Association, switch: str) -> None:
        self.statistics.tolerate(switch)
        _log(association).warning("tolerated", switch=switch)

    # -- what happens

    def handshake_failed(self, peer: str, error: Exception) -> None:
        self.statistics.handshakes_failed += 1
        get_logger(peer=peer).warning("TLS handshake failed", cause=_cause_of_handshake(error))

    def connected(self, association: Association) -> None:
        super().connected(association)
        self.statistics.connections_total += 1
        self.statistics.connections_active += 1
        _log(association).debug("connection opened")
        too_many = self.admission.connected(association)
        if too_many is not None:
            self.statistics.connections_rejected += 1
            _log(too_many).warning("connection closed: too many have asked for nothing yet")
            too_many.provider.abort()

    def established(self, association: Association) -> None:
        self._asking.pop(association, None)
        self.statistics.associations_accepted += 1
        negotiated = association.negotiated
        _log(association).info(
            "association accepted",
            calling_ae=negotiated.calling_ae,
            contexts=len(negotiated.contexts),
            **_user(negotiated.user_identity),
            implementation=negotiated.implementation_version_name,
        )

    def operation_ended(self, operation: Operation, code: int) -> None:
        good = category(code) in (StatusCategory.SUCCESS, StatusCategory.WARNING)
        name = _COUNTERS.get(operation.request.command_field)
        if name is not None:
            counter = f"{name}_{'success' if good else 'failure'}"
            setattr(self.statistics, counter, getattr(self.statistics, counter) + 1)
        if operation.request.command_field == CommandField.C_FIND_RQ and (
            category(code) is StatusCategory.FAILURE
        ):
            _log(operation.association).warning("query refused", status=f"{code:04X}H")
        if self._is_verbose:
            _log(operation.association).debug("operation ended", operation=name, status=f"{code:04X}H")

    def operation_failed(self, operation: Operation, error: Exception) -> None:
        log = _log(operation.association)
        if _is_of_index(error):
            log.error("the index is not reachable", cause=cause_of(error))
        else:
            log.error("operation failed: a defect of this server", exc_info=error)

    def ended(self, association: Association, cause: AssociationEnded | AssociationRejected) -> None:
        log = _log(association)
        match cause:
            case AssociationRejected():
                self.statistics.associations_rejected += 1
                log.warning("association rejected", cause=str(cause), **self._titles(association))
            case AssociationReleased():
                self.statistics.associations_released += 1
                log.info("association released")
            case ConnectionLost() if not association.negotiated.contexts:
                log.debug("connection closed before an association", cause=str(cause))
            case _:
                self.statistics.associations_aborted += 1
                log.warning("association aborted", cause=str(cause))

    def _titles(self, association: Association) -> dict[str, str]:
        """Who called whom, of a request that was not accepted; nothing where it could not even be read."""
        request = self._asking.get(association)
        return {} if request is None else {"calling_ae": request.calling_ae, "called_ae": request.called_ae}

    def closed(self, association: Association) -> None:
        super().closed(association)
        self._asking.pop(association, None)
        self.admission.closed(association)
        self.statistics.connections_active -= 1
        _add_traffic(self.statistics, association)
        if association.provider.longest_received > self.config.max_pdu_size:
            self._tolerate(association, "oversized-pdu")
        if association.odd_fragments:
            self._tolerate(association, "odd-fragments")
        _log(association).debug("connection closed")

    def count(self) -> Statistics:
        """The counters as they stand, open associations included."""
        total = msgspec.structs.replace(self.statistics)
        for association in self.associations:
            _add_traffic(total, association)
        kept = self.archive.statistics
        total.instances_stored = kept.instances_stored
        total.instances_duplicate = kept.duplicates_equal
        total.instances_replaced = kept.replaced
        total.instances_refused = kept.refused + kept.duplicates_different + kept.rejected
        return total


def provider_options(config: Config) -> ProviderOptions:
    """Limits and timers of the Upper Layer, from the configuration."""
    timers = config.timers
    return ProviderOptions(
        limits=PDULimits(p_data_tf=config.max_pdu_size, a_associate=config.limits.a_associate_length),
        timers=Timers(
            artim=timers.artim,
            artim_close=timers.artim_close,
            release=timers.release,
            idle=timers.idle,
            pdu=timers.pdu,
            write=timers.write,
        ),
    )


def _share_of_buffers(config: Config) -> int:
    """What one of the workers may lend, and as much as a few PDUs in any case."""
    longest = max(config.max_pdu_size, config.limits.a_associate_length)
    return max(config.limits.borrowed_buffers // config.workers, 4 * longest)


def _add_traffic(statistics: Statistics, association: Association) -> None:
    provider = association.provider
    statistics.pdus_received += provider.pdus_received
    statistics.pdus_sent += provider.pdus_sent
    statistics.bytes_received += provider.bytes_received
    statistics.bytes_sent += provider.bytes_sent


def _log(association: Association) -> FilteringBoundLogger:
    return get_logger(association=association.number, peer=association.provider.peer)


def _is_of_index(error: Exception) -> bool:
    """Whether the database failed, which is no defect of ours; each driver has an OperationalError of its own."""
    kinds = type(error).__mro__
    return isinstance(error, IndexUnavailable) or any(kind.__name__ == "OperationalError" for kind in kinds)


def _cause_of_handshake(error: Exception) -> str:
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "the peer closed during the handshake; it may not trust our certificate"
    return str(getattr(error, "reason", None) or str(error) or type(error).__name__)


def _user(identity: UserIdentityRQSubItem | None) -> dict[str, str]:
    """The name a caller gives itself, which is why its identity is acknowledged (PS3.15 B.4); a claim, no proof."""
    if identity is None or identity.user_identity_type not in _NAMED:
        return {}
    return {"user": shorten(identity.primary_field.decode("utf-8", "replace"))}
