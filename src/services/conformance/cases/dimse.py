"""DIMSE commands: cases 98 to 116 (PS3.7)."""

from services.conformance.case import Case

CASES: tuple[Case, ...] = ()
