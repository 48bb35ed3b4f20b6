"""Tiny data sets laid out by hand (PS3.5 7, Annex A): instances to store, identifiers to ask with.

Nothing of pydicom or of the archive is used: it must be able to write what they refuse. A data set is a mapping of
tags to values, written in ascending order; what has to be wrong is made so in the bytes.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from msgspec import Struct, structs

from services.conformance.building import IMPLICIT
from services.conformance.target import Target

BIG_ENDIAN = b"1.2.840.10008.1.2.2"
DEFLATED = b"1.2.840.10008.1.2.1.99"
JPEG_BASELINE = b"1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS = b"1.2.840.10008.1.2.4.70"
JPEG_LS = b"1.2.840.10008.1.2.4.80"
JPEG_2000 = b"1.2.840.10008.1.2.4.90"
RLE = b"1.2.840.10008.1.2.5"

UNDEFINED = 0xFFFFFFFF

SPECIFIC_CHARACTER_SET = 0x00080005
SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_DATE = 0x00080020
STUDY_TIME = 0x00080030
ACCESSION_NUMBER = 0x00080050
LEVEL = 0x00080052
RETRIEVE_AE_TITLE = 0x00080054
INSTANCE_AVAILABILITY = 0x00080056
FAILED_SOP_INSTANCES = 0x00080058
MODALITY = 0x00080060
MODALITIES_IN_STUDY = 0x00080061
REFERRING_PHYSICIAN = 0x00080090
STUDY_DESCRIPTION = 0x00081030
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
BIRTH_DATE = 0x00100030
PATIENT_SEX = 0x00100040
STUDY_UID = 0x0020000D
SERIES_UID = 0x0020000E
STUDY_ID = 0x00200010
SERIES_NUMBER = 0x00200011
INSTANCE_NUMBER = 0x00200013
STUDY_SERIES = 0x00201206
STUDY_INSTANCES = 0x00201208
IMAGE_COMMENTS = 0x00204000
FILE_SET_ID = 0x00880130
PIXEL_DATA = 0x7FE00010
TRAILING_PADDING = 0xFFFCFFFC
CONTENT_SEQUENCE = 0x0040A730
REQUEST_ATTRIBUTES = 0x00400275
PROCEDURE_STEPS = 0x00400100
STATION_AE_TITLE = 0x00400001
STEP_DATE = 0x00400002
STEP_TIME = 0x00400003
STEP_ID = 0x00400009

VRS = {
    0x00020000: "UL",
    0x00020010: "UI",
    SPECIFIC_CHARACTER_SET: "CS",
    SOP_CLASS_UID: "UI",
    SOP_INSTANCE_UID: "UI",
    STUDY_DATE: "DA",
    STUDY_TIME: "TM",
    ACCESSION_NUMBER: "SH",
    LEVEL: "CS",
    RETRIEVE_AE_TITLE: "AE",
    INSTANCE_AVAILABILITY: "CS",
    FAILED_SOP_INSTANCES: "UI",
    MODALITY: "CS",
    MODALITIES_IN_STUDY: "CS",
    REFERRING_PHYSICIAN: "PN",
    STUDY_DESCRIPTION: "LO",
    0x00081140: "SQ",  # Referenced Image Sequence
    0x00081150: "UI",
    0x00081155: "UI",
    PATIENT_NAME: "PN",
    PATIENT_ID: "LO",
    BIRTH_DATE: "DA",
    PATIENT_SEX: "CS",
    0x00180050: "DS",  # Slice Thickness
    STUDY_UID: "UI",
    SERIES_UID: "UI",
    STUDY_ID: "SH",
    SERIES_NUMBER: "IS",
    INSTANCE_NUMBER: "IS",
    STUDY_SERIES: "IS",
    STUDY_INSTANCES: "IS",
    IMAGE_COMMENTS: "LT",
    0x00280002: "US",  # Samples per Pixel
    0x00280004: "CS",  # Photometric Interpretation
    0x00280010: "US",  # Rows
    0x00280011: "US",  # Columns
    0x00280100: "US",  # Bits Allocated
    0x00280101: "US",  # Bits Stored
    0x00280102: "US",  # High Bit
    0x00280103: "US",  # Pixel Representation
    REQUEST_ATTRIBUTES: "SQ",
    PROCEDURE_STEPS: "SQ",
    STATION_AE_TITLE: "AE",
    STEP_DATE: "DA",
    STEP_TIME: "TM",
    STEP_ID: "SH",
    CONTENT_SEQUENCE: "SQ",
    FILE_SET_ID: "SH",
    PIXEL_DATA: "OB",
    TRAILING_PADDING: "OB",
}
"""VRs of the attributes used here (PS3.6); any other tag is UN, or says its own by `Typed`."""

_LONG_VRS = frozenset({"OB", "OW", "OF", "OL", "OD", "OV", "SQ", "UN", "UC", "UR", "UT", "SV", "UV"})
_NUL_PADDED = frozenset({"UI", "OB", "UN"})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


class Encoding(Struct, frozen=True):
    """How elements are written (PS3.5 7.1, 7.3)."""

    implicit: bool = False
    big_endian: bool = False

    @property
    def order(self) -> str:
        """As a prefix of `struct` formats."""
        return ">" if self.big_endian else "<"


def encoding_of(syntax: bytes) -> Encoding:
    """The encoding that a transfer syntax prescribes; of Deflated, the one of the inflated bytes."""
    return Encoding(implicit=syntax == IMPLICIT, big_endian=syntax == BIG_ENDIAN)


class Items(Struct, frozen=True):
    """The value of a sequence: its items, and whether sequence and items have lengths or delimiters."""

    items: "tuple[Elements, ...]"
    defined: bool = True


class Nested(Struct, frozen=True):
    """The value of a sequence of one item, that holds the same sequence, `depth` of them inside one another."""

    depth: int
    defined: bool = True


class Fragments(Struct, frozen=True):
    """An encapsulated value (PS3.5 A.4): the Basic Offset Table first, then the fragments."""

    pieces: tuple[bytes, ...]


class Typed(Struct, frozen=True):
    """A value with a VR other than that of `VRS`, written as it is, without padding."""

    vr: str
    value: bytes


Value: TypeAlias = bytes | int | Items | Nested | Fragments | Typed
Elements: TypeAlias = Mapping[int, Value]

# -- encoding


def encode(elements: Elements, syntax: bytes = IMPLICIT) -> bytes:
    """Write a data set in a transfer syntax, in ascending order of tags."""
    encoding = encoding_of(syntax)
    data = _encode(elements, encoding)
    return deflate(data) if syntax == DEFLATED else data


def deflate(data: bytes) -> bytes:
    """Compress as the deflated transfer syntax does (PS3.5 A.5), padded to an even length."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return _even(compressor.compress(data) + compressor.flush(), b"\0")


def element(tag: int, value: Value, syntax: bytes = IMPLICIT) -> bytes:
    """Write one element."""
    return _element(tag, value, encoding_of(syntax))


def header(tag: int, vr: str, length: int, syntax: bytes = IMPLICIT) -> bytes:
    """Write the header of an element, with any length."""
    return _header(tag, vr, length, encoding_of(syntax))


def _encode(elements: Elements, encoding: Encoding) -> bytes:
    return b"".join(_element(tag, elements[tag], encoding) for tag in sorted(elements))


def _element(tag: int, value: Value, encoding: Encoding) -> bytes:
    vr = value.vr if isinstance(value, Typed) else VRS.get(tag, "UN")
    match value:
        case Typed():
            content = value.value
        case bytes():
            content = _even(value, b"\0" if vr in _NUL_PADDED else b" ")
        case int():
            content = struct.pack(encoding.order + "H", value)
        case Items():
            content = _items(value, encoding)
            if not value.defined:
                return _header(tag, "SQ", UNDEFINED, encoding) + content
        case Nested():
            return _nested(tag, value, encoding)
        case Fragments():
            pieces = b"".join(
                _bare(_ITEM, len(piece) + len(piece) % 2, encoding) + _even(piece, b"\0")
                for piece in value.pieces
            )
            return _header(tag, vr, UNDEFINED, encoding) + pieces + _bare(_SEQUENCE_END, 0, encoding)
    return _header(tag, vr, len(content), encoding) + content


def _items(value: Items, encoding: Encoding) -> bytes:
    contents = [_encode(item, encoding) for item in value.items]
    if value.defined:
        return b"".join(_bare(_ITEM, len(content), encoding) + content for content in contents)
    end = _bare(_ITEM_END, 0, encoding)
    return b"".join(_bare(_ITEM, UNDEFINED, encoding) + content + end for content in contents) + _bare(
        _SEQUENCE_END, 0, encoding
    )


def _nested(tag: int, value: Nested, encoding: Encoding) -> bytes:
    if not value.defined:
        opening = _header(tag, "SQ", UNDEFINED, encoding) + _bare(_ITEM, UNDEFINED, encoding)
        closing = _bare(_ITEM_END, 0, encoding) + _bare(_SEQUENCE_END, 0, encoding)
        return opening * value.depth + closing * value.depth
    # the lengths grow inwards out, so the headers are made in that order and joined in the other
    headers: list[bytes] = []
    inside = 0
    for _ in range(value.depth):
        opening = _header(tag, "SQ", inside + 8, encoding) + _bare(_ITEM, inside, encoding)
        headers.append(opening)
        inside += len(opening)
    return b"".join(reversed(headers))


def _header(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    if encoding.implicit:
        return _bare(tag, length, encoding)
    start = struct.pack(encoding.order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in _LONG_VRS:
        return start + struct.pack(encoding.order + "HI", 0, length)
    return start + struct.pack(encoding.order + "H", length & 0xFFFF)


def _bare(tag: int, length: int, encoding: Encoding) -> bytes:
    return struct.pack(encoding.order + "HHI", tag >> 16, tag & 0xFFFF, length)


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)


# -- instances


class Instance(Struct, frozen=True, kw_only=True):
    """An instance to store.

    Attributes:
        sop_class, uid: as the command names them.
        elements: its data set, which may say otherwise.
    """

    sop_class: bytes
    uid: bytes
    elements: dict[int, Value]

    def encoded(self, syntax: bytes = IMPLICIT) -> bytes:
        """Its data set in a transfer syntax."""
        return encode(self.elements, syntax)

    def changed(self, changes: Elements, without: Iterable[int] = ()) -> "Instance":
        """The same with other values, and without some."""
        elements = {**self.elements, **changes}
        for tag in without:
            elements.pop(tag, None)
        return structs.replace(self, elements=elements)

    def named(self, uid: bytes) -> "Instance":
        """The same under another SOP Instance UID, in command and data set."""
        return structs.replace(self, uid=uid, elements={**self.elements, SOP_INSTANCE_UID: uid})

    @property
    def study(self) -> bytes:
        """Its Study Instance UID; empty without one."""
        return _uid(self.elements.get(STUDY_UID))

    @property
    def series(self) -> bytes:
        """Its Series Instance UID; empty without one."""
        return _uid(self.elements.get(SERIES_UID))


def _uid(value: Value | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def patient_id(target: Target, suffix: str = "") -> bytes:
    """The Patient ID of all that a run stores."""
    return f"CONFORMANCE-{target.run[:8]}{suffix}".encode()


def numbers(name: str) -> tuple[int, int]:
    """A case's number and letter, "118c", as (118, 3): in its UIDs, and to sort by; without letter the last is 0."""
    digits = name.rstrip("abcdefghijklmnopqrstuvwxyz")
    letter = name[len(digits) :]
    return int(digits), ord(letter) - 96 if letter else 0


def instance(target: Target, name: str, *, study: int = 1, series: int = 1, number: int = 1) -> Instance:
    """A grey image of 2 by 2 pixels, of the class the peer takes.

    Args:
        target: whose run is in its UIDs.
        name: number and letter of the case it is made for, in its UIDs as well.
        study, series, number: of the instance among those of the case.
    """
    place = numbers(name)
    uid = target.uid(*place, study, series, number)
    return Instance(
        sop_class=target.storage_class,
        uid=uid,
        elements={
            SOP_CLASS_UID: target.storage_class,
            SOP_INSTANCE_UID: uid,
            STUDY_DATE: b"20240115",
            STUDY_TIME: b"083000",
            ACCESSION_NUMBER: b"",
            MODALITY: b"OT",
            REFERRING_PHYSICIAN: b"",
            PATIENT_NAME: b"Conformance^Tester",
            PATIENT_ID: patient_id(target),
            BIRTH_DATE: b"19700101",
            PATIENT_SEX: b"O",
            STUDY_UID: target.uid(*place, study),
            SERIES_UID: target.uid(*place, study, series),
            STUDY_ID: str(study).encode(),
            SERIES_NUMBER: str(series).encode(),
            INSTANCE_NUMBER: str(number).encode(),
            0x00280002: 1,
            0x00280004: b"MONOCHROME2",
            0x00280010: 2,
            0x00280011: 2,
            0x00280100: 8,
            0x00280101: 8,
            0x00280102: 7,
            0x00280103: 0,
            PIXEL_DATA: bytes([0, 85, 170, 255]),
        },
    )


_RLE_HEADER = struct.pack("<16I", 1, 64, *[0] * 14)
_SOI_EOI = bytes.fromhex("FFD8 FFFE 0004 6E6F FFD9")

COMPRESSED_PIXELS = {
    # one segment: a literal run of the four pixels (PS3.5 Annex G), to an even length
    RLE: Fragments((b"", _RLE_HEADER + bytes([3, 0, 85, 170, 255, 128]))),
    # a JPEG stream with a comment and no image: an archive has no business to decode it
    JPEG_BASELINE: Fragments((b"", _SOI_EOI)),
    JPEG_LOSSLESS: Fragments((struct.pack("<I", 0), _SOI_EOI)),
    JPEG_LS: Fragments((b"", _SOI_EOI[:6], _SOI_EOI[6:])),
    JPEG_2000: Fragments((b"", bytes.fromhex("FF4F FF64 0004 0001 FFD9"))),
}
"""Pixel data of an instance in the encapsulated transfer syntaxes; only the one in RLE can be decoded."""


def compressed(each: Instance, syntax: bytes) -> Instance:
    """The same instance with the pixel data that goes with a transfer syntax."""
    pixels = COMPRESSED_PIXELS.get(syntax)
    return each if pixels is None else each.changed({PIXEL_DATA: pixels})


# -- identifiers


def identifier(level: bytes | None, keys: Elements, syntax: bytes = IMPLICIT) -> bytes:
    """An identifier with a Query/Retrieve Level, or without one (PS3.4 C.4.1.1.3.1)."""
    return encode(keys if level is None else {LEVEL: level, **keys}, syntax)
