"""What a run found out, for the reports."""

from enum import StrEnum

from msgspec import Struct

from services.conformance.case import Case
from services.conformance.connection import Exchange
from services.conformance.target import Offer
from services.conformance.verdict import Finding, Verdict


class PlayedConnection(Struct, frozen=True):
    """What went over one connection of a case.

    Attributes:
        number: within the case, from 1.
        started: when it opened, in seconds since the epoch.
        exchanges: in order.
        cut: more bytes went over it than were kept.
    """

    number: int
    started: float
    exchanges: tuple[Exchange, ...]
    cut: bool


class CaseResult(Struct, frozen=True):
    """How one case ended.

    Attributes:
        case: the case.
        verdict: the worst of its findings; PASS without any.
        findings: what did not go as the strict answers say.
        connections: everything that was sent and received.
        seconds: how long it took.
        reached: how many of its steps were done in full.
    """

    case: Case
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    connections: tuple[PlayedConnection, ...] = ()
    seconds: float = 0.0
    reached: int = 0


class Run(Struct, kw_only=True):
    """A run of the tester against one peer.

    Attributes:
        address: of the peer, as given: "pacs://localhost:11112".
        called_ae, calling_ae: the titles used.
        offer: what the peer said about itself.
        started: in seconds since the epoch.
        seconds: how long it took.
        results: of every case, in the order of the list.
        remarks: what a reader has to know: cases left out, time that ran out, study UIDs that were written.
        command: how to run it again.
        interrupted: somebody ended it before its end.
    """

    address: str
    called_ae: str
    calling_ae: str
    offer: Offer
    started: float
    seconds: float = 0.0
    results: list[CaseResult]
    remarks: list[str]
    command: str = ""
    interrupted: bool = False

    def count(self, verdict: Verdict, suite: StrEnum | None = None) -> int:
        """How many cases, of one suite or of all, ended with a verdict."""
        return sum(r.verdict is verdict and suite in (None, r.case.suite) for r in self.results)

    @property
    def suites(self) -> list[StrEnum]:
        """The suites that have a result, in the order of the results."""
        return list(dict.fromkeys(result.case.suite for result in self.results))

    @property
    def has_failed(self) -> bool:
        """Whether any case failed."""
        return self.count(Verdict.FAIL) > 0
