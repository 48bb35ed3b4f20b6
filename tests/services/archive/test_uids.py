"""What counts as a UID."""

import pytest

from services.archive.errors import InvalidUID
from services.archive.uids import check_uid, valid_uid


@pytest.mark.parametrize(
    "uid", ["1.2.840.10008.1.2", "0", "1.02", "2.25." + "9" * 39, "1" * 64, "1." * 31 + "12"]
)
def test_accepts_digits_and_dots(uid: str) -> None:
    assert valid_uid(uid)


@pytest.mark.parametrize(
    "uid",
    [
        "",
        ".",
        "..",
        "1..2",
        ".1",
        "1.",
        "1" * 65,
        "1." * 32 + "1",
        "/etc/x",
        "../1",
        "1.2/3",
        "1.2\0",
        "1.2\n",
        *(" 1.2", "1.2 ", "1.a", "1,2", "-1", "1.2\\3", "١.٢", "1.²", "%s"),
    ],
)
def test_refuses_everything_else(uid: str) -> None:
    assert not valid_uid(uid)
    with pytest.raises(InvalidUID, match=r"Study Instance UID .* is no UID"):
        check_uid("Study Instance UID", uid)


def test_the_error_quotes_no_more_than_the_start_of_a_long_value() -> None:
    with pytest.raises(InvalidUID) as raised:
        check_uid("SOP Instance UID", "x" * 1_000_000)
    assert len(str(raised.value)) < 200
