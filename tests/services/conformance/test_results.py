"""What a run found out, counted."""

from runs import a_run
from services.conformance.case import Suite
from services.conformance.verdict import Verdict


def test_verdicts_are_counted_by_suite() -> None:
    run = a_run()
    assert run.count(Verdict.PASS) == 1
    assert run.count(Verdict.FAIL) == 1
    assert run.count(Verdict.FAIL, Suite.UL) == 1
    assert run.count(Verdict.FAIL, Suite.STORAGE) == 0
    assert run.has_failed


def test_the_suites_are_those_with_results_in_their_order() -> None:
    assert a_run().suites == [Suite.UL, Suite.DIMSE, Suite.STORAGE]


def test_a_run_without_failures_has_not_failed() -> None:
    run = a_run()
    run.results = [result for result in run.results if result.verdict is not Verdict.FAIL]
    assert not run.has_failed
