"""The program: an SCP with an archive, limits, access rules, a log, counters and a control socket."""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Any

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
from dul.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dul.negotiation import AcceptorPolicy
from dul.negotiation import tolerated as used_tolerance
from dul.pdus import AAssociateRJ, AAssociateRQ, AnyPDU, UserIdentityRQSubItem
from dul.provider import ProviderOptions, ServiceProvider
from dul.timers import Timers
from services.archive.archive import Archive
from services.archive.errors import ArchiveError
from services.loop import run as run_loop
from services.printable import shorten
from services.scp import SCP
from services.server.admission import Access, Admission, is_loopback
from services.server.archive_store import ArchiveStore
from services.server.config import Config
from services.server.config_file import ConfigError, Problem
from services.server.control import ControlServer
from services.server.file_limit import raise_file_limit
from services.server.log import configure, get_logger
from services.server.statistics import Statistics
from services.server.tls import ssl_context
from services.sop_classes import StorageContexts
from services.storage import ArchiveStorage
from services.trace.recorder import Recorder
from services.trace.recording import RecordingOptions
from services.verification import Verification

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
    """The SCP of `dicom-server start`."""

    def __init__(
        self, config: Config, archive: Archive, statistics: Statistics, recorder: Recorder | None = None
    ) -> None:
        self.config = config
        self.statistics = statistics
        self.admission = Admission(config)
        self._is_verbose = config.log_level == "debug"
        storage = StorageContexts(
            deflated=config.storage.accept_deflated,
            private=config.storage.private_sop_classes,
            any_private=config.storage.accept_private_sop_classes,
        )
        self.archive = archive
        store = ArchiveStore(archive, config.tolerated, self._tolerate)
        super().__init__(
            config.ae_title,
            [Verification(), ArchiveStorage(store, storage)],
            options=msgspec.structs.replace(
                provider_options(config),
                forgive=self._forgive,
                observe=recorder.observe if recorder is not None else None,
            ),
            authorize=Access(config).authorize,
            maximum_command_length=config.limits.command_set_length,
            maximum_lent=config.limits.borrowed_buffers,
        )

    # -- decisions

    def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ | None:
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
        cause = getattr(error, "reason", None) or str(error) or type(error).__name__
        get_logger(peer=peer).warning("TLS handshake failed", cause=str(cause))

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
        if self._is_verbose:
            _log(operation.association).debug("operation ended", operation=name, status=f"{code:04X}H")

    def operation_failed(self, operation: Operation, error: Exception) -> None:
        _log(operation.association).error("operation failed: a defect of this server", exc_info=error)

    def ended(self, association: Association, cause: AssociationEnded | AssociationRejected) -> None:
        log = _log(association)
        match cause:
            case AssociationRejected():
                self.statistics.associations_rejected += 1
                log.warning("association rejected", cause=str(cause))
            case AssociationReleased():
                self.statistics.associations_released += 1
                log.info("association released")
            case ConnectionLost() if not association.negotiated.contexts:
                log.debug("connection closed before an association", cause=str(cause))
            case _:
                self.statistics.associations_aborted += 1
                log.warning("association aborted", cause=str(cause))

    def closed(self, association: Association) -> None:
        super().closed(association)
        self.admission.closed(association)
        self.statistics.connections_active -= 1
        _add_traffic(self.statistics, association)
        if association.provider.longest_received > self.config.max_pdu_size:
            self._tolerate(association, "oversized-pdu")
        if association.odd_fragments:
            self._tolerate(association, "odd-fragments")
        _log(association).debug("connection closed")

    def snapshot(self) -> dict[str, Any]:
        """The counters as they stand, open associations included."""
        total = msgspec.structs.replace(self.statistics)
        for association in self.associations:
            _add_traffic(total, association)
        kept = self.archive.statistics
        total.instances_stored = kept.instances_stored
        total.instances_duplicate = kept.duplicates_equal
        total.instances_replaced = kept.replaced
        total.instances_refused = kept.refused + kept.duplicates_different + kept.rejected
        return total.snapshot()


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


def _add_traffic(statistics: Statistics, association: Association) -> None:
    provider = association.provider
    statistics.pdus_received += provider.pdus_received
    statistics.pdus_sent += provider.pdus_sent
    statistics.bytes_received += provider.bytes_received
    statistics.bytes_sent += provider.bytes_sent


def _log(association: Association) -> FilteringBoundLogger:
    return get_logger(association=association.number, peer=association.provider.peer)


def _user(identity: UserIdentityRQSubItem | None) -> dict[str, str]:
    """The name a caller gives itself, which is why its identity is acknowledged (PS3.15 B.4); a claim, no proof."""
    if identity is None or identity.user_identity_type not in _NAMED:
        return {}
    return {"user": shorten(identity.primary_field.decode("utf-8", "replace"))}


async def serve(config: Config) -> None:
    """Serve until told to stop, by a signal or over the control socket.

    Raises:
        ConfigError: TLS files, limits or a trace directory that cannot be honoured.
        ArchiveError: the data directory cannot be used.
        OSError: the address cannot be bound.
    """
    log = get_logger()
    raise_file_limit(config)
    tls = ssl_context(config)
    archive = Archive.open(
        config.data_directory,
        durability=config.durability,
        duplicates=config.duplicates,
        max_instance_bytes=config.limits.instance_size,
        free_space_reserve=config.limits.min_free_space,
        max_depth=config.limits.data_set_depth,
        max_elements=config.limits.data_set_elements,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
    )
    async with AsyncExitStack() as stack:
        stack.callback(archive.close)
        recorder = _recorder(config)
        if recorder is not None:
            stack.push_async_callback(asyncio.to_thread, recorder.close)
        server = DicomServer(config, archive, Statistics(), recorder)
        stopping = _Stopping(server)
        port = await stack.enter_async_context(
            server.listen(
                config.host,
                config.port,
                tls=tls,
                tls_handshake_timeout=config.timers.tls_handshake,
                backlog=config.limits.backlog,
            )
        )
        control = ControlServer(
            config.data_directory,
            {
                "status": lambda: _status(server, port),
                "stats": server.snapshot,
                "stop": stopping.ask,
            },
        )
        await control.start()
        stack.push_async_callback(control.close)
        _announce(config, port)
        await stopping.wait()
        log.info("stopping", open_associations=len(server.associations), grace=config.timers.grace)
        server.admission.stopping = True
        await stopping.finish(config.timers.grace)
    log.info("stopped")


def _recorder(config: Config) -> Recorder | None:
    trace = config.trace
    if trace.directory is None:
        return None
    options = RecordingOptions(
        directory=trace.directory,
        redact=trace.redact,
        max_file_size=trace.max_file_size,
        max_files=trace.max_files,
        max_total_size=trace.max_total_size,
    )
    log = get_logger()
    try:
        return Recorder(options, lambda event, fields: log.warning(event, **fields))
    except OSError as error:
        reason = error.strerror or str(error)
        text = f"cannot record in {trace.directory}: {reason}; name a directory that this user may write"
        raise ConfigError([Problem("trace.directory", text)]) from None


class _Stopping:
    """The first request to stop gives the open associations their grace, the second ends at once."""

    def __init__(self, server: DicomServer) -> None:
        self._server = server
        self._asked = asyncio.Event()
        self._at_once = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)

    def ask(self) -> dict[str, Any]:
        if self._asked.is_set():
            self._at_once.set()
        self._asked.set()
        return {"stopping": True, "openAssociations": len(self._server.associations)}

    async def wait(self) -> None:
        await self._asked.wait()

    async def finish(self, grace: float) -> None:
        finishing = asyncio.ensure_future(self._server.finish(grace))
        at_once = asyncio.ensure_future(self._at_once.wait())
        await asyncio.wait((finishing, at_once), return_when=asyncio.FIRST_COMPLETED)
        for one in (finishing, at_once):
            one.cancel()
        await asyncio.gather(finishing, at_once, return_exceptions=True)


def _status(server: DicomServer, port: int) -> dict[str, Any]:
    config = server.config
    return {
        "running": True,
        "aeTitle": config.ae_title,
        "host": config.host,
        "port": port,
        "tls": config.enable_tls,
        "dataDirectory": str(config.data_directory.absolute()),
        "durability": config.durability,
        "uptimeSeconds": round(server.statistics.uptime(), 3),
        "openAssociations": len(server.associations),
    }


def _announce(config: Config, port: int) -> None:
    """Say where we listen, and for whom, once the port is bound."""
    log = get_logger()
    log.info(
        "listening",
        ae_title=config.ae_title,
        host=config.host,
        port=port,
        tls=config.enable_tls,
        data_directory=str(config.data_directory.absolute()),
        durability=config.durability,
    )
    trace = config.trace
    if trace.directory is not None:
        log.warning(
            "every association is recorded; values of data sets, SOP Instance UIDs and comments are blanked, "
            "AE titles, addresses, tags and lengths are not"
            if trace.redact
            else "every association is recorded, and patient data with it; --redact blanks identifiers",
            directory=str(trace.directory.absolute()),
        )
    if is_loopback(config.host):
        log.info("only this machine can connect; --host 0.0.0.0 opens the server to the network")
    elif Access(config).echo_only:
        log.warning(
            "no list of callers: they may C-ECHO and nothing else; name them with --allowed-ae A,B, "
            'or let everybody in with --allowed-ae "*"'
        )


def run(config: Config) -> int:
    """Run the server in this process until it is stopped; returns the exit code."""
    configure(config.log.format, config.log_level)
    log = get_logger()
    try:
        run_loop(serve(config))
    except (ConfigError, ArchiveError) as error:
        log.error("cannot start", cause=str(error))
        return 1
    except OSError as error:
        log.error("cannot listen", host=config.host, port=config.port, cause=error.strerror or str(error))
        return 1
    return 0
