"""What a case found out."""

from enum import Enum

from msgspec import Struct


class Verdict(Enum):
    """How a case ended; from good to bad."""

    PASS = "pass"
    NOT_APPLICABLE = "not applicable"
    TOLERATED = "tolerated"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"

    @property
    def severity(self) -> int:
        """Larger is worse."""
        return list(Verdict).index(self)


class Finding(Struct, frozen=True):
    """Something that did not go as the strict answer says.

    Attributes:
        verdict: what it makes of the case: TOLERATED, INCONCLUSIVE, FAIL or NOT_APPLICABLE.
        expected: the strict answer.
        got: what came instead.
        why: the rule, or the reason why it is tolerated; may be empty.
    """

    verdict: Verdict
    expected: str
    got: str
    why: str = ""

    def __str__(self) -> str:
        text = f"expected {self.expected}, got {self.got}" if self.expected else self.got
        return f"{text} ({self.why})" if self.why else text


def worst(findings: "list[Finding]") -> Verdict:
    """The verdict of a case with these findings; PASS where there are none."""
    return max((finding.verdict for finding in findings), key=lambda v: v.severity, default=Verdict.PASS)
