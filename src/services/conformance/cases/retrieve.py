"""Retrieve: cases 72 and 140 to 149 (PS3.4 C.4.2, C.4.3)."""

from services.conformance.case import Case
from services.conformance.cases import retrieve_get, retrieve_move, retrieve_refused

CASES: tuple[Case, ...] = (*retrieve_refused.CASES, *retrieve_get.CASES, *retrieve_move.CASES)
