"""What the index is told of a stored instance, and the rows it makes of that (PS3.4 C.6).

Values come raw from a scan of the data set and leave decoded: Unicode text without padding, a backslash between
several values, items of sequences as lists of objects.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol, TypeAlias

from msgspec import Struct
from msgspec.json import Encoder
from pydicom.datadict import dictionary_VR

from services import normal_forms
from services.archive.errors import NotRecordable
from services.archive.index.items import items_of
from services.archive.index_attributes import (
    IMAGE_ATTRIBUTES,
    PATIENT_ATTRIBUTES,
    SEQUENCE_TAGS,
    SERIES_ATTRIBUTES,
    STUDY_ATTRIBUTES,
    uid_value,
)
from services.character_sets import character_sets_of, decode, takes_character_sets

LONGEST_COLUMN = 512
"""Characters of a value in a column of its own: a B-tree of PostgreSQL takes 2,700 bytes. What is cut is not found by
its end, but stands whole in `attributes`; no VR that has a column may be as long."""

_SPECIFIC_CHARACTER_SET = 0x00080005
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_LEADING_SPACES_COUNT = frozenset({"LT", "ST", "UT"})
_PADDING = " \0"


class Indexable(Protocol):
    """A published instance: what a scan of its data set said, and where its file is.

    Attributes:
        path: of its file, relative to the data directory: `<study>/<series>/<instance>.dcm`.
        data_set_offset: where the data set begins in the file, in bytes.
        size: of the data set, in bytes.
        values: raw values of the index attributes by tag (`archive.index_attributes`), as they stood in the data set.
    """

    @property
    def path(self) -> str: ...
    @property
    def sop_class_uid(self) -> str: ...
    @property
    def transfer_syntax_uid(self) -> str: ...
    @property
    def data_set_offset(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def values(self) -> Mapping[int, bytes]: ...


class Recorded(Enum):
    """What became of an instance that the index was told of.

    Attributes:
        NEW: it has a row now.
        KNOWN: it had one, of the same study and series; the row says what was told last.
        ELSEWHERE: its SOP Instance UID is held under another study or series; nothing was changed.
    """

    NEW = "new"
    KNOWN = "known"
    ELSEWHERE = "elsewhere"


Result: TypeAlias = Recorded | NotRecordable
"""What became of an instance that the index was told of, or why nothing will."""

Row: TypeAlias = dict[str, Any]
"""Column to value, without `id`, references to other rows and counts."""


InstanceRow: TypeAlias = tuple[str, str, str, str, int, int, str]
"""SOP Instance UID, SOP Class UID, transfer syntax, Instance Number, offset and size of the data set, attributes: what
is made of every instance has no time for a dict."""


class Entry(Struct):
    """One instance on its way into the index.

    Attributes:
        study_instance_uid, series_instance_uid, sop_instance_uid: where its file lies, too.
        source: what the scan said.
        row: of the instance, where another process has made it already.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    source: Indexable
    row: InstanceRow | None = None

    @classmethod
    def of(cls, source: Indexable) -> "Entry":
        """The entry of an instance; its path has the UIDs, checked before."""
        study, series, name = source.path.split("/")
        return cls(study, series, name.removesuffix(".dcm"), source, getattr(source, "row", None))

    def patient(self) -> Row:
        """The row of its patient."""
        values = _values(self.source, _PATIENT)
        issuer = _first(values, 0x00100021)
        columns = _patient(values)
        return {
            "patient_key": _patient_key(columns["patient_id"], issuer, self.study_instance_uid),
            **columns,
            "attributes": _json(values),
        }

    def study(self) -> Row:
        """The row of its study, with what the study says of the patient."""
        values = _values(self.source, _PATIENT) | _values(self.source, _STUDY)
        return {
            "study_instance_uid": self.study_instance_uid,
            **_patient(values),
            "study_date": normal_forms.date(_first(values, 0x00080020)),
            "study_time": normal_forms.time(_first(values, 0x00080030)),
            "accession_number": _first(values, 0x00080050),
            "study_id": _first(values, 0x00200010),
            **_name("referring_physician_name", values, 0x00080090),
            "attributes": _json(values),
        }

    def series(self) -> Row:
        """The row of its series."""
        values = _values(self.source, _SERIES)
        return {
            "series_instance_uid": self.series_instance_uid,
            "modality": _first(values, 0x00080060),
            "series_number": _first(values, 0x00200011),
            "performed_procedure_step_start_date": normal_forms.date(_first(values, 0x00400244)),
            "attributes": _json(values),
        }

    def instance(self) -> InstanceRow:
        """The row of the instance itself."""
        if self.row is not None:
            return self.row
        source = self.source
        return (
            self.sop_instance_uid,
            source.sop_class_uid,
            source.transfer_syntax_uid,
            _instance_number(source.values.get(0x00200013, b"")),
            source.data_set_offset,
            source.size,
            _image_json(source),
        )


_Values: TypeAlias = dict[str, Any]
"""Decoded values by tag (`0020000D`), those that are empty left out."""

_Read: TypeAlias = Callable[[bytes, tuple[str, ...], bool], Any]
"""Decodes a value: its bytes, the character sets, whether the byte order is big endian."""

_encode = Encoder().encode


def _json(values: _Values) -> str:
    return _encode(values).decode()


def _values(source: Indexable, plan: tuple[tuple[int, str, _Read], ...]) -> _Values:
    raw = source.values
    declared = raw.get(_SPECIFIC_CHARACTER_SET)
    sets = _sets(declared) if declared else ("",)
    big_endian = source.transfer_syntax_uid == _BIG_ENDIAN
    found = {}
    for tag, name, read in plan:
        value = raw.get(tag)
        if value:
            decoded = read(value, sets, big_endian)
            if decoded:
                found[name] = decoded
    return found


_Pieces: TypeAlias = dict[tuple[int, bytes | None], str]

_pieces: dict[tuple[bytes | None, bool], _Pieces] = {}
"""By Specific Character Set and byte order: what attribute and value are in JSON. Most images say what the one before
said, so that nothing is decoded and encoded twice."""

_MOST_PIECES, _LONGEST_PIECE = 4096, 128


def _image_json(source: Indexable) -> str:
    """`_json(_values(source, _IMAGE))`, from pieces."""
    raw = source.values
    key = raw.get(_SPECIFIC_CHARACTER_SET), source.transfer_syntax_uid == _BIG_ENDIAN
    known = _pieces.get(key)
    if known is None or len(known) > _MOST_PIECES:
        if len(_pieces) > 16:
            _pieces.clear()
        known = _pieces[key] = {}
    pieces = list(map(known.get, zip(_IMAGE_TAGS, map(raw.get, _IMAGE_TAGS), strict=True)))
    while None in pieces:
        place = pieces.index(None)
        pieces[place] = _piece(source, _IMAGE[place], known)
    return f"{{{','.join(filter(None, pieces))}}}"


def _piece(source: Indexable, attribute: tuple[int, str, _Read], known: _Pieces) -> str:
    """What an attribute of an instance is in JSON; empty where it has no value."""
    value = source.values.get(attribute[0])
    piece = _encode(_values(source, (attribute,)))[1:-1].decode() if value else ""
    if value is None or len(value) <= _LONGEST_PIECE:
        known[attribute[0], value] = piece
    return piece


def _instance_number(value: bytes) -> str:
    return _text(value, ("",)).partition("\\")[0].strip(_PADDING)[:LONGEST_COLUMN]


@lru_cache(64)
def _sets(declared: bytes) -> tuple[str, ...]:
    return character_sets_of(declared.decode("latin-1"))


def _plan(tags: Mapping[int, str]) -> tuple[tuple[int, str, _Read], ...]:
    return tuple((tag, f"{tag:08X}", _reader(tag)) for tag in sorted(tags))


def _reader(tag: int) -> _Read:
    vr = dictionary_VR(tag)
    if tag in SEQUENCE_TAGS:
        return lambda value, sets, big_endian: items_of(value, sets)
    if vr == "US":
        return lambda value, sets, big_endian: _unsigned_shorts(value, big_endian)
    if vr in _LEADING_SPACES_COUNT:
        return lambda value, sets, big_endian: _text(value, sets).rstrip(_PADDING)
    if takes_character_sets(vr):
        return lambda value, sets, big_endian: stripped(_text(value, sets))
    if vr == "UI":
        return lambda value, sets, big_endian: uid_value(value).replace("\0", " ")
    return lambda value, sets, big_endian: stripped(_text(value, ("",)))


def _text(value: bytes, sets: tuple[str, ...]) -> str:
    text = decode(value, sets)
    # PostgreSQL keeps no NUL in a text, and no value may have one inside.
    return text.replace("\0", " ") if "\0" in text else text


def stripped(text: str) -> str:
    """A text of one or several values without the padding of each."""
    if "\\" not in text:
        return text.strip(_PADDING)
    return "\\".join(value.strip(_PADDING) for value in text.split("\\"))


def _unsigned_shorts(value: bytes, big_endian: bool) -> str:
    order = "big" if big_endian else "little"
    numbers = (value[at : at + 2] for at in range(0, len(value) - 1, 2))
    return "\\".join(str(int.from_bytes(number, order)) for number in numbers)  # type: ignore[arg-type]


_PATIENT = _plan(PATIENT_ATTRIBUTES)
_STUDY = _plan(STUDY_ATTRIBUTES)
_SERIES = _plan(SERIES_ATTRIBUTES)
_IMAGE = _plan(IMAGE_ATTRIBUTES)
_IMAGE_TAGS = tuple(tag for tag, _, _ in _IMAGE)


def _first(values: _Values, tag: int) -> str:
    """The first value of an attribute, as a column has it."""
    value: str = values.get(f"{tag:08X}", "")
    return value.partition("\\")[0][:LONGEST_COLUMN]


def _patient(values: _Values) -> Row:
    return {
        "patient_id": _first(values, 0x00100020),
        **_name("patient_name", values, 0x00100010),
        "patient_birth_date": normal_forms.date(_first(values, 0x00100030)),
    }


def _name(column: str, values: _Values, tag: int) -> Row:
    groups = [*normal_forms.name_groups(_first(values, tag)), "", ""]
    kinds = ("alphabetic", "ideographic", "phonetic")
    return {f"{column}_{kind}": group[:LONGEST_COLUMN] for kind, group in zip(kinds, groups, strict=False)}


def _patient_key(patient_id: str, issuer: str, study_instance_uid: str) -> str:
    """Who is meant: the delimiter is in no single value. A hash keeps the unique key short."""
    if not patient_id:
        return "\\" + study_instance_uid
    key = f"{patient_id}\\{issuer}"
    return key if len(key) <= LONGEST_COLUMN else f"\\{sha256(key.encode()).hexdigest()}"
