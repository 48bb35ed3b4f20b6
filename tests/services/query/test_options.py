import pytest

from services.query.options import Options, negotiate


@pytest.mark.parametrize(
    ("proposed", "answer", "options"),
    [
        (b"", b"", Options()),
        (b"\1", b"\1", Options(relational=True)),
        (b"\0", b"\0", Options()),
        (b"\1\1\1", b"\1\1\1", Options(relational=True, combined_date_time=True, fuzzy=True)),
        (b"\0\0\1", b"\0\0\1", Options(fuzzy=True)),
        (b"\0\0\0\1", b"\0\0\0\0", Options()),
        (b"\0\0\0\0\1\1\1", b"\0\0\0\0\0\1\1", Options(empty_values=True)),
        (b"\2\1", b"\0\1", Options(combined_date_time=True)),
        (b"\1" * 20, b"\1\1\1\0\0\1\1", Options(True, True, True, True)),
    ],
)
def test_negotiate(proposed: bytes, answer: bytes, options: Options) -> None:
    assert negotiate(proposed) == (answer, options)


def test_the_universal_star_is_no_matter_of_negotiation() -> None:
    assert negotiate(b"", universal_star=True)[1].universal_star
