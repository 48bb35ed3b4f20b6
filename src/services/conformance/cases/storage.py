"""Storage: cases 118 to 130 (PS3.4 Annex B)."""

from services.conformance.case import Case

CASES: tuple[Case, ...] = ()
