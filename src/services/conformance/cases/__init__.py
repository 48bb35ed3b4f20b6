"""The cases, a module to a suite."""

from services.conformance.case import Case, Suite
from services.conformance.cases import (
    dimse,
    endurance,
    negotiation,
    pdata,
    query,
    retrieve,
    security,
    storage,
    ul,
)
from services.conformance.wellformed import WELL_FORMED

_MODULES = (ul, negotiation, pdata, dimse, storage, query, retrieve, security, endurance)

CASES: tuple[Case, ...] = (WELL_FORMED, *(case for module in _MODULES for case in module.CASES))
"""All of them, in the order they are listed and played."""


def select(suites: list[Suite], ids: list[str]) -> list[Case]:
    """The cases of these suites, and those with these ids; an id without its letter stands for all its variants.

    Raises:
        KeyError: an id that no case has.
    """
    chosen = [case for case in CASES if case.suite in suites]
    for wanted in ids:
        found = [
            case
            for case in CASES
            if case.id == wanted or case.id.rstrip("abcdefghijklmnopqrstuvwxyz") == wanted
        ]
        if not found:
            raise KeyError(wanted)
        chosen += [case for case in found if case not in chosen]
    return [case for case in CASES if case in chosen]
