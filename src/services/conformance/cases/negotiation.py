"""Negotiation: cases 38 to 82 (PS3.8 9.3.2, 9.3.3; PS3.7 Annex D.3)."""

from services.conformance.case import Case

CASES: tuple[Case, ...] = ()
