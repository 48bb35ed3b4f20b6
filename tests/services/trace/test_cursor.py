"""A position in bytes, and the fields made on the way."""

from services.trace.cursor import MOST_FIELDS, Cursor, hidden, shown


def test_what_is_taken_becomes_a_leaf() -> None:
    cursor = Cursor(b"abcdef", 1, 5, base=100)
    assert cursor.take(2, "PDU-type", "x", meaning="m", problem="p") == b"bc"
    (field,) = cursor.fields
    assert (field.offset, field.length, field.name, field.value) == (101, 2, "PDU-type", "x")
    assert (field.meaning, field.problem, field.clause) == ("m", "p", "PS3.8 9.3.1")
    assert field.explanation
    assert cursor.left == 2
    assert cursor.peek(9) == b"de"
    assert cursor.peek(9, 1) == b"e"
    assert cursor.number(2) == 0x6465


def test_no_more_is_taken_than_there_is() -> None:
    cursor = Cursor(b"abc", 0, 99)
    assert cursor.take(9, "Value") == b"abc"
    assert cursor.take(1, "Value") == b""
    cursor.take_rest("Value")
    cursor.reserved()
    cursor.rest()
    assert [field.length for field in cursor.fields] == [3]
    cursor.take(0, "Value")
    assert [field.length for field in cursor.fields] == [3, 0]


def test_a_group() -> None:
    cursor = Cursor(b"abcdef", 0, 6)
    inside = cursor.inside(4)
    inside.take(1, "Tag")
    cursor.group("Item", inside, value="v")
    (item,) = cursor.fields
    assert (item.offset, item.length, item.value, item.clause) == (0, 4, "v", "PS3.5 7.5.1")
    assert [(child.name, child.length, bool(child.problem)) for child in item.children] == [
        ("Tag", 1, False),
        ("Surplus bytes", 3, True),
    ]
    assert cursor.position == 4


def test_inside_ends_with_what_is_around_it() -> None:
    assert Cursor(b"abcdef", 0, 3).inside(9).left == 3
    assert Cursor(b"abcdef", 0, 3).inside(-9).left == 0


def test_the_kind_tells_which_explanation() -> None:
    in_an_abort, in_a_rejection = Cursor(b"\2", 0, 1, kind=7), Cursor(b"\2", 0, 1, kind=3)
    for cursor in (in_an_abort, in_a_rejection):
        cursor.take(1, "Source")
    assert in_an_abort.fields[0].clause == "PS3.8 9.3.8"
    assert in_a_rejection.fields[0].clause == "PS3.8 9.3.4"
    assert Cursor(b"", 0, 0, kind=7).inside(0).kind == 7
    assert Cursor(b"", 0, 0, kind=7).inside(0, 0x54).kind == 0x54


def test_all_cursors_over_the_same_bytes_share_a_budget() -> None:
    cursor = Cursor(bytes(MOST_FIELDS + 10), 0, MOST_FIELDS + 10)
    inside = cursor.inside(MOST_FIELDS + 5)
    while not inside.is_spent:
        inside.take(1, "Value")
    assert cursor.is_spent
    cursor.group("Item", inside)
    cursor.rest("a problem")
    assert inside.fields[-1].name == cursor.fields[-1].name == "Not shown"
    assert (inside.fields[-1].length, cursor.fields[-1].length) == (5, 5)
    assert cursor.fields[-1].problem == ""


def test_mending() -> None:
    cursor = Cursor(b"a", 0, 1)
    cursor.mend("nothing to mend")
    cursor.take(1, "Value")
    cursor.mend("")
    assert cursor.fields[0].problem == ""
    cursor.mend("one")
    cursor.mend("two")
    assert cursor.fields[0].problem == "one; two"


def test_bytes_for_a_person() -> None:
    assert shown(b"\x0a\xff") == "0A FF"
    assert shown(bytes(33)) == "00 " * 31 + "00 … (33 bytes)"
    assert hidden(b"secret") == "<6 bytes, not shown>"
