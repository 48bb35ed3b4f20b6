import csv
import io
import json

import pytest
from pydicom import Dataset

from services.cli.query_output import Format, harmless, printer

COLUMNS = ("PatientName", "PatientID", "ModalitiesInStudy")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def answer() -> Dataset:
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 192"
    one.PatientName = "山田^\u202e=x"
    one.PatientID = '=1,"2|'
    one.ModalitiesInStudy = ["CT", "MR"]
    return one


def printed(format: Format, stream: io.StringIO, count: int = 2) -> str:
    it = printer(format, "study", COLUMNS, stream)
    for _ in range(count):
        it.print(answer())
    it.end()
    return stream.getvalue()


def test_json_is_read_back() -> None:
    text = printed("json", io.StringIO())
    assert "\u202e" not in text
    matches = json.loads(text)
    assert len(matches) == 2
    assert Dataset.from_json(matches[0]).PatientName == answer().PatientName
    assert "00080005" not in matches[0]
    assert json.loads(printed("json", io.StringIO(), 0)) == []


def test_csv_is_read_back() -> None:
    rows = list(csv.reader(io.StringIO(printed("csv", io.StringIO(), 1))))
    assert rows == [list(COLUMNS), ["山田^\\u202e=x", "'=1,\"2|", "CT\\MR"]]


def test_compact_escapes_its_separator() -> None:
    assert printed("compact", io.StringIO(), 1) == '山田^\\u202e=x|=1,"2\\||CT\\MR\n'


def test_a_table_in_a_pipe_is_aligned_and_has_one_heading() -> None:
    lines = printed("table", io.StringIO(), 450).splitlines()
    assert len(lines) == 451
    assert lines[0].split() == ["Patient", "ID", "Modalities"]
    assert len(set(lines[1:])) == 1


def test_a_table_on_a_terminal_takes_no_markup_from_the_peer() -> None:
    text = printed("table", Terminal(), 1)
    assert "CT, MR" in text
    assert "\u202e" not in text


@pytest.mark.parametrize(("text", "cell"), [("=1+1", "'=1+1"), ("@x", "'@x"), ("-5", "-5"), ("DOE", "DOE")])
def test_formulas_are_made_harmless(text: str, cell: str) -> None:
    assert harmless(text) == cell
