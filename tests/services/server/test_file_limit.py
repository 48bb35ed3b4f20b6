import resource

import pytest

from services.server import file_limit
from services.server.config import Config, Limits
from services.server.config_file import ConfigError
from services.server.file_limit import files_needed, raise_file_limit


class Machine:
    """The limits of a process, without those of this one."""

    def __init__(self, soft: int, hard: int, refuses: bool = False) -> None:
        self.limits = (soft, hard)
        self.refuses = refuses

    def getrlimit(self, what: int) -> tuple[int, int]:
        assert what == resource.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, what: int, limits: tuple[int, int]) -> None:
        assert what == resource.RLIMIT_NOFILE
        if self.refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


def on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(file_limit.resource, "getrlimit", machine.getrlimit)
    monkeypatch.setattr(file_limit.resource, "setrlimit", machine.setrlimit)
    return machine


def test_the_soft_limit_is_raised_to_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = on(Machine(256, 4096), monkeypatch)
    assert raise_file_limit(Config()) == 4096
    assert machine.limits == (4096, 4096)


def test_a_machine_without_a_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = on(Machine(256, resource.RLIM_INFINITY), monkeypatch)
    assert raise_file_limit(Config()) == 1 << 20
    assert machine.limits == (1 << 20, resource.RLIM_INFINITY)


def test_a_process_without_any_limit_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = on(Machine(resource.RLIM_INFINITY, resource.RLIM_INFINITY), monkeypatch)
    raise_file_limit(Config())
    assert machine.limits == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_a_system_that_refuses_its_own_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    on(Machine(1024, 4096, refuses=True), monkeypatch)
    assert raise_file_limit(Config()) == 1024


def test_more_connections_than_files_are_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    on(Machine(256, 512), monkeypatch)
    with pytest.raises(ConfigError) as caught:
        raise_file_limit(Config())
    assert str(caught.value) == (
        "maxConcurrentConnections: 200 needs 592 open files (2 for each, 64 for half-open ones, "
        "128 for the rest), and this process may open 512; raise the limit (ulimit -Hn, or LimitNOFILE= of "
        "the systemd unit) or set it to at most 160"
    )


def test_what_the_refusal_suggests_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    on(Machine(256, 512), monkeypatch)
    assert raise_file_limit(Config(max_concurrent_connections=160)) == 512
    with pytest.raises(ConfigError):
        raise_file_limit(Config(max_concurrent_connections=161))


def test_nothing_is_suggested_where_nothing_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    on(Machine(64, 64), monkeypatch)
    with pytest.raises(ConfigError, match=r"systemd unit\)$"):
        raise_file_limit(Config(max_concurrent_connections=1))


def test_half_open_connections_count() -> None:
    more = Config(limits=Limits(half_open=100))
    assert files_needed(more) - files_needed(Config()) == 36
