"""Verdicts and findings."""

from services.conformance.verdict import Finding, Verdict, worst


def test_the_worst_finding_is_the_verdict() -> None:
    found = [Finding(verdict, "", "") for verdict in Verdict if verdict is not Verdict.PASS]
    assert worst(found) is Verdict.FAIL
    assert worst(found[:-1]) is Verdict.INCONCLUSIVE
    assert worst(found[:-2]) is Verdict.TOLERATED
    assert worst([]) is Verdict.PASS


def test_a_finding_reads_as_a_sentence() -> None:
    assert str(Finding(Verdict.FAIL, "accept", "silence", "the rule")) == (
        "expected accept, got silence (the rule)"
    )
    assert str(Finding(Verdict.INCONCLUSIVE, "", "no time was left")) == "no time was left"
