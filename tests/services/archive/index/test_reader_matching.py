"""The tables of matching, through the index: what is stored is asked for in SQL and matched again, as a server does.

Each row's stored value is kept in every attribute of its VR that the index has, so that columns in normal form, lists
and `attributes` are all asked; a key finds exactly the stored values that the matcher alone finds.
"""

import asyncio
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from index_samples import Sample
from matching_tables import EMPTY, FUZZY, PLAIN
from services.archive.index.reader import IndexReader
from services.archive.index.writer import IndexWriter
from services.query.matching import matcher
from services.query.options import Options

STUDY_UID = 0x0020000D
ATTRIBUTES: dict[str, dict[int, str]] = {
    "LO": {0x00100020: "PATIENT", 0x00081030: "STUDY"},
    "SH": {0x00080050: "STUDY", 0x00081010: "SERIES"},
    "CS": {0x00080060: "SERIES", 0x00180015: "SERIES", 0x00080008: "IMAGE"},
    "AS": {0x00101010: "STUDY"},
    "LT": {0x00104000: "PATIENT"},
    "IS": {0x00200011: "SERIES", 0x00200012: "IMAGE"},
    "DS": {0x00101030: "STUDY"},
    "US": {0x00280010: "IMAGE"},
    "UI": {0x00200052: "SERIES"},
    "DA": {0x00080020: "STUDY", 0x00080021: "SERIES"},
    "TM": {0x00080030: "STUDY", 0x00080031: "SERIES"},
    "DT": {0x0008002A: "IMAGE"},
    "PN": {0x00100010: "PATIENT", 0x00081070: "SERIES"},
}
"""By VR, those attributes in which any value is kept."""

IN_COLUMNS = {0x00100020, 0x00080050, 0x00080060, 0x00200011, 0x00080020, 0x00080030, 0x00100010}
"""One value each: what has several, which they may not, is found by its first."""

Row = tuple[str, str, str, bool]


def stored_as(vr: str, value: str) -> bytes:
    return struct.pack("<H", int(value)) if vr == "US" and value else value.encode()


def instances_of(values: Sequence[tuple[str, str]]) -> Iterator[Sample]:
    """One study for each VR and value."""
    for number, (vr, value) in enumerate(values):
        raw = {0x00080005: b"ISO_IR 192"} | {tag: stored_as(vr, value) for tag in ATTRIBUTES[vr]}
        yield Sample(f"1.1.{number}/1.2.{number}/1.3.{number}.dcm", raw)


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (PLAIN, Options()),
        (EMPTY, Options(empty_values=True)),
        ([("PN", *row) for row in FUZZY], Options(fuzzy=True)),
    ],
    ids=["plain", "empty", "fuzzy"],
)
def test_a_key_finds_what_matches_it(database: Any, table: list[Row], options: Options) -> None:
    rows = [row for row in table if row[0] in ATTRIBUTES]
    values = list(dict.fromkeys((vr, stored) for vr, stored, _, _ in rows))
    writer = IndexWriter(database)
    writer.record(list(instances_of(values)))
    writer.close()
    uids = {f"1.1.{number}": value for number, value in enumerate(values)}
    reader = IndexReader(database)
    try:
        wrong = asyncio.run(_asked(reader, rows, uids, options))
    finally:
        reader.close()
    assert wrong == []


async def _asked(
    reader: IndexReader, rows: list[Row], uids: dict[str, tuple[str, str]], options: Options
) -> list[Any]:
    wrong: list[Any] = []
    for vr, key in dict.fromkeys((vr, key) for vr, _, key, _ in rows):
        expected = {stored: yes for of, stored, what, yes in rows if (of, what) == (vr, key)}
        for tag in ATTRIBUTES[vr]:
            found = await _found(reader, tag, vr, key, options)
            for uid, (of, stored) in uids.items():
                if of != vr or (tag in IN_COLUMNS and "\\" in stored):
                    continue
                right = expected.get(stored, matcher(vr, key, options).matches(stored))
                if (uid in found) is not right:
                    wrong.append((f"{tag:08X}", stored, key, "found" if uid in found else "not found"))
    return wrong


async def _found(reader: IndexReader, tag: int, vr: str, key: str, options: Options) -> set[str]:
    """The studies that a key finds, at the level of instances, so that every level is joined."""
    asked = matcher(vr, key, options)
    found = set()
    async for page in reader.search("IMAGE", {tag: asked.describe()}, (tag, STUDY_UID)):
        for record in page:
            value = record.get(f"{tag:08X}", "")
            assert isinstance(value, str)
            if asked.matches(value):
                found.add(record["0020000D"])
    return found


def test_lists_of_a_study(database: Any) -> None:
    """ModalitiesInStudy and SOPClassesInStudy: each value for itself."""
    series = [("1", "CT"), ("2", "MR"), ("3", "C_"), ("4", "C%T")]
    writer = IndexWriter(database)
    for study, numbers in (("1.1", "12"), ("1.2", "1"), ("1.3", "34"), ("1.4", "")):
        chosen = [each for each in series if each[0] in numbers] or [("9", "")]
        for number, modality in chosen:
            place = f"{study}/{study}.{number}/{study}.{number}.1.dcm"
            writer.record([Sample(place, {0x00080060: modality.encode()}, f"1.9.{number}")])
    writer.close()
    table = [
        (0x00080061, "CS", "CT", {"1.1", "1.2"}),
        (0x00080061, "CS", "MR", {"1.1"}),
        (0x00080061, "CS", "C", set()),
        (0x00080061, "CS", "ct", set()),
        (0x00080061, "CS", "C?", {"1.1", "1.2", "1.3"}),
        (0x00080061, "CS", "C_", {"1.3"}),
        (0x00080061, "CS", "C%T", {"1.3"}),
        (0x00080061, "CS", "*T", {"1.1", "1.2", "1.3"}),
        (0x00080061, "CS", "MR\\C_", {"1.1", "1.3"}),
        (0x00080061, "CS", '""', {"1.4"}),
        (0x00080061, "CS", "", {"1.1", "1.2", "1.3", "1.4"}),
        (0x00080062, "UI", "1.9.2", {"1.1"}),
        (0x00080062, "UI", "1.9", set()),
        (0x00080062, "UI", "1.9.1\\1.9.9", {"1.1", "1.2", "1.4"}),
        (0x00080062, "UI", "\\".join(f"1.9.{number}" for number in range(2, 60)), {"1.1", "1.3", "1.4"}),
    ]
    reader = IndexReader(database)

    async def ask() -> None:
        for tag, vr, key, expected in table:
            asked = matcher(vr, key, Options(empty_values=True))
            found = {
                record["0020000D"]
                async for page in reader.search("STUDY", {tag: asked.describe()}, (tag, STUDY_UID))
                for record in page
                if asked.matches(record[f"{tag:08X}"])
            }
            assert found == expected, key

    try:
        asyncio.run(ask())
    finally:
        reader.close()


HOSTILE = [
    "%",
    "_",
    "\\\\",
    "!",
    "!%",
    "'",
    "''; DROP TABLE patients; --",
    '"',
    "a%b",
    "a_b",
    "%s",
    "%(x)s",
    ":x",
    "?1",
    "$1",
    "\x1b",
    "\U0010ffff",
    "\ud7ff",
    "\ue000",
    "x" * 600,
    "é" * 400,
]
"""Texts that mean something to databases, drivers or us."""


def test_texts_that_mean_something_elsewhere(database: Any) -> None:
    """Each stands for itself, alone, with wild cards around it, and where the others are stored as well."""
    tags = {0x00100020: "LO", 0x00081030: "LO", 0x00100010: "PN"}
    raw = [text.replace("\\", "") for text in HOSTILE]
    writer = IndexWriter(database)
    writer.record(
        [
            Sample(
                f"1.1.{number}/1.2.{number}/1.3.{number}.dcm",
                {0x00080005: b"ISO_IR 192"} | {tag: text[:500].encode() for tag in tags},
            )
            for number, text in enumerate(raw)
        ]
    )
    writer.close()
    stored = {f"1.1.{number}": text[:500].strip() for number, text in enumerate(raw)}
    reader = IndexReader(database)

    async def ask() -> None:
        for tag, vr in tags.items():
            for text in HOSTILE:
                for key in (text, f"{text[:400]}*", f"*{text[:400]}", f"*{text[:400]}*", f"?{text[:400]}"):
                    asked = matcher(vr, key)
                    found = await _found(reader, tag, vr, key, Options())
                    assert found == {uid for uid, value in stored.items() if asked.matches(value)}, key

    try:
        asyncio.run(ask())
    finally:
        reader.close()


@pytest.mark.parametrize("text", ["\0", "\0*", "*\0?", "\ud800", "\udfff*"])
def test_texts_that_no_database_takes(database: Any, text: str) -> None:
    """Nothing stored can have them: nothing is found, and nothing fails."""
    writer = IndexWriter(database)
    writer.record([Sample("1.1/1.2/1.3.dcm", {0x00100020: b"A", 0x00100010: b"A", 0x00081030: b"A"})])
    writer.close()
    reader = IndexReader(database)

    async def ask() -> None:
        for tag, vr in {0x00100020: "LO", 0x00081030: "LO", 0x00100010: "PN"}.items():
            for key in (f"x{text}x", f"x{text}x\\y{text}y", f"x{text}x*", f"*x{text}x"):
                assert not await _found(reader, tag, vr, key, Options())

    try:
        asyncio.run(ask())
    finally:
        reader.close()
