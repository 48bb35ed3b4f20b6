"""Query: cases 131 to 139 and 155 (PS3.4 C.4.1, K.4.1)."""

from services.conformance.case import Case
from services.conformance.cases import (
    query_conduct,
    query_encodings,
    query_levels,
    query_matching,
    query_refused,
    query_responses,
    query_worklist,
)
from services.conformance.data_sets import numbers

_ALL = (
    *query_refused.CASES,
    *query_matching.CASES,
    *query_levels.CASES,
    *query_responses.CASES,
    *query_encodings.CASES,
    *query_conduct.CASES,
    *query_worklist.CASES,
)

CASES: tuple[Case, ...] = tuple(sorted(_ALL, key=lambda each: numbers(each.id.partition("-")[2])))
