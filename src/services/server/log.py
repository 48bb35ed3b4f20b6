"""The server's log: one line for each event, as text for people or JSON for programs.

Text from the wire can neither forge a line nor drive a terminal, a peer that misbehaves in a loop fills no
disk, and what identifies a patient is kept out unless debugging was asked for.
"""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog
from msgspec import Struct
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from services.printable import printable
from services.server.config import LogFormat, LogLevel

PATIENT_KEYS = frozenset({"patient_name", "patient_id", "patient_birth_date", "accession_number"})
"""Keys of a log line that identify a patient: shown at level debug only."""

LINES = 20
"""Lines that one event of one peer may write in one period."""

PERIOD = 10.0
"""Seconds."""

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(format: LogFormat = "text", level: LogLevel = "info", stream: TextIO | None = None) -> None:
    """Set up the log of this process.

    Args:
        format: `text`, coloured where `stream` is a terminal, or `json`, one object a line.
        level: the lowest level that is written; a call below it costs next to nothing.
        stream: where to; None is standard error.
    """
    stream = sys.stderr if stream is None else stream
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        RepeatLimiter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if level != "debug":
        processors.append(_without_patient)
    processors.append(structlog.processors.format_exc_info)
    processors += [_escaped, _console(stream)] if format == "text" else [_json]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Output(stream),
        cache_logger_on_first_use=False,
    )


def get_logger(**context: object) -> FilteringBoundLogger:
    """A logger that writes `context` on each of its lines.

    An association's logger is `get_logger(association=3, peer="192.0.2.7:51234")`. Name the event first and
    put what came from the wire in fields of its own: `log.warning("association rejected", calling_ae=title)`.
    Call it after `configure`: the logger keeps the configuration of the moment it was made.
    """
    # `bind` fixes the configuration, which saves looking it up at every line.
    logger: FilteringBoundLogger = structlog.get_logger().bind(**context)
    return logger


_json = structlog.processors.JSONRenderer(default=str)  # json escapes every control character itself


def _console(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
    )


class _Output(structlog.WriteLogger):
    """Where lines go. A full disk or a reader that went away costs the line, not the association."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warning = error = critical = msg


def _without_patient(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    for key in PATIENT_KEYS & event_dict.keys():
        event_dict[key] = "(hidden)"
    return event_dict


def _escaped(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    for key, value in event_dict.items():
        if not isinstance(value, str):
            continue
        # A traceback has lines of its own. Indented, none of them can pass for a line of the log.
        if key in ("exception", "stack"):
            event_dict[key] = "\n".join(f"  | {printable(line)}" for line in value.split("\n"))
        else:
            event_dict[key] = printable(value)
    return event_dict


class _Window(Struct):
    """One event of one peer: how many lines it wrote since `until` minus a period."""

    until: float
    level: str
    written: int = 0
    suppressed: int = 0


class RepeatLimiter:
    """A processor that drops the lines of an event that one peer causes over and over, and says how many.

    Lines without a `peer`, and lines at level debug, always pass. The port is no part of who the peer is: it
    changes with every connection.

    Args:
        lines: how many of an event one peer may write in a period.
        period: seconds.
        clock: seconds that only grow.
    """

    _MOST_WINDOWS = 1024

    def __init__(
        self, lines: int = LINES, period: float = PERIOD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lines = lines
        self._period = period
        self._clock = clock
        self._windows: dict[tuple[str, str], _Window] = {}  # oldest first
        self._reporting = False

    def __call__(
        self, _logger: WrappedLogger, _method: str, event_dict: MutableMapping[str, Any]
    ) -> EventDict:
        level = event_dict.get("level", "info")
        if self._reporting or level == "debug":
            return event_dict
        now = self._clock()
        self._end_windows(now)
        peer = event_dict.get("peer")
        if peer is None:
            return event_dict
        key = (str(event_dict.get("event", "")), _without_port(str(peer)))
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(now + self._period, level)
        if window.written < self._lines:
            window.written += 1
            return event_dict
        window.suppressed += 1
        raise structlog.DropEvent

    def _end_windows(self, now: float) -> None:
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now < window.until and len(self._windows) < self._MOST_WINDOWS:
                return
            del self._windows[key]
            if window.suppressed:
                self._report(key, window)

    def _report(self, key: tuple[str, str], window: _Window) -> None:
        """Write the line that says so, through this processor once more."""
        self._reporting = True
        try:
            structlog.get_logger().log(
                _LEVELS.get(window.level, logging.INFO),
                "repeated lines left out",
                repeated=key[0],
                peer=key[1],
                count=window.suppressed,
            )
        finally:
            self._reporting = False


def _without_port(peer: str) -> str:
    host, colon, port = peer.rpartition(":")
    return host if colon and port.isdigit() and (":" not in host or host.endswith("]")) else peer
