"""Retrieve: cases 72 and 140 to 149 (PS3.4 C.4.2, C.4.3)."""

from services.conformance.case import Case
from services.conformance.cases import (
    retrieve_answers,
    retrieve_destinations,
    retrieve_get,
    retrieve_move,
    retrieve_refused,
)
from services.conformance.data_sets import numbers

_ALL = (
    *retrieve_refused.CASES,
    *retrieve_get.CASES,
    *retrieve_answers.CASES,
    *retrieve_move.CASES,
    *retrieve_destinations.CASES,
)

CASES: tuple[Case, ...] = tuple(sorted(_ALL, key=lambda each: numbers(each.id.partition("-")[2])))
