"""Cases as data."""

import pytest

from services.conformance.case import Suite, case
from services.conformance.steps import Send, associate
from services.conformance.target import Service


def test_groups_of_steps_become_steps() -> None:
    send = Send("a byte", b"x")
    one = case("pdata-83b", "Title", "PS3.8 E.1", associate(), send, needs=[Service.STORAGE], note="so")
    assert len(one.steps) == 3
    assert one.steps[2] is send
    assert one.suite is Suite.PDATA
    assert one.needs == {Service.STORAGE}
    assert (one.writes, one.waits, one.note) == (False, False, "so")


def test_an_id_of_no_suite_has_no_suite() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        _ = case("nowhere-1", "Title", "PS3.8").suite
