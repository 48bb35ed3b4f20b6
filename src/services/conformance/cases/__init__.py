"""The cases, a module to a suite."""

from services.conformance.case import Case, Suite
from services.conformance.cases import negotiation, pdata, ul

CASES: tuple[Case, ...] = (*ul.CASES, *negotiation.CASES, *pdata.CASES)
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
