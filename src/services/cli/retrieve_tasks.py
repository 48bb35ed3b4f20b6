"""Divides what is to be retrieved into requests, each as large as it can be and no larger than what is missing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct, structs

from services.cli.retrieve_inventory import Listed
from services.cli.retrieve_keys import MOST_AT_ONCE, Wanted
from services.query.keys import Level


class Task(Struct, frozen=True):
    """One request.

    Attributes:
        wanted: what it asks for.
        expected: the instances that are to come by it; None where nobody knows.
        plan: on which association of `plan_contexts` it goes out.
        tries: how often it was tried in vain.
        by_list: it names instances one by one because others are there already.
        alone: no SOP classes but its own are to be proposed for it.
    """

    wanted: Wanted
    expected: tuple[Listed, ...] | None = None
    plan: int = 0
    tries: int = 0
    by_list: bool = False
    alone: bool = False

    @property
    def sop_classes(self) -> frozenset[str]:
        """Those that are to come; empty where nobody knows."""
        return classes_of(self.expected or ())


def classes_of(listed: Iterable[Listed]) -> frozenset[str]:
    """The SOP classes of instances; empty where the peer does not tell all of them."""
    classes = frozenset(each.sop_class_uid for each in listed)
    return frozenset() if "" in classes else classes


def first_tasks(
    wanted: Wanted, listed: Sequence[Listed], missing: Sequence[Listed], *, by_series: bool = False
) -> list[Task]:
    """The requests for what is missing of something that was asked for.

    Args:
        wanted: what was asked for.
        listed: the instances of it that the peer has.
        missing: those of them that are to be retrieved.
        by_series: a request for each series, so that several associations have something to do.
    """
    tasks: list[Task] = []
    all_of: dict[str, list[Listed]] = _by(listed, "study_uid")
    for study, gone in _by(missing, "study_uid").items():
        if len(gone) < len(all_of[study]) or wanted.level is Level.IMAGE:
            tasks += _partial(wanted, study, all_of[study], gone)
        elif by_series:
            tasks += [
                _whole_series(wanted, study, [series], instances)
                for series, instances in _by(gone, "series_uid").items()
            ]
        else:
            tasks.append(Task(_below(wanted, study, wanted.series_uids), tuple(gone)))
    return tasks


def listed_tasks(
    wanted: Wanted, missing: Iterable[Listed], *, plan: int | None = None, tries: int = 0
) -> list[Task]:
    """Requests that name each missing instance.

    Args:
        wanted: what was asked for.
        missing: the instances.
        plan: on which association of `plan_contexts`, with their own SOP classes only; None for the first, with others.
            Requests for fewer SOP classes than all of these begin at the first again.
        tries: how often they were tried in vain.
    """
    tasks = []
    missing = tuple(missing)
    classes = classes_of(missing)
    for study, of_study in _by(missing, "study_uid").items():
        for series, instances in _by(of_study, "series_uid").items():
            for start in range(0, len(instances), MOST_AT_ONCE):
                portion = tuple(instances[start : start + MOST_AT_ONCE])
                uids = tuple(listed.sop_instance_uid for listed in portion)
                below = _below(wanted, study, (series,), uids)
                start_at = plan if plan is not None and classes_of(portion) == classes else 0
                alone = plan is not None
                tasks.append(Task(below, portion, start_at, tries, by_list=True, alone=alone))
    return tasks


def whole_series(task: Task) -> Task:
    """The same without naming instances, for a peer that does not take lists of them."""
    above = _below(task.wanted, task.wanted.study_uid, task.wanted.series_uids)
    return structs.replace(task, wanted=above, by_list=False)


def _partial(wanted: Wanted, study: str, listed: Sequence[Listed], missing: Sequence[Listed]) -> list[Task]:
    """Series of which all is missing as such, the instances of the others by name."""
    all_of = _by(listed, "series_uid")
    tasks: list[Task] = []
    whole: dict[str, list[Listed]] = {}
    for series, gone in _by(missing, "series_uid").items():
        if len(gone) == len(all_of[series]) and wanted.level is not Level.IMAGE:
            whole[series] = gone
        else:
            tasks += listed_tasks(wanted, gone)
    names = list(whole)
    for start in range(0, len(names), MOST_AT_ONCE):
        portion = names[start : start + MOST_AT_ONCE]
        instances = [listed for series in portion for listed in whole[series]]
        tasks.append(_whole_series(wanted, study, portion, instances))
    return tasks


def _whole_series(wanted: Wanted, study: str, series: Sequence[str], instances: Sequence[Listed]) -> Task:
    return Task(_below(wanted, study, tuple(series)), tuple(instances))


def _below(wanted: Wanted, study: str, series: tuple[str, ...] = (), uids: tuple[str, ...] = ()) -> Wanted:
    return Wanted(wanted.patient_id, study, series, uids)


def _by(listed: Iterable[Listed], field: str) -> dict[str, list[Listed]]:
    groups: dict[str, list[Listed]] = defaultdict(list)
    for each in listed:
        groups[getattr(each, field)].append(each)
    return dict(groups)
