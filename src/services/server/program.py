"""The program: opens what a configuration names, serves until told to stop, and closes it all in order."""

import asyncio
import errno
import signal
from contextlib import AsyncExitStack
from typing import Any

from services.archive.errors import ArchiveError
from services.archive.opening import open_with_index
from services.loop import run as run_loop
from services.server.config import Config
from services.server.config_file import ConfigError
from services.server.control import ControlError, ControlServer
from services.server.file_limit import raise_file_limit
from services.server.log import configure, get_logger
from services.server.opening import archive_options, recorder_of, tell_repair
from services.server.server import DicomServer
from services.server.statistics import Statistics
from services.server.supervisor import supervise
from services.server.telling import announce, status
from services.server.tls import ssl_context


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
        **archive_options(config),
    )
    async with AsyncExitStack() as stack:
        stack.callback(opened.close)
        tell_repair(opened.archive.repair)
        recorder = recorder_of(config)
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
                "status": lambda: status(config, port, server.statistics.uptime(), len(server.associations)),
                "stats": lambda: server.count().snapshot(),
                "stop": stopping.ask,
            },
        )
        await control.start()
        stack.push_async_callback(control.close)
        announce(config, port)
        await stopping.wait()
        log.info("stopping", open_associations=len(server.associations), grace=config.timers.grace)
        server.admission.stopping = True
        await stopping.finish(config.timers.grace)
    log.info("stopped")


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


def run(config: Config) -> int:
    """Run the server until it is stopped, with as many processes as are wanted; returns the exit code."""
    configure(config.log.format, config.log_level)
    log = get_logger()
    try:
        run_loop(serve(config) if config.workers == 1 else supervise(config))
    except (ConfigError, ArchiveError, ControlError) as error:
        log.error("cannot start", cause=str(error))
        return 1
    except OSError as error:
        hint = {}
        if error.errno == errno.EADDRINUSE:
            hint["hint"] = "`ss -ltnp` says who listens there; --port takes another"
        cause = error.strerror or str(error)
        log.error("cannot listen", host=config.host, port=config.port, cause=cause, **hint)
        return 1
    return 0
