import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from services.server import log
from services.server.config import LogFormat, LogLevel
from services.server.log import PATIENT_KEYS, RepeatLimiter, configure, get_logger


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def written(format: LogFormat = "text", level: LogLevel = "info") -> io.StringIO:
    stream = io.StringIO()
    configure(format, level, stream)
    return stream


# -- formats and levels


def test_a_line_of_json_has_the_event_the_context_and_the_level() -> None:
    stream = written("json")
    get_logger(association=3, peer="192.0.2.1:5000").warning("association rejected", calling_ae="CT1")
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "association rejected",
        "level": "warning",
        "association": 3,
        "peer": "192.0.2.1:5000",
        "calling_ae": "CT1",
    }


def test_a_line_of_text_in_a_pipe_has_no_colours() -> None:
    stream = written("text")
    get_logger(association=3).info("association accepted")
    line = stream.getvalue()
    assert "[info     ] association accepted association=3\n" in line
    assert "\x1b" not in line


def test_a_terminal_gets_colours() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    configure("text", "info", stream)
    get_logger().info("started")
    assert "\x1b[" in stream.getvalue()


def test_every_line_of_a_task_can_carry_what_was_bound_to_it() -> None:
    stream = written("json")
    with structlog.contextvars.bound_contextvars(association=7):
        get_logger().info("stored")
    assert json.loads(stream.getvalue())["association"] == 7


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_below_the_level_is_not_written(level: LogLevel, count: int) -> None:
    stream = written("json", level)
    logger = get_logger()
    logger.debug("a")
    logger.info("b")
    logger.warning("c")
    logger.error("d")
    assert len(stream.getvalue().splitlines()) == count


def test_an_output_that_fails_costs_the_line_and_nothing_else() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    configure("text", "info", Full())
    get_logger().info("association accepted")
    closed = written()
    closed.close()
    get_logger().info("association accepted")


# -- text from the wire


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu", "Po", "Zs"]), max_size=30))
def test_no_value_forges_a_line_of_text_or_drives_the_terminal(value: str) -> None:
    stream = written("text")
    get_logger(peer=value).info(
        "association rejected", calling_ae=value, titles=[value], raw=value.encode("utf-8", "replace")
    )
    (line,) = stream.getvalue().splitlines()
    assert "association rejected" in line
    assert not any(character < " " or character == "\x7f" for character in line)


def test_no_value_forges_a_line_of_json() -> None:
    stream = written("json")
    title = 'A\n{"level": "error"}\u2028\x1b'
    get_logger().info("association rejected", calling_ae=title)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["calling_ae"] == title


def test_a_format_string_is_text() -> None:
    stream = written("json")
    get_logger().info("association rejected", calling_ae="%s%n{0}")
    assert json.loads(stream.getvalue())["calling_ae"] == "%s%n{0}"


def test_no_line_of_a_traceback_passes_for_a_line_of_the_log() -> None:
    stream = written("text")
    try:
        raise ValueError("bad\n2026-01-01T00:00:00Z [info     ] all is well\x1b[2J")
    except ValueError:
        get_logger().exception("handler failed")
    first, *rest = stream.getvalue().splitlines()
    assert "handler failed" in first
    assert "  | ValueError: bad" in rest
    assert all(line.startswith("  | ") for line in rest)
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("key", sorted(PATIENT_KEYS))
def test_a_patient_is_named_at_level_debug_only(key: str) -> None:
    stream = written("json", "info")
    get_logger(**{key: "DOE^JOHN"}).info("stored")
    assert "DOE" not in stream.getvalue()
    assert json.loads(stream.getvalue())[key] == "(hidden)"
    stream = written("json", "debug")
    get_logger(**{key: "DOE^JOHN"}).info("stored")
    assert json.loads(stream.getvalue())[key] == "DOE^JOHN"


# -- one bad peer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def limited(lines: int = 3) -> tuple[Any, Clock, list[dict[str, Any]]]:
    """A logger behind a limiter, its clock, and the lines that come through."""
    clock = Clock()
    passed: list[dict[str, Any]] = []

    def keep(_logger: Any, _method: str, event_dict: Any) -> Any:
        passed.append(dict(event_dict))
        raise structlog.DropEvent

    limiter = RepeatLimiter(lines, 10.0, clock)
    structlog.configure(
        processors=[structlog.processors.add_log_level, limiter, keep],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )
    return get_logger(), clock, passed


def test_a_repeated_line_is_left_out_and_counted() -> None:
    logger, clock, passed = limited()
    for port in range(10):
        logger.warning("association rejected", peer=f"192.0.2.1:{5000 + port}")
    assert [line["event"] for line in passed] == ["association rejected"] * 3
    clock.now = 10.0
    logger.warning("association rejected", peer="192.0.2.1:6000")
    assert passed[3] == {
        "event": "repeated lines left out",
        "level": "warning",
        "repeated": "association rejected",
        "peer": "192.0.2.1",
        "count": 7,
    }
    assert passed[4]["event"] == "association rejected"
    assert len(passed) == 5


def test_any_later_line_brings_the_count_out() -> None:
    logger, clock, passed = limited(lines=1)
    logger.info("refused", peer="[2001:db8::1]:5000")
    logger.info("refused", peer="[2001:db8::1]:5001")
    clock.now = 11.0
    logger.info("stopped")
    assert [line["event"] for line in passed] == ["refused", "repeated lines left out", "stopped"]
    assert passed[1]["peer"] == "[2001:db8::1]"


def test_another_peer_and_another_event_have_lines_of_their_own() -> None:
    logger, _, passed = limited(lines=1)
    for peer in ("192.0.2.1:1", "192.0.2.2:1", "2001:db8::1", "2001:db8::2", "unknown"):
        for event in ("rejected", "aborted"):
            logger.warning(event, peer=peer)
            logger.warning(event, peer=peer)
    assert len(passed) == 10


def test_lines_of_nobody_and_lines_for_debugging_always_pass() -> None:
    logger, _, passed = limited(lines=1)
    for _ in range(5):
        logger.info("checkpoint")
        logger.debug("pdu received", peer="192.0.2.1:5000")
    assert len(passed) == 10


def test_a_peer_within_bounds_loses_nothing() -> None:
    logger, clock, passed = limited()
    for second in range(100):
        clock.now = 4.0 * second
        logger.info("association accepted", peer="192.0.2.1:5000")
    assert len(passed) == 100


def test_a_flood_of_peers_takes_no_memory_without_end() -> None:
    limiter = RepeatLimiter()
    for number in range(5000):
        limiter(
            None,
            "info",
            {"event": "rejected", "level": "info", "peer": f"10.0.{number >> 8}.{number & 255}:1"},
        )
    assert len(limiter._windows) <= limiter._MOST_WINDOWS


def test_the_limit_is_in_place_once_the_log_is_configured() -> None:
    stream = written("json")
    logger = get_logger(peer="192.0.2.1:5000")
    for _ in range(log.LINES + 5):
        logger.warning("association rejected")
    assert len(stream.getvalue().splitlines()) == log.LINES
