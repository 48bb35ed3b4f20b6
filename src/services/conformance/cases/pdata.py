"""P-DATA and message assembly: cases 83 to 97 (PS3.8 9.3.5, Annex E)."""

from services.conformance.case import Case

CASES: tuple[Case, ...] = ()
