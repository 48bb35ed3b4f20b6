import json
import time

import msgspec

from services.server.config import TOLERANCES
from services.server.statistics import SERVICES, Statistics, duration, report


def leaves(value: object) -> list[object]:
    return (
        [leaf for inner in value.values() for leaf in leaves(inner)] if isinstance(value, dict) else [value]
    )


def counters() -> list[str]:
    return [field.name for field in msgspec.structs.fields(Statistics) if field.type is int]


def test_a_server_that_has_done_nothing_has_counted_nothing() -> None:
    snapshot = Statistics().snapshot()
    snapshot.pop("startedAt")
    snapshot.pop("uptimeSeconds")
    assert set(leaves(snapshot)) == {0}


def test_every_counter_shows_in_the_snapshot() -> None:
    for number, name in enumerate(counters()):
        statistics = Statistics()
        setattr(statistics, name, 1000 + number)
        assert 1000 + number in leaves(statistics.snapshot()), name


def test_there_are_no_fewer_counters_than_there_ever_were() -> None:
    assert len(counters()) >= 19


def test_requests_are_those_that_succeeded_and_those_that_failed() -> None:
    operations = Statistics(c_store_success=5, c_store_failure=2, c_echo_success=1).snapshot()["operations"]
    assert list(operations) == list(SERVICES)
    assert operations["C-STORE"] == {"requests": 7, "success": 5, "failure": 2}
    assert operations["C-ECHO"] == {"requests": 1, "success": 1, "failure": 0}


def test_violations_are_counted_by_switch() -> None:
    statistics = Statistics()
    statistics.tolerate("context-ids")
    statistics.tolerate("context-ids")
    tolerated = statistics.snapshot()["violationsTolerated"]
    assert tolerated.keys() == TOLERANCES
    assert tolerated["context-ids"] == 2
    assert sum(tolerated.values()) == 2


def test_a_snapshot_does_not_move_with_the_counters() -> None:
    statistics = Statistics()
    snapshot = statistics.snapshot()
    statistics.tolerate("context-ids")
    assert snapshot["violationsTolerated"]["context-ids"] == 0


def test_a_snapshot_is_ready_for_json() -> None:
    snapshot = Statistics(started_at=0).snapshot()
    assert snapshot["startedAt"] == "1970-01-01T00:00:00+00:00"
    assert json.loads(json.dumps(snapshot)) == snapshot


def test_uptime_is_counted_from_the_start() -> None:
    assert Statistics(started=time.monotonic() - 100).uptime() >= 100


def test_the_report_has_every_number() -> None:
    statistics = Statistics(started=time.monotonic() - 3725.5, bytes_received=1234567)
    for number, name in enumerate(name for name in counters() if name.startswith("instances")):
        setattr(statistics, name, 100 + number)
    statistics.tolerate("oversized-pdu")
    text = report(statistics.snapshot())
    assert text.startswith("up 01:02:05, since ")
    assert "received 1,234,567" in text
    assert "stored 100   duplicate 101   replaced 102   refused 103   sent 104" in text
    assert all(service in text for service in SERVICES)
    assert text.splitlines()[-1] == "tolerated     oversized-pdu 1"


def test_the_report_of_a_new_server_says_that_nothing_was_tolerated() -> None:
    assert report(Statistics().snapshot()).endswith("tolerated     nothing")


def test_duration() -> None:
    assert duration(59.9) == "00:00:59"
    assert duration(3 * 86400 + 2 * 3600 + 61) == "3 d 02:01:01"
