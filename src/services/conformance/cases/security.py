"""TLS and hostile peers: cases 157 to 165 (PS3.15)."""

from services.conformance.case import Case

CASES: tuple[Case, ...] = ()
