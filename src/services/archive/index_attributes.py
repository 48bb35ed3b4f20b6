"""The attributes the index holds, and where a scan leaves them (PS3.4 C.6; PS3.6).

One table per level of the Patient Root and Study Root models says what is kept of every stored instance.
Values are kept as they stood in the data set: this file must not decode text, and knows no files and no SQL.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]

from services.archive.transfer_syntaxes import DataSetEncoding

VALUE_CAP = 4096
"""Bytes. A longer value is not kept: nobody can match against it."""

SEQUENCE_CAP = 16384
"""Bytes of all items of a sequence, without its own header and delimiter. `encoding_of_items` relies on its
being below 16705, which is "AA" read as a length."""

SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
UNIQUE_TAGS = frozenset({SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID})
"""What an instance is filed under; a second value for one of them is refused."""

COMMON_ATTRIBUTES: Mapping[int, str] = {
    0x00080005: "SpecificCharacterSet",
    0x00080201: "TimezoneOffsetFromUTC",
}
"""How the values of every level are to be read."""

PATIENT_ATTRIBUTES: Mapping[int, str] = {
    0x00100010: "PatientName",
    0x00100020: "PatientID",
    0x00100021: "IssuerOfPatientID",
    0x00100030: "PatientBirthDate",
    0x00100032: "PatientBirthTime",
    0x00100040: "PatientSex",
    0x00101000: "OtherPatientIDs",
    0x00101001: "OtherPatientNames",
    0x00101002: "OtherPatientIDsSequence",
    0x00102160: "EthnicGroup",
    0x00104000: "PatientComments",
}

STUDY_ATTRIBUTES: Mapping[int, str] = {
    0x00080020: "StudyDate",
    0x00080030: "StudyTime",
    0x00080050: "AccessionNumber",
    0x00080051: "IssuerOfAccessionNumberSequence",
    0x00080090: "ReferringPhysicianName",
    0x00081030: "StudyDescription",
    0x00081032: "ProcedureCodeSequence",
    0x00081048: "PhysiciansOfRecord",
    0x00081060: "NameOfPhysiciansReadingStudy",
    0x00081080: "AdmittingDiagnosesDescription",
    0x00101010: "PatientAge",
    0x00101020: "PatientSize",
    0x00101030: "PatientWeight",
    0x00102180: "Occupation",
    0x001021B0: "AdditionalPatientHistory",
    0x0020000D: "StudyInstanceUID",
    0x00200010: "StudyID",
    0x00321032: "RequestingPhysician",
    0x00321060: "RequestedProcedureDescription",
}

SERIES_ATTRIBUTES: Mapping[int, str] = {
    0x00080021: "SeriesDate",
    0x00080031: "SeriesTime",
    0x00080060: "Modality",
    0x00080070: "Manufacturer",
    0x00080080: "InstitutionName",
    0x00081010: "StationName",
    0x0008103E: "SeriesDescription",
    0x00081040: "InstitutionalDepartmentName",
    0x00081050: "PerformingPhysicianName",
    0x00081070: "OperatorsName",
    0x00081090: "ManufacturerModelName",
    0x00180015: "BodyPartExamined",
    0x00181000: "DeviceSerialNumber",
    0x00181030: "ProtocolName",
    0x00185100: "PatientPosition",
    0x0020000E: "SeriesInstanceUID",
    0x00200011: "SeriesNumber",
    0x00200052: "FrameOfReferenceUID",
    0x00200060: "Laterality",
    0x00400244: "PerformedProcedureStepStartDate",
    0x00400245: "PerformedProcedureStepStartTime",
    0x00400253: "PerformedProcedureStepID",
    0x00400254: "PerformedProcedureStepDescription",
    0x00400275: "RequestAttributesSequence",
}

IMAGE_ATTRIBUTES: Mapping[int, str] = {
    0x00080008: "ImageType",
    0x00080012: "InstanceCreationDate",
    0x00080013: "InstanceCreationTime",
    0x00080016: "SOPClassUID",
    0x00080018: "SOPInstanceUID",
    0x00080022: "AcquisitionDate",
    0x00080023: "ContentDate",
    0x0008002A: "AcquisitionDateTime",
    0x00080032: "AcquisitionTime",
    0x00080033: "ContentTime",
    0x00200012: "AcquisitionNumber",
    0x00200013: "InstanceNumber",
    0x00204000: "ImageComments",
    0x00280002: "SamplesPerPixel",
    0x00280004: "PhotometricInterpretation",
    0x00280008: "NumberOfFrames",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280100: "BitsAllocated",
    0x0040A043: "ConceptNameCodeSequence",
    0x0040A491: "CompletionFlag",
    0x0040A493: "VerificationFlag",
    0x00420010: "DocumentTitle",
    0x00700080: "ContentLabel",
    0x00700081: "ContentDescription",
    0x00700084: "ContentCreatorName",
}

INDEX_TAGS = frozenset(
    tag
    for level in (
        COMMON_ATTRIBUTES,
        PATIENT_ATTRIBUTES,
        STUDY_ATTRIBUTES,
        SERIES_ATTRIBUTES,
        IMAGE_ATTRIBUTES,
    )
    for tag in level
)
"""Every attribute that a scan keeps."""

KNOWN_SEQUENCES: frozenset[int] = frozenset(tag for tag, (vr, *_) in DicomDictionary.items() if vr == "SQ")
"""Standard attributes that are sequences: Implicit VR does not say so itself."""

SEQUENCE_TAGS = INDEX_TAGS & KNOWN_SEQUENCES
VALUE_TAGS = INDEX_TAGS - SEQUENCE_TAGS


def by_group(tags: Iterable[int]) -> dict[int, frozenset[int]]:
    """The element numbers of some tags, by group number."""
    groups: dict[int, set[int]] = {}
    for tag in tags:
        groups.setdefault(tag >> 16, set()).add(tag & 0xFFFF)
    return {group: frozenset(elements) for group, elements in groups.items()}


def uid_value(value: bytes) -> str:
    """The text of a UI value without its padding (PS3.5 6.2 and 9.1; a space is tolerated for the NUL).

    Not validated: other characters than digits and dots come out as they are, byte for byte (latin-1).
    """
    return _unpadded(value) if len(value) <= _MEMORABLE else value.rstrip(b"\0 ").decode("latin-1")


_MEMORABLE = 65  # bytes: a UID and its padding


@lru_cache(1024)  # most of them name the series, the study and the class of the instance before
def _unpadded(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("latin-1")


def encoding_of_items(content: bytes) -> DataSetEncoding:
    """How the items of a kept sequence are encoded, told from the bytes alone.

    The Item tag shows the byte order. Explicit VR shows as two capital letters behind the first tag of an
    element, where Implicit VR has the low half of a length; no length up to `SEQUENCE_CAP` looks like that.

    Args:
        content: the items as a scan kept them, at most `SEQUENCE_CAP` bytes.
    """
    little_endian = content[:2] != b"\xff\xfe"
    delimiter_group = b"\xfe\xff" if little_endian else b"\xff\xfe"
    position = 0
    while content.startswith(delimiter_group, position):
        position += 8
    return DataSetEncoding(
        implicit_vr=not is_vr(content[position + 4 : position + 6]), little_endian=little_endian
    )


def is_vr(code: bytes) -> bool:
    """Whether two bytes can be a VR at all: two capital letters (PS3.5 6.2)."""
    return len(code) == 2 and 0x41 <= code[0] <= 0x5A and 0x41 <= code[1] <= 0x5A
