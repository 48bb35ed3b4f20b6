"""The files of an archive are found, and read in their order."""

from pathlib import Path

from archive_samples import data_set, store_one
from services.archive.maintenance.walk import Problem, Reader, files_of, study_uids
from services.archive.rescan import Rescanned


def test_only_the_studies_of_a_data_directory_are_looked_into(tmp_path: Path) -> None:
    store_one(tmp_path, data_set())
    (tmp_path / "notes").mkdir()
    (tmp_path / "1.2.9").touch()
    assert study_uids(tmp_path) == ["1.2.3"]


def test_names_that_are_none_of_the_archives_are_told(tmp_path: Path) -> None:
    path = store_one(tmp_path, data_set()).path
    series = (tmp_path / path).parent
    for name in ("a.dcm", "1.2.dcm.part", "1..2.dcm"):
        (series / name).touch()
    (tmp_path / "1.2.3/extra").mkdir()
    (tmp_path / "1.2.3/1.9").touch()
    told: list[Problem] = []
    assert list(files_of(tmp_path, "1.2.3", told.append)) == [path]
    assert {problem.path for problem in told} == {
        "1.2.3/1.2.3.4/a.dcm",
        "1.2.3/1.2.3.4/1.2.dcm.part",
        "1.2.3/1.2.3.4/1..2.dcm",
        "1.2.3/extra",
        "1.2.3/1.9",
    }


def test_a_study_without_a_directory_has_no_files(tmp_path: Path) -> None:
    told: list[Problem] = []
    assert list(files_of(tmp_path, "1.2.3", told.append)) == told == []


def test_results_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    store_one(tmp_path, data_set())
    whole = (tmp_path / "1.2.3/1.2.3.4/1.2.3.4.5.dcm").read_bytes()
    names = [f"1.2.3/1.2.3.4/1.2.3.4.{number}.dcm" for number in range(5, 1005)]
    for name in names[1:]:
        (tmp_path / name).write_bytes(whole)  # damaged: it says that it is another one
    with Reader(tmp_path) as reader:
        results = [result for portion in reader.read(iter(names)) for result in portion]
    assert [result.path for result in results] == names
    assert isinstance(results[0], Rescanned)
    assert {result.text for result in results[1:] if isinstance(result, Problem)} == {
        f"by its UIDs it belongs at {names[0]}"
    }


def test_a_file_that_went_is_a_problem_and_no_end(tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        assert list(reader.read(["1/2/3.dcm"])) == [[Problem("1/2/3.dcm", "No such file or directory")]]
