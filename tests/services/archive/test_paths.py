"""Where an instance lies; no path leaves the data directory."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.errors import InvalidUID
from services.archive.paths import instance_path, uids_of_path

HOSTILE = [
    "..",
    ".",
    "",
    "/etc/x",
    "1" * 65,
    "1..2",
    "../../1",
    "1.2/../..",
    "1.2\0",
    "1\\2",
    "~",
    "1.2\n",
    "C:",
]


def test_study_series_instance() -> None:
    assert instance_path("1.2", "1.2.3", "1.2.3.4") == "1.2/1.2.3/1.2.3.4.dcm"


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_hostile_value_makes_no_path(hostile: str, place: int) -> None:
    uids = ["1.2", "1.3", "1.4"]
    uids[place] = hostile
    with pytest.raises(InvalidUID):
        instance_path(*uids)


@given(st.tuples(*[st.text(alphabet="0123456789./\\\0 ~a", max_size=70)] * 3))
def test_whatever_is_accepted_stays_inside(uids: tuple[str, str, str]) -> None:
    try:
        path = PurePosixPath(instance_path(*uids))
    except InvalidUID:
        return
    assert not path.is_absolute()
    assert len(path.parts) == 3
    assert all(part[0] in "0123456789" and "/" not in part for part in path.parts)


def test_a_path_tells_its_uids_again() -> None:
    assert uids_of_path(instance_path("1.2.3", "1.2.3.4", "1.2.3.4.5")) == ("1.2.3", "1.2.3.4", "1.2.3.4.5")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2/1.3",
        "1.2/1.3/1.4",
        "1.2/1.3/1.4.dcm/",
        "/1.2/1.3/1.4.dcm",
        "../1.3/1.4.dcm",
        "1.2/./1.4.dcm",
        "1.2/1.3/.dcm",
    ],
)
def test_another_text_is_no_path_of_an_instance(text: str) -> None:
    assert uids_of_path(text) is None
