from hypothesis import given
from hypothesis import strategies as st

from services.printable import printable, shorten


def test_a_line_break_becomes_its_escape() -> None:
    assert printable("A\nB\r\x1b[31m\x00") == "A\\nB\\r\\x1b[31m\\x00"


def test_letters_of_any_language_stay() -> None:
    assert printable("Müller^山田=ヤマダ") == "Müller^山田=ヤマダ"


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu", "Po"])))
def test_what_comes_out_is_one_line_that_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert not any(ord(character) < 32 for character in shown)


def test_shorten_cuts_to_the_maximum() -> None:
    assert shorten("x" * 81) == "x" * 79 + "…"
    assert shorten("x" * 80) == "x" * 80
