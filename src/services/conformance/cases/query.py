"""Query: cases 131 to 139 (PS3.4 C.4.1)."""

from services.conformance.case import Case

CASES: tuple[Case, ...] = ()
