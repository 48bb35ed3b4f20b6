"""A run of the conformance tester with one case of each verdict, for tests of its reports."""

from raw_bytes import CT_IMAGE, EXPLICIT, IMPLICIT, VERIFICATION, a_associate_rq, abort
from services.conformance.case import Case, case
from services.conformance.connection import Exchange, Move
from services.conformance.results import CaseResult, PlayedConnection, Run
from services.conformance.steps import Expect, Send, associate
from services.conformance.target import Offer, Service
from services.conformance.verdict import Finding, Verdict

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e&\"'"


def _case(id: str, title: str, **fields: object) -> Case:
    steps = (
        *associate(),
        Send("a byte", b"\x09"),
        Expect("abort 2/1", "abort 2/*", why="the type is unknown"),
    )
    return case(id, title, "PS3.8 9.2: Evt19 in Sta6, AA-8", steps, **fields)  # type: ignore[arg-type]


CONNECTION = PlayedConnection(
    1,
    1_700_000_000.0,
    (
        Exchange(0.0, Move.OPENED),
        Exchange(0.001, Move.SENT, a_associate_rq()),
        Exchange(0.002, Move.RECEIVED, abort(2, 2)),
        Exchange(0.003, Move.PEER_CLOSED),
    ),
    cut=False,
)


def a_run() -> Run:
    """One case of each verdict; the peer's names and answers are hostile."""
    results = [
        CaseResult(_case("ul-1", "It passes"), Verdict.PASS, (), (CONNECTION,), 0.01, 4),
        CaseResult(
            _case("ul-2a", "It fails", note="Graded so because."),
            Verdict.FAIL,
            (Finding(Verdict.FAIL, "abort 2/1", f"garbage: {HOSTILE}", "the type is unknown"),),
            (CONNECTION,),
            0.02,
            2,
        ),
        CaseResult(
            _case("dimse-3", "It is tolerated"),
            Verdict.TOLERATED,
            (Finding(Verdict.TOLERATED, "abort 2/1", "abort 2/2"),),
            (CONNECTION,),
            0.03,
            3,
        ),
        CaseResult(
            _case("storage-4", "It cannot be played", needs={Service.STORAGE}, writes=True),
            Verdict.NOT_APPLICABLE,
            (Finding(Verdict.NOT_APPLICABLE, "", "the peer does not offer storage"),),
        ),
        CaseResult(
            _case("storage-5", "It has no end", waits=True),
            Verdict.INCONCLUSIVE,
            (Finding(Verdict.INCONCLUSIVE, "", "no time was left: --max-time gives more"),),
        ),
    ]
    return Run(
        address="pacs://localhost:104",
        called_ae="ANY",
        calling_ae="CONFORMANCE",
        offer=Offer(
            implementation_class_uid="1.2.3",
            implementation_version_name=HOSTILE,
            maximum_length=16384,
            accepted={VERIFICATION: (IMPLICIT,), CT_IMAGE: (IMPLICIT, EXPLICIT)},
        ),
        started=1_700_000_000.0,
        seconds=1.5,
        results=results,
        remarks=["1 cases store instances in the peer and were left out: --allow-write."],
        command="dicom-conformance run pacs://localhost:104 --called-ae ANY",
    )
