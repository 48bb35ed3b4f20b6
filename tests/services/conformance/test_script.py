"""A script is a case whose suite is its topic."""

from services.conformance.script import Topic, script
from services.conformance.steps import Do, pause


def test_groups_of_steps_are_its_steps() -> None:
    steps = [pause(0.1), pause(0.2), pause(0.3)]
    found = script("name", Topic.ABORT, "Title", "PS3.8", steps[0], steps[1:], asks=["C-FIND-RQ"])
    assert list(found.steps) == steps
    assert all(isinstance(step, Do) for step in found.steps)
    assert (found.id, found.suite, found.asks) == ("name", Topic.ABORT, {"C-FIND-RQ"})
