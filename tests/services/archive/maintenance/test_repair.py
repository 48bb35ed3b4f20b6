"""What can be mended without making anything worse is mended, the rest is left and named."""

from pathlib import Path

import pytest
from sqlalchemy import delete, update

from archive_samples import data_set, store_one
from services.archive.errors import NotRecordable
from services.archive.index.database import Database
from services.archive.index.schema import instances
from services.archive.index.writer import IndexWriter
from services.archive.maintenance.repair import repair
from services.archive.maintenance.verify import Finding, Kind, Verification

PATHS = [f"1.3.1/1.3.1.4/1.9.{number}.dcm" for number in range(4)]


@pytest.fixture
def root(tmp_path: Path, database: Database) -> Path:
    root = tmp_path / "data"
    writer = IndexWriter(database)
    for number in range(4):
        uid = f"1.9.{number}"
        store_one(root, data_set(uid, study="1.3.1", series="1.3.1.4"), uid, record=writer.record)
    writer.close()
    return root


def mend(root: Path, database: Database) -> tuple[int, list[tuple[Kind, str]]]:
    left: list[Finding] = []
    writer = IndexWriter(database)
    findings = list(Verification(root, database.engine, deep=True, patience=0).findings())
    mended = repair(root, findings, writer.record, on_left=left.append)
    writer.close()
    return mended, [(finding.kind, finding.path) for finding in left]


def test_rows_follow_their_files(root: Path, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(delete(instances).where(instances.c.sop_instance_uid == "1.9.0"))
        connection.execute(
            update(instances).where(instances.c.sop_instance_uid == "1.9.1").values(instance_number="7")
        )
        connection.execute(update(instances).where(instances.c.sop_instance_uid == "1.9.2").values(size=1))
    mended, left = mend(root, database)
    assert mended == 3
    assert {kind for kind, _ in left} <= {Kind.COUNTS}  # the row was deleted behind the back of its counts
    kinds = {
        finding.kind for finding in Verification(root, database.engine, deep=True, patience=0).findings()
    }
    assert kinds <= {Kind.COUNTS}


def test_a_row_whose_file_is_not_there_is_left(root: Path, database: Database) -> None:
    (root / PATHS[0]).unlink()
    assert mend(root, database) == (0, [(Kind.NO_FILE, PATHS[0])])


def test_a_file_that_was_cut_off_does_not_change_its_row(root: Path, database: Database) -> None:
    (root / PATHS[0]).write_bytes((root / PATHS[0]).read_bytes()[:-4])
    (root / PATHS[1]).write_bytes(b"")
    assert mend(root, database) == (0, [(Kind.DAMAGED, PATHS[0]), (Kind.DAMAGED, PATHS[1])])
    kinds = [finding.kind for finding in Verification(root, database.engine, patience=0).findings()]
    assert kinds == [Kind.SIZE, Kind.SIZE]


def test_a_second_file_of_one_uid_gets_no_row(root: Path, database: Database) -> None:
    other = store_one(root, data_set("1.9.0", study="1.3.0", series="1.3.0.4"), "1.9.0").path
    assert mend(root, database) == (0, [(Kind.NO_ROW, other)])
    assert (root / other).exists()


def test_what_the_index_refuses_is_left_and_named(root: Path) -> None:
    left: list[Finding] = []
    finding = Finding(Kind.NO_ROW, PATHS[0], "")
    mended = repair(
        root, [finding], lambda batch: [NotRecordable("it does not take that")], on_left=left.append
    )
    assert mended == 0
    assert left == [Finding(Kind.NO_ROW, PATHS[0], "it does not take that")]
