"""How many files the process may open, against how many connections it is told to take."""

import resource

from services.server.config import Config
from services.server.config_file import ConfigError, Problem

PER_ASSOCIATION = 2
"""The connection, and the instance that is arriving on it."""

RESERVED = 128
"""Listeners, the log, the control socket, the event loop, and files waiting to be committed."""

_NO_LIMIT = 1 << 20  # the kernel's own ceiling where it promises none (Linux fs.nr_open)


def raise_file_limit(config: Config) -> int:
    """Raise the soft RLIMIT_NOFILE to the hard one and say how many files may be open.

    Raises:
        ConfigError: `maxConcurrentConnections` needs more than that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = _NO_LIMIT if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < ceiling:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
            soft = ceiling
        except (ValueError, OSError):
            pass  # a system that refuses its own hard limit: what counts is what we have
    available = ceiling if soft == resource.RLIM_INFINITY else soft
    needed = files_needed(config)
    if needed > available:
        raise ConfigError([_too_many(config, needed, available)])
    return available


def files_needed(config: Config) -> int:
    """The most files that are open at one time under `config`."""
    return config.max_concurrent_connections * PER_ASSOCIATION + config.limits.half_open + RESERVED


def _too_many(config: Config, needed: int, available: int) -> Problem:
    possible = (available - config.limits.half_open - RESERVED) // PER_ASSOCIATION
    text = (
        f"{config.max_concurrent_connections} needs {needed} open files ({PER_ASSOCIATION} for each, "
        f"{config.limits.half_open} for half-open ones, {RESERVED} for the rest), and this process may "
        f"open {available}; raise the limit (ulimit -Hn, or LimitNOFILE= of the systemd unit)"
    )
    if possible >= 1:
        text += f" or set it to at most {possible}"
    return Problem("maxConcurrentConnections", text)
