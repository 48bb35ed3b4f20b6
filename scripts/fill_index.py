"""Fills an empty index with synthetic instances: a million in a minute or two, the same ones each time.

    .venv/bin/python scripts/fill_index.py 1000000 --data-dir ./data
    .venv/bin/python scripts/fill_index.py 1000000 --database-url postgresql://user@localhost/pacs

There are no files behind the rows. Patients come in a cycle of seven, with 1,000 instances in 12 studies: CTs with a
scout and several reconstructions, MRs, mammographies, ultrasound and plain films. What a row says is made by the same
code that makes the rows of stored images; only the insertion is another one, many rows at a time.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Table, bindparam, insert
from sqlalchemy.dialects import sqlite

from services.archive.errors import ArchiveError
from services.archive.index.database import Database
from services.archive.index.entry import Entry
from services.archive.index.index import Index
from services.archive.index.schema import LEVELS, instances, patients, series, studies
from services.archive.index.statements import list_item
from services.archive.paths import instance_path

_BATCH = 20_000
"""Instances of one transaction."""
_EXPLICIT_LE = "1.2.840.10008.1.2.1"
_STORED_AT = 1_767_225_600_000_000  # the first of 2026; a second later each time


@dataclass(frozen=True)
class _Shape:
    """A study: `counts` are the instances of its series, `pixels` rows and columns."""

    modality: str
    sop_class: str
    description: str
    body_part: str
    pixels: int
    counts: tuple[int, ...]


_CT = "1.2.840.10008.5.1.4.1.1.2"
_MR = "1.2.840.10008.5.1.4.1.1.4"
_THORAX = _Shape("CT", _CT, "CT Thorax", "CHEST", 512, (2, 60, 90, 130))
_FOLLOW_UP = _Shape("CT", _CT, "CT Abdomen", "ABDOMEN", 512, (2, 80, 188))
_HEAD = _Shape("MR", _MR, "MR Schädel", "HEAD", 256, (3, 24, 24, 24, 48, 160))
_KNEE = _Shape("MR", _MR, "MR Knie", "KNEE", 320, (3, 22, 22, 26))
_CHEST = _Shape("DX", "1.2.840.10008.5.1.4.1.1.1.1", "Thorax in 2 Ebenen", "CHEST", 2048, (1, 1))
_BREAST = _Shape("MG", "1.2.840.10008.5.1.4.1.1.1.2", "Mammographie", "BREAST", 3328, (2, 2))
_LIVER = _Shape("US", "1.2.840.10008.5.1.4.1.1.6.1", "Sonographie Abdomen", "ABDOMEN", 768, (38,))
_HAND = _Shape("CR", "1.2.840.10008.5.1.4.1.1.1", "Hand", "HAND", 1760, (2, 2))

CYCLE = (
    (_THORAX, _CHEST),
    (_CHEST, _CHEST),
    (_HEAD,),
    (_BREAST, _LIVER),
    (_HAND,),
    (_KNEE, _LIVER, _CHEST),
    (_FOLLOW_UP,),
)
"""The studies of seven patients, of which there is the next seven after that."""

IN_CYCLE = sum(count for shapes in CYCLE for shape in shapes for count in shape.counts)
"""Instances of one cycle."""

_FAMILIES = ("Müller", "García", "Nguyễn", "Kowalska", "Øberg", "Smith", "Иванова", "Παπαδόπουλος", "Yılmaz")
_GIVEN = ("Anna", "Ben", "Clara", "David", "Elif", "Fatima", "Georg", "Olga", "Tomás", "Wen", "Zoë")
_IDEOGRAPHIC = (
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "Hong^Gildong=洪^吉洞=홍^길동",
    "Wang^XiaoDong=王^小東",
)
_PHYSICIANS = ("Weber^Ute^^Dr.", "Brown^Alice^^MD", "Kim^Minjun", "Rossi^Carla")


def uid(level: str, number: int) -> str:
    """The UID of the study, series or instance of that number: scattered, as those of real devices are."""
    return f"2.25.{int.from_bytes(sha256(f'{level} {number}'.encode()).digest()[:16])}"


def patient_id(number: int) -> str:
    """The Patient ID of the patient of that number, from 0."""
    return f"SYN{number:08d}"


@dataclass
class Synthetic:
    """An instance as the index is told of it (`index.entry.Indexable`)."""

    path: str
    sop_class_uid: str
    values: Mapping[int, bytes]
    size: int
    transfer_syntax_uid: str = _EXPLICIT_LE
    data_set_offset: int = 1024


@dataclass
class _Rows:
    """Rows on their way, by table, in the order of the columns."""

    of: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {t.name: [] for t in LEVELS})

    def add(self, table: Table, row: Mapping[str, Any]) -> None:
        self.of[table.name].append(tuple(row[column.name] for column in table.columns))


class _Numbers:
    """How many rows there are of each table, which are their ids too."""

    def __init__(self) -> None:
        self.last = dict.fromkeys((table.name for table in LEVELS), 0)

    def next(self, table: Table) -> int:
        self.last[table.name] += 1
        return self.last[table.name]


def fill(database: Database, number: int, told: Callable[[int], None] = lambda _: None) -> None:
    """Insert so many instances, and the patients, studies and series above them. Blocks.

    Args:
        database: with our tables, which are empty.
        number: of instances; of the last patient only some are there where it is no multiple of `IN_CYCLE`.
        told: how many there are by now, now and then.

    Raises:
        ValueError: there are rows already.
    """
    with database.engine.connect() as connection:
        if connection.execute(patients.select().limit(1)).first() is not None:
            raise ValueError(f"the index in {database.name} is not empty: name another one")
    connection = database.connect_writer()
    try:
        put = _put_sqlite if database.is_sqlite else _copy_postgresql
        done = 0
        for rows in _batches(number):
            put(connection, rows)
            done += len(rows.of[instances.name])
            told(done)
        if not database.is_sqlite:
            _settle_postgresql(connection)
    finally:
        connection.close()


def _batches(number: int) -> Iterator[_Rows]:
    rows, numbers, patient = _Rows(), _Numbers(), 0
    while number > 0:
        number -= _patient(patient, number, numbers, rows)
        patient += 1
        if len(rows.of[instances.name]) >= _BATCH or number <= 0:
            yield rows
            rows = _Rows()


def _patient(number: int, most: int, numbers: _Numbers, rows: _Rows) -> int:
    """Add a patient with at most so many instances; returns how many they are."""
    shapes = _cut(CYCLE[number % len(CYCLE)], most)
    patient = numbers.next(patients)
    said = _said_of_patient(number)
    first: Entry | None = None
    total = 0
    for position, shape in enumerate(shapes):
        study = numbers.next(studies)
        of_study = said | _said_of_study(study, number, position, shape)
        entries = _series_of_study(study, of_study, shape, numbers, rows)
        total += sum(shape.counts)
        first = first or entries
        row = {
            "id": study,
            "patient": patient,
            **entries.study(),
            "modalities": "\\" + list_item(shape.modality),
            "sop_classes": "\\" + list_item(shape.sop_class),
            "number_of_series": len(shape.counts),
        }
        rows.add(studies, row)
    assert first is not None
    count = {"number_of_studies": len(shapes), "number_of_series": sum(len(s.counts) for s in shapes)}
    rows.add(patients, {"id": patient, **first.patient(), **count})
    return total


def _cut(shapes: Sequence[_Shape], most: int) -> list[_Shape]:
    """The first studies and series that have no more than so many instances together, the last one shortened."""
    left, kept = most, []
    for shape in shapes:
        counts = []
        for count in shape.counts:
            counts += [min(count, left)] if left else []
            left -= min(count, left)
        if counts:
            kept.append(_Shape(**{**vars(shape), "counts": tuple(counts)}))
    return kept


def _series_of_study(
    study: int, said: Mapping[int, bytes], shape: _Shape, numbers: _Numbers, rows: _Rows
) -> Entry:
    """Add the series of a study and their instances; returns the entry of the first one."""
    entries = []
    study_uid = uid("study", study)
    for position, count in enumerate(shape.counts, 1):
        row_id = numbers.next(series)
        series_uid = uid("series", row_id)
        of_series = {**said, **_said_of_series(row_id, position, shape, series_uid)}
        for place in range(1, count + 1):
            instance = numbers.next(instances)
            instance_uid = uid("instance", instance)
            source = Synthetic(
                instance_path(study_uid, series_uid, instance_uid),
                shape.sop_class,
                {**of_series, 0x00080018: instance_uid.encode(), 0x00200013: b"%d" % place},
                2 * shape.pixels * shape.pixels + 6000,
            )
            entry = Entry.of(source)
            if place == 1:
                entries.append(entry)
                rows.add(
                    series, {"id": row_id, "study": study, **entry.series(), "number_of_instances": count}
                )
            *columns, attributes = entry.instance()
            stored_at = _STORED_AT + 1_000_000 * instance
            rows.of[instances.name].append((instance, row_id, *columns, stored_at, attributes))
    return entries[0]


# -- what the data sets would say


def _said_of_patient(number: int) -> dict[int, bytes]:
    if number % 29 == 28:
        name = _IDEOGRAPHIC[number // 29 % len(_IDEOGRAPHIC)]
    else:
        name = f"{_pick(_FAMILIES, number)}^{_pick(_GIVEN, number // 7)}"
    return _encoded(
        {
            0x00080005: "ISO_IR 192",
            0x00100010: name,
            0x00100020: patient_id(number),
            0x00100021: "SYNTHETIC",
            0x00100030: _date(1930 + number % 85, number),
            0x00100040: "FM"[number % 2],
        }
    )


def _said_of_study(study: int, patient: int, position: int, shape: _Shape) -> dict[int, bytes]:
    date = _date(2016 + (patient + position) % 10, patient * 5 + position)
    time = f"{7 + study % 11:02d}{study % 60:02d}{study * 7 % 60:02d}"
    return _encoded(
        {
            0x00080020: date,
            0x00080030: time,
            0x00080050: f"A{study:09d}",
            0x00080090: _pick(_PHYSICIANS, study),
            0x00081030: shape.description,
            0x00101010: f"{(patient * 3) % 90:03d}Y",
            0x0020000D: uid("study", study),
            0x00200010: f"S{study:08d}",
            # and of all series and images below
            0x00080008: "ORIGINAL\\PRIMARY\\AXIAL",
            0x00080012: date,
            0x00080013: time,
            0x00080016: shape.sop_class,
            0x00080021: date,
            0x00080022: date,
            0x00080023: date,
            0x00080031: time,
            0x00080032: time,
            0x00080033: time,
            0x00080060: shape.modality,
            0x00080070: "Synthetic Devices",
            0x00080080: "Klinikum Süd",
            0x00081010: f"{shape.modality}{study % 4 + 1}",
            0x00081090: f"Model {shape.modality}",
            0x00180015: shape.body_part,
            0x00280004: "MONOCHROME2",
            0x00400244: date,
            0x00400245: time,
            0x00400253: f"P{study:08d}",
        }
    ) | {
        0x00280002: (1).to_bytes(2, "little"),
        0x00280010: shape.pixels.to_bytes(2, "little"),
        0x00280011: shape.pixels.to_bytes(2, "little"),
        0x00280100: (16).to_bytes(2, "little"),
    }


def _said_of_series(row_id: int, position: int, shape: _Shape, series_uid: str) -> dict[int, bytes]:
    return _encoded(
        {
            0x0008103E: f"{shape.description} Serie {position}",
            0x00181030: f"{shape.body_part} {position}",
            0x00185100: "HFS",
            0x0020000E: series_uid,
            0x00200011: str(position),
            0x00200012: str(position),
            0x00200052: uid("frame of reference", row_id),
        }
    )


def _encoded(values: Mapping[int, str]) -> dict[int, bytes]:
    return {tag: value.encode() for tag, value in values.items()}


def _pick(values: Sequence[str], number: int) -> str:
    return values[number * 2654435761 % (1 << 32) * len(values) >> 32]


def _date(year: int, number: int) -> str:
    return f"{year}{number * 7 % 12 + 1:02d}{number * 11 % 28 + 1:02d}"


# -- how rows come into a database


def _put_sqlite(connection: Any, rows: _Rows) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table in LEVELS:
        statement = insert(table).values({column: bindparam(column.name) for column in table.columns})
        connection.executemany(str(statement.compile(dialect=sqlite.dialect())), rows.of[table.name])
    connection.execute("COMMIT")


def _copy_postgresql(connection: Any, rows: _Rows) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        for table in LEVELS:
            columns = ", ".join(column.name for column in table.columns)
            with cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
                for row in rows.of[table.name]:
                    copy.write_row(row)


def _settle_postgresql(connection: Any) -> None:
    """Have ids go on behind ours, and the planner know the tables, as it would after a while by itself."""
    connection.execute("SET statement_timeout = 0")
    for table in LEVELS:
        connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), (SELECT max(id) FROM {table.name}))"
        )
        connection.execute(f"VACUUM ANALYZE {table.name}")


# -- the command


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere; yields what it is told with."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("number", type=_positive, metavar="N", help="instances")
    parser.add_argument(
        "--data-dir", type=Path, default=Path("data"), help="where index.db is made (default ./data)"
    )
    parser.add_argument(
        "--database-url", default="", metavar="URL", help="sqlite:///FILE or postgresql://user@host/name"
    )
    options = parser.parse_args()
    if not options.database_url:
        options.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        index = Index.open(options.database_url, options.data_dir, durability="process")
    except ArchiveError as error:
        sys.exit(str(error))
    try:
        with progress(options.number, "filling the index") as told:
            fill(index.database, options.number, told)
        counts = ", ".join(f"{count:,} {name}" for name, count in index.counts().items())
        print(f"{index.database.name}: {counts}")
    except ValueError as error:
        sys.exit(str(error))
    finally:
        index.close()
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return number


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
