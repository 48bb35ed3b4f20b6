"""The program: opens what a configuration names, serves until told to stop, and closes it all in order."""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Any

from dul.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from services.archive.archive import Archive
from services.archive.errors import ArchiveError
from services.archive.opening import open_with_index
from services.loop import run as run_loop
from services.server.admission import Access, is_loopback
from services.server.config import Config
from services.server.config_file import ConfigError, Problem
from services.server.control import ControlServer
from services.server.file_limit import raise_file_limit
from services.server.log import configure, get_logger
from services.server.server import DicomServer
from services.server.statistics import Statistics
from services.server.tls import ssl_context
from services.trace.recorder import Recorder
from services.trace.recording import RecordingOptions


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
    opened = open_with_index(
        config.data_directory,
        config.database_url if config.has_index else None,
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
        stack.callback(opened.close)
        _tell_repair(opened.archive)
        recorder = _recorder(config)
        if recorder is not None:
            stack.push_async_callback(asyncio.to_thread, recorder.close)
        server = DicomServer(config, opened, Statistics(), recorder)
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


def _tell_repair(archive: Archive) -> None:
    """Say what an earlier server had left unfinished, where it had."""
    repair = archive.repair
    if repair.published or repair.unfinished:
        get_logger().warning(
            "an earlier server was stopped while it stored",
            stored=repair.published - repair.elsewhere,
            discarded=repair.unfinished + repair.elsewhere,
        )
    for name in repair.unreadable:
        get_logger().error("left in the data directory: it cannot be read", file=name)


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
