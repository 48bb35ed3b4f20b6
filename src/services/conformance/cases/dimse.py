"""DIMSE commands: cases 98 to 116 (PS3.7), and beyond."""

from services.conformance.case import Case
from services.conformance.cases import (
    dimse_command_set,
    dimse_misplaced,
    dimse_operations,
    dimse_refused,
    dimse_requests,
)

CASES: tuple[Case, ...] = (
    *dimse_command_set.CASES,
    *dimse_requests.CASES,
    *dimse_refused.CASES,
    *dimse_misplaced.CASES,
    *dimse_operations.CASES,
)
