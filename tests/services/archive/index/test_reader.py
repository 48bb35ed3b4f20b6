"""Reading the index: levels, records, pages, instances to be retrieved, threads; on both databases."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from index_samples import EXPLICIT_BE, Sample, sample
from loops import LoopFactory, run
from services.archive.index.reader import PAGE, IndexReader, Record, StoredInstance
from services.archive.index.writer import IndexWriter
from services.conditions import Always, AnyOf, Between, Described, Equals, Form, Like, OneOf

PATIENT_NAME, PATIENT_ID, BIRTH_DATE = 0x00100010, 0x00100020, 0x00100030
STUDY_UID, STUDY_DATE, STUDY_DESCRIPTION = 0x0020000D, 0x00080020, 0x00081030
SERIES_UID, MODALITY, REQUEST_ATTRIBUTES = 0x0020000E, 0x00080060, 0x00400275
SOP_UID, SOP_CLASS, INSTANCE_NUMBER, ROWS = 0x00080018, 0x00080016, 0x00200013, 0x00280010
MODALITIES, SOP_CLASSES = 0x00080061, 0x00080062
MR = "1.2.840.10008.5.1.4.1.1.4"

T = TypeVar("T")


def write(database: Any, instances: Sequence[Sample]) -> None:
    writer = IndexWriter(database)
    for at in range(0, len(instances), 500):
        writer.record(instances[at : at + 500])
    writer.close()


def reading(
    database: Any, work: Callable[[IndexReader], Coroutine[Any, Any, T]], factory: LoopFactory | None = None
) -> T:
    reader = IndexReader(database)
    try:
        return run(work(reader), factory or asyncio.new_event_loop)
    finally:
        reader.close()


def search(database: Any, level: str, conditions: dict[int, Described], *tags: int) -> list[Record]:
    async def work(reader: IndexReader) -> list[Record]:
        return [record async for page in reader.search(level, conditions, tags) for record in page]

    return reading(database, work)


def equal(value: str) -> Described:
    return Described(Equals(value))


def few() -> list[Sample]:
    """Two patients; the first has a study of two series, CT with two instances and MR with one, and another study."""
    doe: dict[str, Any] = {"PatientName": "Doe^John", "PatientID": "1", "PatientBirthDate": "19700102"}
    a = doe | {"StudyDate": "2024.01.02", "StudyTime": "0830", "StudyDescription": "First"}
    return [
        sample("1.1.1.1", "1.1.1", "1.1", **a, Modality="CT", InstanceNumber="1"),
        sample("1.1.1.2", "1.1.1", "1.1", **a, Modality="CT", InstanceNumber="2"),
        sample("1.1.2.1", "1.1.2", "1.1", sop_class=MR, **a, Modality="MR", InstanceNumber="1"),
        sample("1.2.1.1", "1.2.1", "1.2", **doe, StudyDate="20240303", Modality="CT"),
        sample("1.3.1.1", "1.3.1", "1.3", PatientName="Roe^Jane", PatientID="2", Modality="US"),
    ]


COUNTS = (0x00201200, 0x00201202, 0x00201204, 0x00201206, 0x00201208, 0x00201209)


def test_each_level_has_its_rows(database: Any) -> None:
    write(database, few())
    assert [record["00100020"] for record in search(database, "PATIENT", {}, PATIENT_ID)] == ["1", "2"]
    assert [record["0020000D"] for record in search(database, "STUDY", {}, STUDY_UID)] == [
        "1.1",
        "1.2",
        "1.3",
    ]
    assert [record["0020000E"] for record in search(database, "SERIES", {}, SERIES_UID)] == [
        "1.1.1",
        "1.1.2",
        "1.2.1",
        "1.3.1",
    ]
    assert len(search(database, "IMAGE", {}, SOP_UID)) == 5


def test_a_record_has_the_attributes_of_its_level_and_of_those_above(database: Any) -> None:
    write(database, few())
    tags = (PATIENT_NAME, PATIENT_ID, STUDY_UID, STUDY_DATE, STUDY_DESCRIPTION, MODALITY, SOP_UID, SOP_CLASS)
    (record,) = search(
        database, "IMAGE", {SOP_UID: equal("1.1.2.1")}, *tags, MODALITIES, SOP_CLASSES, *COUNTS
    )
    assert (
        record.items()
        >= {
            "00100010": "Doe^John",
            "00100020": "1",
            "0020000D": "1.1",
            "00080020": "2024.01.02",
            "00081030": "First",
            "00080060": "MR",
            "00080018": "1.1.2.1",
            "00080016": MR,
            "00080061": "CT\\MR",
            "00080062": f"{few()[0].sop_class_uid}\\{MR}",
            "00201200": "2",
            "00201202": "3",
            "00201204": "4",
            "00201206": "2",
            "00201208": "3",
            "00201209": "1",
        }.items()
    )


def test_what_has_no_value_is_left_out_or_empty(database: Any) -> None:
    write(database, [sample("1.3")])
    (record,) = search(database, "IMAGE", {}, PATIENT_NAME, PATIENT_ID, STUDY_DATE, REQUEST_ATTRIBUTES, ROWS)
    assert not any(value for value in record.values())


def test_a_study_says_itself_whose_it_is(database: Any) -> None:
    """A name after a marriage: the patient is the one of the first study, each study as its images have it."""
    before, after = ({"PatientID": "1", "PatientName": name} for name in ("Doe^Jane", "Roe^Jane"))
    write(database, [sample("1.1.1.1", "1.1.1", "1.1", **before), sample("1.2.1.1", "1.2.1", "1.2", **after)])
    roe = {PATIENT_NAME: Described(Like("roe%"), form=Form.NAME)}
    assert search(database, "PATIENT", roe, PATIENT_NAME) == []
    for level in ("STUDY", "SERIES", "IMAGE"):
        (record,) = search(database, level, roe, PATIENT_NAME, STUDY_UID)
        assert (record["00100010"], record["0020000D"]) == ("Roe^Jane", "1.2")


def test_an_identifier_without_tags_finds_all_the_same(database: Any) -> None:
    write(database, few())
    assert len(search(database, "STUDY", {})) == 3


def test_items_of_a_sequence(database: Any) -> None:
    item = bytes.fromhex("feff00e0 10000000 40000700 5348 0400") + b"STEP" + b""
    write(database, [Sample("1.1/1.2/1.3.dcm", {REQUEST_ATTRIBUTES: item[:4] + b"\x0c\0\0\0" + item[8:]})])
    (record,) = search(
        database, "SERIES", {REQUEST_ATTRIBUTES: Described(Always(), False)}, REQUEST_ATTRIBUTES
    )
    assert record["00400275"] == [{"00400007": "STEP"}]


CONDITIONS = [
    ("PATIENT", {PATIENT_NAME: Described(Equals("doe^john"), form=Form.NAME)}, 1),
    ("PATIENT", {PATIENT_NAME: Described(Like("%oe^j%"), form=Form.NAME)}, 2),
    ("STUDY", {PATIENT_NAME: Described(Like("doe%"), form=Form.NAME)}, 2),
    ("STUDY", {STUDY_DATE: Described(Between("20240101", "20240201"), form=Form.DATE)}, 1),
    ("STUDY", {STUDY_DATE: Described(Between(None, "20251231"), form=Form.DATE)}, 2),
    ("STUDY", {STUDY_DATE: Described(Between("20240201", None), form=Form.DATE)}, 1),
    ("STUDY", {STUDY_DATE: equal("")}, 1),
    ("STUDY", {STUDY_DATE: Described(Equals("20240102"), form=Form.DATE), PATIENT_ID: equal("1")}, 1),
    ("STUDY", {STUDY_DATE: Described(Equals("20240102"), form=Form.DATE), PATIENT_ID: equal("2")}, 0),
    ("STUDY", {STUDY_DESCRIPTION: Described(Like("F_rst"))}, 1),
    ("STUDY", {STUDY_UID: Described(OneOf(("1.1", "1.3", "1.1", "1.9")))}, 2),
    ("STUDY", {STUDY_UID: Described(OneOf(()))}, 0),
    ("STUDY", {MODALITIES: equal("MR")}, 1),
    ("STUDY", {PATIENT_ID: Described(AnyOf((Like("1%"), Equals("2"))))}, 3),
    ("STUDY", {PATIENT_ID: Described(AnyOf((Like("1%"), Always())), False)}, 3),
    ("SERIES", {STUDY_UID: equal("1.1"), MODALITY: equal("MR")}, 1),
    ("SERIES", {STUDY_UID: equal("1.2"), MODALITY: equal("MR")}, 0),
    ("IMAGE", {STUDY_UID: equal("1.1"), SERIES_UID: equal("1.1.1")}, 2),
    ("IMAGE", {STUDY_UID: equal("1.1"), SERIES_UID: equal("1.1.1"), INSTANCE_NUMBER: equal("2")}, 1),
    ("IMAGE", {SOP_CLASS: equal(MR)}, 1),
    ("IMAGE", {PATIENT_ID: equal("1")}, 4),
    ("IMAGE", {COUNTS[0]: equal("2")}, 5),
]


@pytest.mark.parametrize(("level", "conditions", "count"), CONDITIONS)
def test_conditions(database: Any, level: str, conditions: dict[int, Described], count: int) -> None:
    write(database, few())
    assert len(search(database, level, conditions, PATIENT_ID)) == count


def many(count: int) -> list[Sample]:
    """Studies of a patient each, one instance in each."""
    return [
        sample(
            f"1.9.{number}.3",
            f"1.9.{number}.2",
            f"1.9.{number}",
            PatientName=f"Doe{number:05}^John",
            PatientID=f"P{number}",
            StudyDate=f"2024{1 + number % 12:02}{1 + number % 28:02}",
            AccessionNumber="SAME",
        )
        for number in range(count)
    ]


MANY = 3 * PAGE + 77

PAGED: list[tuple[str, dict[int, Described]]] = [
    ("PATIENT", {}),
    ("STUDY", {}),
    ("STUDY", {0x00080050: equal("SAME")}),
    ("STUDY", {STUDY_DATE: Described(Between("20240101", "20241231"), form=Form.DATE)}),
    ("STUDY", {PATIENT_NAME: Described(Like("doe%"), form=Form.NAME)}),
    ("IMAGE", {PATIENT_NAME: Described(Like("doe%"), form=Form.NAME)}),
    ("STUDY", {PATIENT_NAME: Described(Like("%john"), form=Form.NAME)}),
    ("STUDY", {STUDY_UID: Described(OneOf(tuple(f"1.9.{number}" for number in range(-5, MANY))))}),
    (
        "SERIES",
        {
            STUDY_UID: Described(OneOf(tuple(f"1.9.{number}" for number in range(MANY)))),
            SERIES_UID: Described(OneOf(tuple(f"1.9.{number}.2" for number in range(MANY + 600)))),
        },
    ),
]


def test_pages(database: Any) -> None:
    """Every row once, in pages of at most 500, whichever way rows are found."""
    write(database, many(MANY))
    tags = {"PATIENT": PATIENT_ID, "STUDY": STUDY_UID, "SERIES": SERIES_UID, "IMAGE": SOP_UID}

    async def work(reader: IndexReader) -> None:
        for level, conditions in PAGED:
            tag = tags[level]
            pages = [page async for page in reader.search(level, conditions, [tag])]
            found = [record[f"{tag:08X}"] for page in pages for record in page]
            assert len(found) == len(set(found)) == MANY, (level, conditions)
            assert all(0 < len(page) <= PAGE for page in pages)

    reading(database, work)


def test_a_full_last_page(database: Any) -> None:
    write(database, many(PAGE))
    assert len(search(database, "STUDY", {}, STUDY_UID)) == PAGE


def test_a_search_that_is_given_up_leaves_nothing(database: Any, loop_factory: LoopFactory) -> None:
    write(database, many(2 * PAGE))

    async def work(reader: IndexReader) -> None:
        for _ in range(20):  # more often than there are threads
            pages = reader.search("STUDY", {}, [STUDY_UID])
            assert len(await anext(pages)) == PAGE
            await pages.aclose()
        task = asyncio.ensure_future(anext(reader.search("STUDY", {}, [STUDY_UID])))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert [len(page) async for page in reader.search("STUDY", {}, [STUDY_UID])] == [PAGE, PAGE]

    reading(database, work, loop_factory)


def test_what_is_stored_meanwhile_does_no_harm(database: Any) -> None:
    write(database, many(PAGE + 10))

    async def work(reader: IndexReader) -> None:
        pages = reader.search("STUDY", {}, [STUDY_UID])
        first = await anext(pages)
        await asyncio.to_thread(write, database, few())
        rest = [record async for page in pages for record in page]
        assert len(first) + len(rest) in (PAGE + 10, PAGE + 13)

    reading(database, work)


def test_many_questions_at_a_time(database: Any, loop_factory: LoopFactory) -> None:
    write(database, many(60))

    async def work(reader: IndexReader) -> None:
        async def one(number: int) -> int:
            condition = {STUDY_UID: equal(f"1.9.{number}")}
            return sum([len(page) async for page in reader.search("STUDY", condition, [STUDY_UID])])

        assert sum(await asyncio.gather(*(one(number) for number in range(80)))) == 60
        assert sum(name.name.startswith("index-reader") for name in threading.enumerate()) <= 4

    reading(database, work, loop_factory)


@pytest.mark.parametrize(
    ("level", "tags"),
    [("WORLD", ()), ("PATIENT", (STUDY_UID,)), ("STUDY", (0x7FE00010,)), ("SERIES", (ROWS,))],
)
def test_what_the_index_does_not_have_is_said(database: Any, level: str, tags: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"no level|no attribute"):
        search(database, level, {}, *tags)
    if tags:
        with pytest.raises(ValueError, match="no attribute"):
            search(database, level, {tags[0]: equal("1")})


# -- to be retrieved


def selected(
    database: Any,
    level: str,
    unique_keys: dict[int, Sequence[str]],
    needs: Sequence[tuple[str, str]] | None = None,
) -> list[StoredInstance]:
    async def work(reader: IndexReader) -> list[StoredInstance]:
        pages = [page async for page in reader.instances(level, unique_keys, needs)]
        assert all(0 < len(page) <= PAGE for page in pages)
        found = [each for page in pages for each in page]
        counts = await reader.needs(level, unique_keys)
        if needs is None:
            assert sum(counts.values()) == len(found)
        return found

    return reading(database, work)


def test_what_an_instance_to_be_retrieved_says(database: Any) -> None:
    write(database, [Sample("1.1/1.2/1.3.dcm", {}, MR, EXPLICIT_BE, 400, 12345)])
    expected = StoredInstance("1.1/1.2/1.3.dcm", MR, "1.3", EXPLICIT_BE, 400, 12345)
    assert selected(database, "STUDY", {STUDY_UID: ["1.1"]}) == [expected]
    assert selected(database, "IMAGE", {SOP_UID: ["1.3"]}) == [expected]


SELECTIONS: list[tuple[str, dict[int, Sequence[str]], list[str]]] = [
    ("PATIENT", {PATIENT_ID: ["1"]}, ["1.1.1.1", "1.1.1.2", "1.1.2.1", "1.2.1.1"]),
    ("PATIENT", {PATIENT_ID: ["3"]}, []),
    ("STUDY", {STUDY_UID: ["1.1", "1.3", "1.3"]}, ["1.1.1.1", "1.1.1.2", "1.1.2.1", "1.3.1.1"]),
    ("STUDY", {PATIENT_ID: ["2"], STUDY_UID: ["1.1", "1.3"]}, ["1.3.1.1"]),
    ("SERIES", {STUDY_UID: ["1.1"], SERIES_UID: ["1.1.2", "1.3.1"]}, ["1.1.2.1"]),
    (
        "IMAGE",
        {STUDY_UID: ["1.1"], SERIES_UID: ["1.1.1"], SOP_UID: ["1.1.1.2", "1.1.2.1", "9"]},
        ["1.1.1.2"],
    ),
    ("STUDY", {STUDY_UID: []}, []),
]


@pytest.mark.parametrize(("level", "unique_keys", "expected"), SELECTIONS)
def test_selections(
    database: Any, level: str, unique_keys: dict[int, Sequence[str]], expected: list[str]
) -> None:
    write(database, few())
    assert [each.sop_instance_uid for each in selected(database, level, unique_keys)] == expected


def test_needs(database: Any) -> None:
    instances = [*few(), Sample("1.1/1.1.1/1.1.1.3.dcm", {}, MR, EXPLICIT_BE)]
    write(database, instances)
    ct, explicit = few()[0].sop_class_uid, few()[0].transfer_syntax_uid

    async def work(reader: IndexReader) -> dict[tuple[str, str], int]:
        return await reader.needs("STUDY", {STUDY_UID: ["1.1", "1.2"]})

    assert reading(database, work) == {(ct, explicit): 3, (MR, explicit): 1, (MR, EXPLICIT_BE): 1}
    wanted = [(MR, EXPLICIT_BE), ("1.9", explicit)]
    only = selected(database, "STUDY", {STUDY_UID: ["1.1", "1.2"]}, wanted)
    assert [each.sop_instance_uid for each in only] == ["1.1.1.3"]
    assert selected(database, "STUDY", {STUDY_UID: ["1.1", "1.2"]}, []) == []


def test_tens_of_thousands_of_uids(database: Any) -> None:
    """Lists of any length, at every level; a large series among small ones, over several pages."""
    count, large = 2 * PAGE + 3, PAGE + 20
    instances = many(count)
    instances += [sample(f"1.8.1.{number}", "1.8.1", "1.8", PatientID="L") for number in range(large)]
    write(database, instances)
    studies = [f"1.9.{number}" for number in range(20_000)] + ["1.8"]
    assert len(selected(database, "STUDY", {STUDY_UID: studies})) == count + large
    named = [f"1.9.{number}.3" for number in range(20_000)]
    assert len(selected(database, "IMAGE", {SOP_UID: named})) == count
    whose = [f"P{number}" for number in range(5000)]
    assert len(selected(database, "PATIENT", {PATIENT_ID: whose})) == count


# -- failing


class Broken:
    """A database that is not there."""

    is_sqlite = True

    @property
    def engine(self) -> Any:
        raise sqlite3.OperationalError("unable to open database file")


def test_a_database_that_is_not_there() -> None:
    with pytest.raises(sqlite3.OperationalError):
        search(Broken(), "STUDY", {}, STUDY_UID)


def test_a_connection_that_was_lost_is_opened_again(database: Any) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has no server to lose")
    write(database, few())

    async def work(reader: IndexReader) -> None:
        for _ in range(3):
            assert [len(page) async for page in reader.search("STUDY", {}, [STUDY_UID])] == [3]
            with database.engine.connect() as other:
                other.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    reading(database, work)
