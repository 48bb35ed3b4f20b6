"""What the server has done since it started: plain counters, read from outside over the control socket.

Everything that counts runs on one event loop, so a counter is an attribute and counting is `+= 1`. Where several
processes serve, each writes its counters into shared memory a few times a second, and their sum is what is told.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Self

from msgspec import Struct, field
from msgspec.structs import fields

from services.server.config import TOLERANCES

SERVICES = ("C-ECHO", "C-STORE", "C-FIND", "C-MOVE", "C-GET")


class Statistics(Struct, kw_only=True, gc=False):
    """The counters of one server; every one but `connections_active` only grows.

    A response with status Success or a warning counts as success, any other final status as failure.

    Attributes:
        connections_rejected: closed by us before they asked for an association.
        handshakes_failed: connections whose TLS handshake failed; they count nowhere else.
        associations_aborted: by the peer, by us, or by a lost connection.
        bytes_received: PDUs, headers included.
        instances_duplicate: already held, answered without another copy.
        instances_replaced: already held, and replaced by what came.
        instances_refused: answered with a failure, for whatever reason.
        violations_tolerated: by the name of the switch that let it pass.
    """

    connections_total: int = 0
    connections_active: int = 0
    connections_rejected: int = 0
    handshakes_failed: int = 0
    associations_accepted: int = 0
    associations_rejected: int = 0
    associations_released: int = 0
    associations_aborted: int = 0
    c_echo_success: int = 0
    c_echo_failure: int = 0
    c_store_success: int = 0
    c_store_failure: int = 0
    c_find_success: int = 0
    c_find_failure: int = 0
    c_move_success: int = 0
    c_move_failure: int = 0
    c_get_success: int = 0
    c_get_failure: int = 0
    pdus_received: int = 0
    pdus_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    instances_stored: int = 0
    instances_duplicate: int = 0
    instances_replaced: int = 0
    instances_refused: int = 0
    instances_sent: int = 0
    violations_tolerated: dict[str, int] = field(default_factory=lambda: dict.fromkeys(sorted(TOLERANCES), 0))
    started_at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)

    def add_sent(self, instances: int) -> None:
        """Count what a C-GET or a C-MOVE has sent."""
        self.instances_sent += instances

    def tolerate(self, switch: str) -> None:
        """Count one violation that a switch of `peers.<AE>.tolerate` let pass."""
        self.violations_tolerated[switch] += 1

    def numbers(self) -> list[int]:
        """Every counter, in an order of its own: `of_numbers` reads it."""
        return [*(getattr(self, name) for name in _COUNTERS), *self.violations_tolerated.values()]

    @classmethod
    def of_numbers(cls, numbers: Iterable[int]) -> Self:
        """The counters that `numbers` wrote."""
        values = list(numbers)
        tolerated = dict(zip(sorted(TOLERANCES), values[len(_COUNTERS) :], strict=True))
        return cls(**dict(zip(_COUNTERS, values, strict=False)), violations_tolerated=tolerated)

    def add(self, other: Self) -> None:
        """Count what another has counted, too."""
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for switch, count in other.violations_tolerated.items():
            self.violations_tolerated[switch] += count

    def uptime(self) -> float:
        """Seconds since the server started."""
        return time.monotonic() - self.started

    def snapshot(self) -> dict[str, Any]:
        """Every counter at this moment, grouped and named as the outside sees them; ready for JSON."""
        started_at = datetime.fromtimestamp(self.started_at, UTC).isoformat(timespec="seconds")
        return {
            "startedAt": started_at,
            "uptimeSeconds": round(self.uptime(), 3),
            "connections": {
                "total": self.connections_total,
                "active": self.connections_active,
                "rejected": self.connections_rejected,
                "handshakesFailed": self.handshakes_failed,
            },
            "associations": {
                "accepted": self.associations_accepted,
                "rejected": self.associations_rejected,
                "released": self.associations_released,
                "aborted": self.associations_aborted,
            },
            "operations": {service: self._operations(service) for service in SERVICES},
            "instances": {
                "stored": self.instances_stored,
                "duplicate": self.instances_duplicate,
                "replaced": self.instances_replaced,
                "refused": self.instances_refused,
                "sent": self.instances_sent,
            },
            "bytes": {"received": self.bytes_received, "sent": self.bytes_sent},
            "pdus": {"received": self.pdus_received, "sent": self.pdus_sent},
            "violationsTolerated": dict(self.violations_tolerated),
        }

    def _operations(self, service: str) -> dict[str, int]:
        name = service.lower().replace("-", "_")
        success = int(getattr(self, f"{name}_success"))
        failure = int(getattr(self, f"{name}_failure"))
        return {"requests": success + failure, "success": success, "failure": failure}


_COUNTERS = tuple(each.name for each in fields(Statistics) if each.type is int)

NUMBERS = len(_COUNTERS) + len(TOLERANCES)
"""How many `Statistics.numbers` are."""


def report(snapshot: dict[str, Any]) -> str:
    """`Statistics.snapshot()` as text for a person, one group a line. Ends without a line break."""
    lines = [f"up {duration(snapshot['uptimeSeconds'])}, since {snapshot['startedAt']}"]
    for group in ("connections", "associations", "instances", "bytes", "pdus"):
        lines.append(f"{group:<13} {_counts(snapshot[group])}")
    for service, counts in snapshot["operations"].items():
        lines.append(f"{service:<13} {_counts(counts)}")
    tolerated = {switch: count for switch, count in snapshot["violationsTolerated"].items() if count}
    lines.append(f"{'tolerated':<13} {_counts(tolerated) or 'nothing'}")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds as days, hours, minutes and seconds: `1 d 02:03:04`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    clock = f"{hour:02}:{minute:02}:{second:02}"
    return f"{days} d {clock}" if days else clock


def _counts(counts: dict[str, int]) -> str:
    return "   ".join(f"{name} {count:,}" for name, count in counts.items())
