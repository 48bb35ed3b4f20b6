"""From the options of `dicom-query` to the identifier of a C-FIND (PS3.4 C.4.1.1.3, C.6)."""

import difflib
import re
from collections.abc import Mapping, Sequence

import msgspec
from pydicom import DataElement, Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.tag import Tag

from services.character_sets import UTF_8
from services.find_scu import ModelName

LEVELS = ("patient", "study", "series", "image")

_UNIQUE = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ModalitiesInStudy",
    "StudyDescription",
    "ReferringPhysicianName",
    "StudyID",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
    "StudyInstanceUID",
)
_SERIES = (
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "BodyPartExamined",
    "NumberOfSeriesRelatedInstances",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)
_IMAGE = ("InstanceNumber", "Rows", "Columns", "SOPClassUID", *_UNIQUE[1:])

# Only keys of the level itself, and the unique keys above it: others make a query relational (PS3.4 C.4.1.2.1).
_ASKED: Mapping[tuple[ModelName, str], tuple[str, ...]] = {
    ("study", "study"): _PATIENT + _STUDY,
    ("study", "series"): _SERIES,
    ("study", "image"): _IMAGE,
    ("patient", "patient"): (*_PATIENT, "NumberOfPatientRelatedStudies"),
    ("patient", "study"): ("PatientID", *_STUDY),
    ("patient", "series"): ("PatientID", *_SERIES),
    ("patient", "image"): ("PatientID", *_IMAGE),
}

_INTEGERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_FLOATS = frozenset({"FL", "FD"})
_NO_KEYS = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
_DATES = re.compile(r"\d{8}|\d{8}-|-\d{8}|\d{8}-\d{8}")
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")


class InvalidKey(Exception):
    """A key that no identifier can carry; the message names it and says what to write."""


class Wanted(msgspec.Struct, frozen=True):
    """What the options ask for.

    Attributes:
        model: the information model.
        level: one of `LEVELS`.
        identifier: the whole of it, with its level and, where a value needs it, its character set.
        columns: keywords, or tags, of the keys asked for, in order.
        matching: `keyword=value` of each key that has a value.
    """

    model: ModelName
    level: str
    identifier: Dataset
    columns: tuple[str, ...]
    matching: tuple[str, ...]


def build_identifier(
    values: Mapping[str, str | None],
    further: Sequence[str] = (),
    *,
    level: str | None = None,
    model: ModelName | None = None,
) -> Wanted:
    """The identifier of a query.

    Args:
        values: by keyword; None is not asked for beyond what the level brings anyway. `Modality` is ModalitiesInStudy
            at the study level.
        further: `KEY`, or `KEY=VALUE`, with a keyword, a tag, or a dotted path of them.
        level: None for the level of the lowest unique key that has a value, else study.
        model: None for patient at the patient level, else study.

    Raises:
        InvalidKey: one of them makes no sense.
    """
    given = {keyword: value for keyword, value in values.items() if value is not None}
    level = level or _level_of(given)
    model = model or ("patient" if level == "patient" else "study")
    if (model, level) not in _ASKED:
        raise InvalidKey(f"--level {level}: the {model} root model has no such level; say --model patient")
    _check(given, level)
    if level == "study" and "Modality" in given:
        given["ModalitiesInStudy"] = given.pop("Modality")
    identifier = Dataset()
    for keyword in _ASKED[model, level]:
        _put(identifier, keyword, [Tag(keyword)], given.pop(keyword, ""))
    for keyword, value in given.items():
        _put(identifier, keyword, [Tag(keyword)], value)
    columns = dict.fromkeys((*_ASKED[model, level], *(k for k, v in values.items() if k in identifier)))
    for key in further:
        name, _, value = key.partition("=")
        path = _path(name)
        _put(identifier, name, path, value)
        columns.setdefault(keyword_for_tag(path[0]) or f"{path[0]:08X}")
    matching = tuple(_matching(identifier))
    identifier.QueryRetrieveLevel = level.upper()
    if "SpecificCharacterSet" not in identifier and not all(text.isascii() for text in matching):
        identifier.SpecificCharacterSet = UTF_8
    return Wanted(model, level, identifier, tuple(columns), matching)


def _level_of(given: Mapping[str, str]) -> str:
    """That of the lowest unique key given; a patient's studies are asked for more often than the patient."""
    if "SOPInstanceUID" in given:
        return "image"
    return "series" if "SeriesInstanceUID" in given else "study"


def _check(given: Mapping[str, str], level: str) -> None:
    """What belongs to a lower level cannot be a key (PS3.4 C.4.1.2.1)."""
    below = {"StudyInstanceUID": 1, "StudyDate": 1, "AccessionNumber": 1, "StudyDescription": 1}
    below |= {"ReferringPhysicianName": 1, "Modality": 1, "SeriesInstanceUID": 2, "SOPInstanceUID": 3}
    for keyword, lowest in below.items():
        if keyword in given and LEVELS.index(level) < lowest:
            raise InvalidKey(f"{keyword} is no key at the {level} level; say --level {LEVELS[lowest]}")
    date = given.get("StudyDate")
    if date and not _DATES.fullmatch(date):
        raise InvalidKey(
            f"--study-date {date}: write a day as 20240131, a range as 20240101-20240131, 20240101- or -20240131"
        )


def _path(name: str) -> list[int]:
    """The tags of a dotted path; all but the last are of sequences."""
    tags = [_tag(name, part) for part in name.split(".")]
    for tag in tags[:-1]:
        if dictionary_VR(tag) != "SQ":
            raise InvalidKey(f"-k {name}: {keyword_for_tag(tag)} is no sequence, and has nothing inside")
    if len(tags) == 1 and keyword_for_tag(tags[0]) == "QueryRetrieveLevel":
        raise InvalidKey(f"-k {name}: say it with --level")
    return tags


def _tag(name: str, part: str) -> int:
    match = _TAG.fullmatch(part)
    tag = int(match[1] + match[2], 16) if match else tag_for_keyword(part)
    if tag is not None and tag in DicomDictionary and tag > 0x0007FFFF:
        return tag
    if match:
        raise InvalidKey(f"-k {name}: there is no attribute {part} in the data dictionary (PS3.6)")
    raise InvalidKey(f"-k {name}: there is no attribute {part or 'without a name'}{_suggestion(part)}")


def _suggestion(part: str) -> str:
    keywords = {entry[4].lower(): entry[4] for entry in DicomDictionary.values() if entry[4]}
    close = difflib.get_close_matches(part.lower(), keywords, n=1, cutoff=0.7)
    return f"; did you mean {keywords[close[0]]}?" if close else ""


def _put(identifier: Dataset, name: str, path: Sequence[int], text: str) -> None:
    """Put a key into the identifier, in an item of each sequence on its path."""
    for tag in path[:-1]:
        if tag not in identifier or not identifier[tag].value:
            identifier[tag] = DataElement(tag, "SQ", [Dataset()])
        identifier = identifier[tag].value[0]
    tag = path[-1]
    # Some have several in the dictionary, as "US or SS"; the first is the one that fits a key.
    vr = dictionary_VR(tag).split(" or ")[0]
    if vr in _NO_KEYS and text:
        raise InvalidKey(f"{name}={text}: a value of VR {vr} cannot be a key")
    if vr == "SQ" and text:
        raise InvalidKey(f"{name}={text}: a sequence has no value; write {name}.KEY=VALUE")
    try:
        text.encode("utf-8")
        identifier[tag] = DataElement(tag, vr, _value(vr, text), validation_mode=IGNORE)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidKey(f"{name}={text}: this is no value of VR {vr}: {error}") from None


def _value(vr: str, text: str) -> object:
    if vr == "SQ":
        return [Dataset()] if text else []
    if not text:
        return None if vr in _INTEGERS | _FLOATS | {"AT"} | _NO_KEYS else ""
    if vr in _INTEGERS:
        return [int(part) for part in text.split("\\")]
    if vr in _FLOATS:
        return [float(part) for part in text.split("\\")]
    if vr == "AT":
        return [int(part.replace(",", ""), 16) for part in text.split("\\")]
    return text


def _matching(identifier: Dataset, prefix: str = "") -> list[str]:
    """`path=value` of each key with a value."""
    found: list[str] = []
    for element in identifier:
        name = f"{prefix}{element.keyword}"
        if element.VR == "SQ":
            for item in element.value:
                found += _matching(item, f"{name}.")
        elif element.value not in (None, ""):
            value = element.value if element.VM <= 1 else "\\".join(map(str, element.value))
            found.append(f"{name}={value}")
    return found
