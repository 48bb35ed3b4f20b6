"""What a server says of itself: on the control socket, and in the log when it begins to listen."""

from typing import Any

from services.server.admission import Access, is_loopback
from services.server.config import Config
from services.server.log import get_logger


def status(config: Config, port: int, uptime: float, open_associations: int) -> dict[str, Any]:
    """The answer to `status`.

    Args:
        config: of the server.
        port: on which it listens.
        uptime: seconds since it started.
        open_associations: of all its processes.
    """
    return {
        "running": True,
        "aeTitle": config.ae_title,
        "host": config.host,
        "port": port,
        "tls": config.enable_tls,
        "dataDirectory": str(config.data_directory.absolute()),
        "durability": config.durability,
        "workers": config.workers,
        "uptimeSeconds": round(uptime, 3),
        "openAssociations": open_associations,
    }


def announce(config: Config, port: int) -> None:
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
