"""Requests for what is missing, and for nothing else."""

from services.cli.retrieve_inventory import Listed
from services.cli.retrieve_keys import MOST_AT_ONCE, Wanted
from services.cli.retrieve_tasks import Task, classes_of, first_tasks, listed_tasks, whole_series
from services.query.keys import Level


def instances(study: str, series: str, count: int, sop_class: str = "1.9") -> list[Listed]:
    return [Listed(study, series, f"{series}.{number}", sop_class) for number in range(count)]


def test_all_is_asked_for_in_one_request() -> None:
    listed = instances("1", "1.1", 3) + instances("1", "1.2", 2)
    assert first_tasks(Wanted("", "1"), listed, listed) == [Task(Wanted("", "1"), tuple(listed))]


def test_a_patient_study_by_study() -> None:
    listed = instances("1", "1.1", 3) + instances("2", "2.1", 2)
    tasks = first_tasks(Wanted("P"), listed, listed)
    assert [task.wanted for task in tasks] == [Wanted("P", "1"), Wanted("P", "2")]


def test_by_series_for_several_associations() -> None:
    listed = instances("1", "1.1", 3) + instances("1", "1.2", 2)
    tasks = first_tasks(Wanted("", "1"), listed, listed, by_series=True)
    assert [task.wanted.series_uids for task in tasks] == [("1.1",), ("1.2",)]


def test_a_part_is_asked_for_by_series_and_by_instance() -> None:
    first, second, third = instances("1", "1.1", 3), instances("1", "1.2", 2), instances("1", "1.3", 2)
    missing = [first[1], *second]
    tasks = first_tasks(Wanted("", "1"), first + second + third, missing)
    assert sorted((task.wanted.level.value, task.by_list) for task in tasks) == [
        ("IMAGE", True),
        ("SERIES", False),
    ]
    asked = {listed for task in tasks for listed in task.expected or ()}
    assert asked == set(missing)
    image = next(task for task in tasks if task.wanted.level is Level.IMAGE)
    assert image.wanted == Wanted("", "1", ("1.1",), ("1.1.1",))
    assert whole_series(image) == Task(Wanted("", "1", ("1.1",)), (first[1],))


def test_instances_stay_instances() -> None:
    listed = instances("1", "1.1", 2)
    wanted = Wanted("", "1", ("1.1",), ("1.1.0", "1.1.1"))
    (task,) = first_tasks(wanted, listed, listed)
    assert task.wanted == wanted


def test_lists_are_short() -> None:
    missing = instances("1", "1.1", MOST_AT_ONCE + 1)
    tasks = listed_tasks(Wanted("", "1"), missing)
    assert [len(task.wanted.instance_uids) for task in tasks] == [MOST_AT_ONCE, 1]


def test_the_plan_goes_on_only_for_the_same_sop_classes() -> None:
    missing = [*instances("1", "1.1", 1, "1.8"), *instances("1", "1.2", 1, "1.9")]
    assert [task.plan for task in listed_tasks(Wanted("", "1"), missing, plan=2)] == [0, 0]
    assert [task.plan for task in listed_tasks(Wanted("", "1"), missing[:1], plan=2)] == [2]
    assert all(task.alone for task in listed_tasks(Wanted("", "1"), missing, plan=0))
    assert not any(task.alone for task in listed_tasks(Wanted("", "1"), missing))


def test_sop_classes_are_known_for_all_or_not_at_all() -> None:
    assert classes_of(instances("1", "1.1", 2, "1.8")) == {"1.8"}
    assert classes_of([*instances("1", "1.1", 1, "1.8"), *instances("1", "1.2", 1, "")]) == frozenset()
    assert Task(Wanted("", "1")).sop_classes == frozenset()
