"""The information models as tables: their levels, and the keys we support at each (PS3.4 C.6).

An attribute is a key at its own level and at every one below: a query for series may ask for the date of the study.
Nothing here knows how an index keeps them.
"""

from collections.abc import Mapping
from enum import Enum
from functools import cache, lru_cache

from msgspec import Struct
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

SPECIFIC_CHARACTER_SET = 0x00080005
QUERY_RETRIEVE_LEVEL = 0x00080052
RETRIEVE_AE_TITLE = 0x00080054
INSTANCE_AVAILABILITY = 0x00080056
TIMEZONE_OFFSET_FROM_UTC = 0x00080201

PATIENT_ID = 0x00100020
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SOP_INSTANCE_UID = 0x00080018


class Level(Enum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class Usage(Enum):
    """What a key is at its level (PS3.4 C.2.2.1)."""

    UNIQUE = "U"
    REQUIRED = "R"
    OPTIONAL = "O"


class Model(Struct, frozen=True):
    """A Query/Retrieve Information Model.

    Attributes:
        name: as the standard calls it.
        find, move, get: its SOP classes.
        levels: from the top down.
    """

    name: str
    find: str
    move: str
    get: str
    levels: tuple[Level, ...]

    def above(self, level: Level) -> tuple[Level, ...]:
        """The levels over one of the model's, from the top down."""
        return self.levels[: self.levels.index(level)]

    def level_of(self, supported: "SupportedKey") -> Level | None:
        """Where a key belongs: a patient's with the study where there is no patient level; None for no key."""
        if supported.level in self.levels:
            return supported.level
        if supported.level is Level.PATIENT and not supported.computed:
            return self.levels[0]
        return None


_ROOT = "1.2.840.10008.5.1.4.1.2."

PATIENT_ROOT = Model("Patient Root", f"{_ROOT}1.1", f"{_ROOT}1.2", f"{_ROOT}1.3", tuple(Level))
STUDY_ROOT = Model("Study Root", f"{_ROOT}2.1", f"{_ROOT}2.2", f"{_ROOT}2.3", tuple(Level)[1:])
PATIENT_STUDY_ONLY = Model(
    "Patient/Study Only", f"{_ROOT}3.1", f"{_ROOT}3.2", f"{_ROOT}3.3", tuple(Level)[:2]
)
MODELS: Mapping[str, Model] = {model.find: model for model in (PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY)}
"""By the SOP class of C-FIND."""

UNIQUE_KEYS: Mapping[Level, int] = {
    Level.PATIENT: PATIENT_ID,
    Level.STUDY: STUDY_INSTANCE_UID,
    Level.SERIES: SERIES_INSTANCE_UID,
    Level.IMAGE: SOP_INSTANCE_UID,
}


class SupportedKey(Struct, frozen=True):
    """An attribute that can be asked for.

    Attributes:
        tag: of the attribute.
        keyword: as PS3.6 has it.
        vr: as PS3.6 has it.
        level: in the Patient Root model.
        usage: at that level.
        computed: made from other rows of the index, not kept in a data set.
    """

    tag: int
    keyword: str
    vr: str
    level: Level
    usage: Usage
    computed: bool = False

    def usage_in(self, model: Model) -> Usage:
        """What the key is in a model: without a patient level, Patient ID is one of the study's (PS3.4 C.6.2.1.2)."""
        if self.level is Level.PATIENT and Level.PATIENT not in model.levels:
            return Usage.REQUIRED if self.tag == PATIENT_ID else self.usage
        return self.usage


_REQUIRED: Mapping[Level, str] = {
    Level.PATIENT: "PatientName",
    Level.STUDY: "StudyDate StudyTime AccessionNumber StudyID",
    Level.SERIES: "Modality SeriesNumber",
    Level.IMAGE: "InstanceNumber",
}

_OPTIONAL: Mapping[Level, str] = {
    Level.PATIENT: """
        IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex OtherPatientIDs OtherPatientNames
        OtherPatientIDsSequence EthnicGroup PatientComments""",
    Level.STUDY: """
        IssuerOfAccessionNumberSequence ReferringPhysicianName StudyDescription ProcedureCodeSequence
        PhysiciansOfRecord NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription PatientAge PatientSize
        PatientWeight Occupation AdditionalPatientHistory RequestingPhysician RequestedProcedureDescription""",
    Level.SERIES: """
        SeriesDate SeriesTime Manufacturer InstitutionName StationName SeriesDescription
        InstitutionalDepartmentName PerformingPhysicianName OperatorsName ManufacturerModelName BodyPartExamined
        DeviceSerialNumber ProtocolName PatientPosition FrameOfReferenceUID Laterality
        PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedProcedureStepID
        PerformedProcedureStepDescription RequestAttributesSequence""",
    Level.IMAGE: """
        ImageType InstanceCreationDate InstanceCreationTime SOPClassUID AcquisitionDate ContentDate
        AcquisitionDateTime AcquisitionTime ContentTime AcquisitionNumber ImageComments SamplesPerPixel
        PhotometricInterpretation NumberOfFrames Rows Columns BitsAllocated ConceptNameCodeSequence
        CompletionFlag VerificationFlag DocumentTitle ContentLabel ContentDescription ContentCreatorName""",
}

_COMPUTED: Mapping[Level, str] = {
    Level.PATIENT: """
        NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances""",
    Level.STUDY: "ModalitiesInStudy SOPClassesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances",
    Level.SERIES: "NumberOfSeriesRelatedInstances",
    Level.IMAGE: "",
}

DATE_TIME_PAIRS: Mapping[int, int] = {
    0x00080012: 0x00080013,  # Instance Creation
    0x00080020: 0x00080030,  # Study
    0x00080021: 0x00080031,  # Series
    0x00080022: 0x00080032,  # Acquisition
    0x00080023: 0x00080033,  # Content
    0x00100030: 0x00100032,  # Patient's Birth
    0x00400244: 0x00400245,  # Performed Procedure Step Start
}
"""Dates, and the times that belong to them."""


def tag_name(tag: int) -> str:
    """A tag as a person knows it: `Study Date`-like keyword and number."""
    keyword = keyword_for_tag(tag)
    number = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return f"{keyword} {number}" if keyword else number


def hex_tag(tag: int) -> str:
    """A tag as records are keyed by: `0020000D`."""
    return f"{tag:08X}"


@lru_cache(4096)  # pydicom's dictionary takes its time, and queries ask for the same again and again
def vr_of(tag: int) -> str | None:
    """The VR of a standard attribute, the first one where PS3.6 leaves a choice; None for any other."""
    try:
        return dictionary_VR(tag).split()[0]
    except KeyError:
        return None


def _keys() -> dict[int, SupportedKey]:
    keys: dict[int, SupportedKey] = {}

    def add(tag: int, level: Level, usage: Usage, computed: bool = False) -> None:
        vr = vr_of(tag)
        assert vr is not None, f"{tag:08X} is not in the data dictionary"
        keys[tag] = SupportedKey(tag, keyword_for_tag(tag), vr, level, usage, computed)

    for level in Level:
        add(UNIQUE_KEYS[level], level, Usage.UNIQUE)
        for usage, table in ((Usage.REQUIRED, _REQUIRED), (Usage.OPTIONAL, _OPTIONAL)):
            for keyword in table[level].split():
                add(_tag(keyword), level, usage)
        for keyword in _COMPUTED[level].split():
            add(_tag(keyword), level, Usage.OPTIONAL, computed=True)
    return keys


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, f"{keyword} is not in the data dictionary"
    return int(tag)


SUPPORTED: Mapping[int, SupportedKey] = _keys()
"""Every key of the Patient Root model, by tag; the other models have the same ones."""


@cache
def keys_at(model: Model, level: Level) -> Mapping[int, SupportedKey]:
    """What can be asked for at a level: its own keys and those of the levels above."""
    reach = (*model.above(level), level)
    return {tag: key for tag, key in SUPPORTED.items() if model.level_of(key) in reach}
