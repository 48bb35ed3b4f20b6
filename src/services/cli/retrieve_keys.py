"""What `dicom-retrieve` and `dicom-move` are asked for on the command line: the unique keys of PS3.4 C.6."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from services.printable import printable, shorten
from services.query.keys import (
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Level,
)
from services.query.wildcards import has_wildcards
from services.retrieve.requesting import ModelName, is_uid
from services.retrieve.selection import Selection

MOST_AT_ONCE = 100
"""UIDs of one request. In Explicit VR a value ends at 65,534 bytes, and some peers keep identifiers much shorter."""


class InvalidSelection(ValueError):
    """Keys that select nothing; the text names the option and says what to do."""


class Wanted(Struct, frozen=True):
    """One thing that was asked for: a patient, a study, series of a study, or instances of a series.

    Attributes:
        patient_id: empty where the model needs none.
        study_uid: empty for all studies of the patient.
        series_uids: one where instances are named; none for all.
        instance_uids: none for all.
    """

    patient_id: str = ""
    study_uid: str = ""
    series_uids: tuple[str, ...] = ()
    instance_uids: tuple[str, ...] = ()

    @property
    def level(self) -> Level:
        """Of what is named."""
        if self.instance_uids:
            return Level.IMAGE
        if self.series_uids:
            return Level.SERIES
        return Level.STUDY if self.study_uid else Level.PATIENT

    @property
    def model(self) -> ModelName:
        """The information model that it is asked for in."""
        return "patient" if self.patient_id else "study"

    def selections(self) -> Iterator[Selection]:
        """As requests: one, or several where there are more UIDs than one request should have."""
        keys: dict[int, Sequence[str]] = {}
        if self.patient_id:
            keys[PATIENT_ID] = (self.patient_id,)
        if self.study_uid:
            keys[STUDY_INSTANCE_UID] = (self.study_uid,)
        match self.level:
            case Level.SERIES:
                for portion in _portions(self.series_uids):
                    yield Selection(Level.SERIES, keys | {SERIES_INSTANCE_UID: portion})
            case Level.IMAGE:
                keys[SERIES_INSTANCE_UID] = self.series_uids
                for portion in _portions(self.instance_uids):
                    yield Selection(Level.IMAGE, keys | {SOP_INSTANCE_UID: portion})
            case level:
                yield Selection(level, keys)

    def includes(self, study_uid: str, series_uid: str, sop_instance_uid: str) -> bool:
        """Whether an instance belongs to it, as far as UIDs say."""
        return (
            self.study_uid in ("", study_uid)
            and (not self.series_uids or series_uid in self.series_uids)
            and (not self.instance_uids or sop_instance_uid in self.instance_uids)
        )

    def __str__(self) -> str:
        match self.level:
            case Level.PATIENT:
                return f"patient {printable(self.patient_id)}"
            case Level.STUDY:
                return f"study {self.study_uid}"
            case Level.SERIES:
                return f"series {', '.join(self.series_uids)}"
            case _:
                return f"{len(self.instance_uids)} of series {self.series_uids[0]}"


def read_wanted(
    studies: Sequence[str],
    series: Sequence[str],
    instances: Sequence[str],
    uid_list: Path | None,
    patient: str,
    *,
    to: str = "retrieve",
) -> list[Wanted]:
    """What the options ask for, each thing once.

    Args:
        studies, series, instances: UIDs.
        uid_list: a file of them, instead.
        patient: the Patient ID, or nothing.
        to: what is done with it, for the messages.

    Raises:
        InvalidSelection: nothing, or something that cannot be.
    """
    for option, uids in (("--study-uid", studies), ("--series-uid", series), ("--instance-uid", instances)):
        for uid in uids:
            _check_uid(option, uid)
    if "\\" in patient or has_wildcards(patient):
        raise InvalidSelection(f"--patient-id '{shorten(printable(patient))}': name one patient, as it is")
    if uid_list is not None:
        if studies or series or instances:
            raise InvalidSelection(
                "--uid-list names studies by itself: give it without --study-uid and the like"
            )
        wanted = _read_list(uid_list, patient)
    else:
        wanted = _of_options(studies, series, instances, patient, to)
    return list(dict.fromkeys(wanted))


def _of_options(
    studies: Sequence[str], series: Sequence[str], instances: Sequence[str], patient: str, to: str
) -> list[Wanted]:
    if not studies and not patient:
        raise InvalidSelection(f"say what to {to}: --study-uid UID, --uid-list FILE or --patient-id ID")
    if series and len(studies) != 1:
        raise InvalidSelection("--series-uid needs the one --study-uid that it belongs to")
    if instances and len(series) != 1:
        raise InvalidSelection("--instance-uid needs the one --series-uid and --study-uid that it belongs to")
    return [
        Wanted(patient, study, tuple(dict.fromkeys(series)), tuple(dict.fromkeys(instances)))
        for study in (studies or ("",))
    ]


def _read_list(path: Path, patient: str) -> list[Wanted]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InvalidSelection(f"--uid-list: cannot read '{path}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidSelection(f"--uid-list: '{path}' is no text") from None
    found: dict[tuple[str, str], list[str]] = {}
    for number, line in enumerate(lines, 1):
        uids = line.partition("#")[0].replace(",", " ").split()
        where = f"--uid-list '{path}', line {number}"
        for uid in uids:
            _check_uid(where, uid)
        if len(uids) > 3:
            raise InvalidSelection(f"{where}: {len(uids)} UIDs; study, series and instance are three")
        if uids:
            study, one_series, instance = (*uids, "", "")[:3]
            found.setdefault((study, one_series), []).append(instance)
    if not found:
        raise InvalidSelection(f"--uid-list: there is no UID in '{path}'")
    return [_of_lines(patient, *above, instances) for above, instances in found.items()]


def _of_lines(patient: str, study: str, series: str, instances: list[str]) -> Wanted:
    named = () if "" in instances else tuple(dict.fromkeys(instances))
    return Wanted(patient, study, (series,) if series else (), named)


def _check_uid(option: str, uid: str) -> None:
    if not is_uid(uid):
        raise InvalidSelection(
            f"{option}: '{shorten(printable(uid))}' is no UID: 1 to 64 digits and dots, no component empty"
        )


def _portions(uids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (uids[start : start + MOST_AT_ONCE] for start in range(0, len(uids), MOST_AT_ONCE))
