"""What `dicom-query` prints on standard output: its four formats, each match as it comes.

Everything in a match is the peer's: it is made printable before it reaches a terminal.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from typing import Literal, Protocol, TextIO, TypeAlias

from pydicom import DataElement, Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from services.printable import printable
from services.sop_classes import name_of

Format: TypeAlias = Literal["table", "json", "csv", "compact"]

_ROWS = 200
"""Rows of a table by which the widths of its columns are decided; no more of them are kept."""

_TABLE_COLUMNS = {
    "patient": (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "NumberOfPatientRelatedStudies",
    ),
    "study": (
        "PatientName",
        "PatientID",
        "StudyDate",
        "ModalitiesInStudy",
        "StudyDescription",
        "AccessionNumber",
        "NumberOfStudyRelatedInstances",
        "StudyInstanceUID",
    ),
    "series": (
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
        "SeriesInstanceUID",
    ),
    "image": ("InstanceNumber", "SOPClassUID", "Rows", "Columns", "SOPInstanceUID"),
}
_HEADINGS = {
    "PatientName": "Patient",
    "PatientID": "ID",
    "PatientBirthDate": "Born",
    "PatientSex": "Sex",
    "NumberOfPatientRelatedStudies": "Studies",
    "StudyDate": "Date",
    "ModalitiesInStudy": "Modalities",
    "StudyDescription": "Description",
    "AccessionNumber": "Accession",
    "NumberOfStudyRelatedInstances": "Instances",
    "StudyInstanceUID": "Study Instance UID",
    "SeriesNumber": "No.",
    "SeriesDescription": "Description",
    "NumberOfSeriesRelatedInstances": "Instances",
    "SeriesInstanceUID": "Series Instance UID",
    "InstanceNumber": "No.",
    "SOPClassUID": "SOP Class",
    "SOPInstanceUID": "SOP Instance UID",
}
_FORMULA = re.compile(r"[=+\-@]")
_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?")


class Printer(Protocol):
    """One format."""

    def print(self, answer: Dataset) -> None:
        """Print a match."""

    def end(self) -> None:
        """There are no more: print what was held back, and what closes the output."""


def printer(format: Format, level: str, columns: Sequence[str], stream: TextIO | None = None) -> Printer:
    """The printer of a format.

    Args:
        format: its name.
        level: patient, study, series or image: decides on the columns of a table.
        columns: keywords of all keys asked for: the columns of CSV.
        stream: where to; None is standard output.
    """
    stream = sys.stdout if stream is None else stream
    if format == "json":
        return JSONPrinter(stream)
    if format == "csv":
        return CSVPrinter(stream, columns)
    shown = table_columns(level, columns)
    if format == "compact":
        return CompactPrinter(stream, shown)
    return TerminalTable(stream, shown) if stream.isatty() else PlainTable(stream, shown)


def table_columns(level: str, columns: Sequence[str]) -> tuple[str, ...]:
    """What a table shows of the keys asked for: those of the level, and the ones that only the caller asked for."""
    usual = _TABLE_COLUMNS[level]
    known = {each for some in _TABLE_COLUMNS.values() for each in some} | _SELDOM
    return (*(each for each in usual if each in columns), *(each for each in columns if each not in known))


_SELDOM = frozenset(
    {"StudyTime", "ReferringPhysicianName", "StudyID", "NumberOfStudyRelatedSeries", "BodyPartExamined"}
)
"""Asked for at each query and left out of tables, for they are wide enough."""


def text_of(answer: Dataset, column: str) -> str:
    """A value as one line of printable text; several are joined by backslashes, items are DICOM JSON."""
    tag = tag_for_keyword(column)
    element = answer.get(Tag(int(column, 16) if tag is None else tag))
    if not isinstance(element, DataElement) or element.value is None:
        return ""
    if element.VR == "SQ":
        return _escaped(json.dumps([_json(item) for item in element.value], ensure_ascii=False))
    value = element.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, MultiValue)):
        return printable("\\".join(str(each) for each in value))
    return printable(str(value))


class JSONPrinter:
    """An array of the DICOM JSON Model (PS3.18 F), one match on a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._separator = "[\n"

    def print(self, answer: Dataset) -> None:
        """Print a match; the comma behind it comes with the next one."""
        text = json.dumps(_json(answer), ensure_ascii=False)
        self._stream.write(self._separator + _escaped(text))
        self._stream.flush()
        self._separator = ",\n"

    def end(self) -> None:
        """Close the array, be it empty."""
        self._stream.write("[]\n" if self._separator == "[\n" else "\n]\n")
        self._stream.flush()


class CSVPrinter:
    """RFC 4180 with a header row; what a spreadsheet would take for a formula has an apostrophe before it."""

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._stream = stream
        self._columns = columns
        self._write(columns)

    def print(self, answer: Dataset) -> None:
        """Print a match."""
        self._write([harmless(text_of(answer, column)) for column in self._columns])

    def end(self) -> None:
        """Nothing is held back."""

    def _write(self, row: Sequence[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        self._stream.write(line.getvalue())
        self._stream.flush()


class CompactPrinter:
    """One match on a line, its values separated by bars; a bar in a value has a backslash before it."""

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._stream = stream
        self._columns = columns

    def print(self, answer: Dataset) -> None:
        """Print a match."""
        values = (text_of(answer, column).replace("|", "\\|") for column in self._columns)
        self._stream.write("|".join(values) + "\n")
        self._stream.flush()

    def end(self) -> None:
        """Nothing is held back."""


class _Table:
    """Rows in portions, so that as little is held back as decides on the widths."""

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._stream = stream
        self._columns = columns
        self._rows: list[list[str]] = []
        self._portions = 0

    def print(self, answer: Dataset) -> None:
        """Take a match; printed with the others of its portion."""
        self._rows.append([_cell(answer, column) for column in self._columns])
        if len(self._rows) == _ROWS:
            self._flush()

    def end(self) -> None:
        """Print what is left."""
        if self._rows:
            self._flush()

    def _flush(self) -> None:
        self._print_rows(self._rows)
        self._stream.flush()
        self._rows = []
        self._portions += 1

    def _print_rows(self, rows: list[list[str]]) -> None:
        raise NotImplementedError


class PlainTable(_Table):
    """Aligned text for a pipe: no lines, no colours, and the widths of the first rows throughout."""

    _widths: Sequence[int] = ()

    def _print_rows(self, rows: list[list[str]]) -> None:
        from rich.cells import cell_len

        if not self._portions:
            headings = [_heading(column) for column in self._columns]
            self._widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
            rows = [headings, *rows]
        for row in rows:
            padded = (
                text + " " * (width - cell_len(text)) for text, width in zip(row, self._widths, strict=True)
            )
            self._stream.write("  ".join(padded).rstrip() + "\n")


class TerminalTable(_Table):
    """A table by rich, with the portions below each other; UIDs are never cut, to be copied."""

    def _print_rows(self, rows: list[list[str]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, show_header=not self._portions, pad_edge=False)
        for column in self._columns:
            is_uid = column.endswith("InstanceUID")
            is_number = column.startswith("Number") or column in (
                "Rows",
                "Columns",
                "InstanceNumber",
                "SeriesNumber",
            )
            table.add_column(
                _heading(column),
                justify="right" if is_number else "left",
                overflow="fold" if is_uid else "ellipsis",
                min_width=16 if is_uid else None,
                no_wrap=not is_uid,
            )
        for row in rows:
            table.add_row(*(Text(text) for text in row))
        Console(file=self._stream, highlight=False, emoji=False).print(table)


def harmless(text: str) -> str:
    """A cell of CSV that no spreadsheet takes for a formula."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _heading(column: str) -> str:
    return _HEADINGS.get(column, column)


def _cell(answer: Dataset, column: str) -> str:
    """A value for a person: names of SOP classes instead of their UIDs."""
    text = text_of(answer, column)
    return printable(name_of(text)) if column == "SOPClassUID" and text else text.replace("\\", ", ")


def _json(answer: Dataset) -> object:
    """The DICOM JSON Model; without an element whose value it cannot have, and without the character set the text
    had (PS3.18 F.2)."""
    model = answer.to_json_dict(suppress_invalid_tags=True)
    model.pop("00080005", None)
    return model


def _escaped(text: str) -> str:
    """JSON whose unprintable characters are escapes of JSON."""
    if printable(text) == text:
        return text
    return "".join(each if printable(each) == each else f"\\u{ord(each):04x}" for each in text)
