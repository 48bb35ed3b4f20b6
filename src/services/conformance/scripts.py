"""The scripts of the acceptor, in the order they are listed."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from services.conformance import (
    scripts_accept,
    scripts_association,
    scripts_contexts,
    scripts_data,
    scripts_operations,
    scripts_release,
    scripts_responses,
)
from services.conformance.script import Script

DEFAULT = scripts_association.CONFORMING
"""Played where no other is asked for."""

_MODULES = (
    scripts_association,
    scripts_contexts,
    scripts_accept,
    scripts_data,
    scripts_responses,
    scripts_operations,
    scripts_release,
)


def scripts() -> list[Script]:
    """All of them."""
    return [script for module in _MODULES for script in module.SCRIPTS]


def find(names: Iterable[str]) -> list[Script]:
    """The scripts of these names, in their order, a name as often as it is given.

    Beside names: topics, as "reject"; patterns, as "find-*"; and "all".

    Raises:
        KeyError: a name that nothing has.
    """
    every = scripts()
    found: list[Script] = []
    for name in names:
        chosen = [each for each in every if each.id == name] or [
            each for each in every if name in ("all", each.topic.value) or fnmatchcase(each.id, name)
        ]
        if not chosen:
            raise KeyError(name)
        found += chosen
    return found


def list_lines(chosen: Iterable[Script]) -> Iterator[str]:
    """One line for each script: name, title, what the SCU must ask."""
    for each in chosen:
        wanted = f"  (needs a {' or a '.join(sorted(each.asks))})" if each.asks else ""
        patient = "  (waits)" if each.waits else ""
        yield f"{each.id:<34} {each.title}{wanted}{patient}"


def explain_lines(script: Script) -> Iterator[str]:
    """What a script does to an SCU, what the SCU must do, and the clause."""
    yield f"{script.id}: {script.title}"
    yield f"clause: {script.clause}"
    if script.asks:
        yield f"needs: an SCU that sends a {' or a '.join(sorted(script.asks))}"
    yield "The tester"
    yield "  1. accepts the connection"
    for number, step in enumerate(script.steps, 2):
        yield f"  {number}. {step.describe()}"
        why = getattr(step, "why", "")
        if why:
            yield f"     because {why}"
    yield "Everything the SCU sends meanwhile is looked at: lengths, contexts, Message IDs, command sets."
    if script.note:
        yield f"note: {script.note}"
