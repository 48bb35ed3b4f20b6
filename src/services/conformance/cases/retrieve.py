"""Retrieve: cases 140 to 149 (PS3.4 C.4.2, C.4.3)."""

from services.conformance.case import Case

CASES: tuple[Case, ...] = ()
