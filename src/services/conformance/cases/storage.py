"""Storage: cases 118 to 130 (PS3.4 Annex B), but for 124, a full disk, which nothing on the wire can bring about."""

from services.conformance.case import Case
from services.conformance.cases import (
    storage_conduct,
    storage_content,
    storage_encoding,
    storage_messages,
    storage_refused,
)
from services.conformance.data_sets import numbers

_ALL = (
    *storage_encoding.CASES,
    *storage_refused.CASES,
    *storage_content.CASES,
    *storage_conduct.CASES,
    *storage_messages.CASES,
)

CASES: tuple[Case, ...] = tuple(sorted(_ALL, key=lambda each: numbers(each.id.partition("-")[2])))
