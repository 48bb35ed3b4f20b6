"""Identifiers of requests: what is asked, and what cannot be answered (PS3.4 C.4.1.1.3, C.4.1.2, C.4.1.3)."""

import struct
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset

from services.conditions import Between, Equals, Form
from services.query.keys import PATIENT_ROOT, PATIENT_STUDY_ONLY, STUDY_ROOT, Level, Model
from services.query.options import Options
from services.query.requests import MAXIMUM_DEPTH, Query, QueryError, query_of, read_query

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

STUDY_UID, SERIES_UID, PATIENT_ID = 0x0020000D, 0x0020000E, 0x00100020


def asked(level: str | None = "STUDY", **values: object) -> Dataset:
    ds = Dataset()
    if level is not None:
        ds.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def encoded(ds: Dataset, transfer_syntax: str) -> bytes:
    buffer = BytesIO()
    file = DicomIO(buffer)
    file.is_implicit_VR = transfer_syntax == IMPLICIT
    file.is_little_endian = transfer_syntax != BIG_ENDIAN
    write_dataset(file, ds)
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_a_request_in_every_syntax(syntax: str) -> None:
    ds = asked(StudyDate="20240101-", PatientName="Doe*", StudyInstanceUID="", NumberOfStudyRelatedSeries="")
    query = read_query(encoded(ds, syntax), syntax, STUDY_ROOT)
    assert query.level is Level.STUDY
    assert [key.tag for key in query.keys] == [0x00080020, 0x00100010, STUDY_UID, 0x00201206]
    assert [key.is_universal for key in query.keys] == [False, False, True, True]
    assert query.unsupported == ()
    assert query.matches({"00080020": "20240102", "00100010": "DOE^JOHN"})
    assert not query.matches({"00080020": "20231231", "00100010": "DOE^JOHN"})
    assert not query.matches({"00080020": "20240102"})


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_binary_keys(syntax: str) -> None:
    ds = asked("IMAGE", StudyInstanceUID="1", SeriesInstanceUID="2", Rows=512)
    query = read_query(encoded(ds, syntax), syntax, STUDY_ROOT)
    assert query.matches({"0020000D": "1", "0020000E": "2", "00280010": "512"})
    assert not query.matches({"0020000D": "1", "0020000E": "2", "00280010": "256"})


@pytest.mark.parametrize(
    ("model", "level"),
    [
        (STUDY_ROOT, None),
        (STUDY_ROOT, ""),
        (STUDY_ROOT, "PATIENT"),
        (STUDY_ROOT, "FRAMES"),
        (STUDY_ROOT, "study"),
        (STUDY_ROOT, "*"),
        (PATIENT_STUDY_ONLY, "SERIES"),
        (PATIENT_STUDY_ONLY, "IMAGE"),
    ],
)
def test_levels_that_are_none(model: Model, level: str | None) -> None:
    data = b"" if level is None else _raw(0x00080052, level.encode())
    with pytest.raises(QueryError) as error:
        read_query(data + _raw(STUDY_UID, b"1"), IMPLICIT, model)
    assert error.value.status == 0xA900
    assert error.value.offending == (0x00080052,)


@pytest.mark.parametrize(
    ("model", "ds", "offending"),
    [
        (STUDY_ROOT, asked("SERIES", SeriesInstanceUID=""), (STUDY_UID,)),
        (STUDY_ROOT, asked("SERIES", StudyInstanceUID=""), (STUDY_UID,)),
        (STUDY_ROOT, asked("SERIES", StudyInstanceUID=["1.2", "1.3"]), (STUDY_UID,)),
        (STUDY_ROOT, asked("IMAGE", SOPInstanceUID=""), (STUDY_UID, SERIES_UID)),
        (STUDY_ROOT, asked("IMAGE", StudyInstanceUID="1.2"), (SERIES_UID,)),
        (PATIENT_ROOT, asked("STUDY", StudyInstanceUID="1.2"), (PATIENT_ID,)),
        (PATIENT_ROOT, asked("STUDY", PatientID="A*"), (PATIENT_ID,)),
        (PATIENT_ROOT, asked("STUDY", PatientID="*"), (PATIENT_ID,)),
        (PATIENT_ROOT, asked("SERIES", PatientID="A"), (STUDY_UID,)),
    ],
)
def test_unique_keys_above_the_level(model: Model, ds: Dataset, offending: tuple[int, ...]) -> None:
    with pytest.raises(QueryError) as error:
        query_of(ds, model)
    assert error.value.status == 0xA900
    assert error.value.offending == offending
    assert len(error.value.comment) <= 64
    assert query_of(ds, model, Options(relational=True)).level.value == ds.QueryRetrieveLevel


def test_a_wildcard_in_a_unique_uid_above() -> None:
    data = encoded(asked("SERIES"), IMPLICIT) + b"\x20\0\x0d\0\x06\0\0\x001.2.*\0"
    with pytest.raises(QueryError) as error:
        read_query(data, IMPLICIT, STUDY_ROOT)
    assert error.value.offending == (STUDY_UID,)


@pytest.mark.parametrize(("keyword", "value"), [("StudyDate", "2024*"), ("StudyTime", "noon-")])
def test_dates_that_are_none(keyword: str, value: str) -> None:
    tag = {"StudyDate": 0x00080020, "StudyTime": 0x00080030}[keyword]
    data = encoded(asked(), IMPLICIT) + _raw(tag, value.encode())
    with pytest.raises(QueryError) as error:
        read_query(data, IMPLICIT, STUDY_ROOT)
    assert error.value.status == 0xA900
    assert error.value.offending == (tag,)
    assert keyword in error.value.comment


def _raw(tag: int, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def test_what_is_not_supported_is_noted_and_what_is_no_key_ignored() -> None:
    data = (
        _raw(0x00020010, b"1.2.840.10008.1.2")
        + _raw(0x00080000, b"\4\0\0\0")
        + _raw(0x00080052, b"STUDY")
        + _raw(0x00080060, b"CT")
        + _raw(0x00080201, b"+0100")
        + _raw(0x00091001, b"private")
        + _raw(0x00180050, b"")
        + _raw(STUDY_UID, b"")
    )
    query = read_query(data, IMPLICIT, STUDY_ROOT)
    assert [key.tag for key in query.keys] == [STUDY_UID]
    assert query.unsupported == (0x00080060, 0x00080201, 0x00091001, 0x00180050)


@pytest.mark.parametrize(
    "data",
    [
        encoded(asked(StudyInstanceUID="1.2.3"), IMPLICIT)[:-3],
        encoded(asked(StudyInstanceUID="1.2.3"), IMPLICIT) + b"\x10\0",
        b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
        encoded(asked(), IMPLICIT) + b"\x10\0\x20\0\xf0\xff\xff\xff" + b"CONFORMANCE ",
        encoded(asked(), IMPLICIT) + b"\x40\0\x75\2\xff\xff\xff\xff\xfe\xff\0\xe0" * 3000,
    ],
)
def test_what_cannot_be_read(data: bytes) -> None:
    with pytest.raises(QueryError) as error:
        read_query(data, IMPLICIT, STUDY_ROOT)
    assert error.value.status == 0xC000


def test_an_empty_identifier_has_no_level() -> None:
    with pytest.raises(QueryError) as error:
        read_query(b"", IMPLICIT, STUDY_ROOT)
    assert error.value.status == 0xA900


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN]))
def test_any_bytes_are_a_query_or_an_error(data: bytes, syntax: str) -> None:
    with suppress(QueryError):
        assert isinstance(read_query(encoded(asked(), syntax) + data, syntax, STUDY_ROOT), Query)


# -- character sets

_NAMES = [
    (b"ISO_IR 192", "Müller*".encode(), "MULLER^JOHN"),
    (b"ISO_IR 100", b"M\xfcller*", "Müller^John"),
    (b"ISO-IR 100", b"M\xfcller*", "Müller^John"),
    (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B*", "Yamada^Tarou=山田^太郎"),
    (b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde*", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
    (b"\\ISO 2022 IR 149", b"\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞"),
    (b"GB18030", "王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    (b"GBK", "王^小东".encode("gbk"), "Wang^XiaoDong=王^小东"),
    (b"ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
    (b"ISO_IR 126", "Διονυσιος".encode("iso8859_7"), "Διονυσιος"),
]


@pytest.mark.parametrize(("term", "key", "stored"), _NAMES)
def test_names_in_every_character_set(term: bytes, key: bytes, stored: str) -> None:
    data = _raw(0x00080005, term) + _raw(0x00080052, b"STUDY") + _raw(0x00100010, key)
    query = read_query(data, IMPLICIT, STUDY_ROOT)
    assert query.matches({"00100010": stored})
    assert not query.matches({"00100010": "Somebody^Else"})


def test_an_unknown_character_set_does_not_stop_a_query() -> None:
    data = _raw(0x00080005, b"ISO_IR 999") + _raw(0x00080052, b"STUDY") + _raw(0x00100010, b"Doe*")
    assert read_query(data, IMPLICIT, STUDY_ROOT).matches({"00100010": "Doe^John"})


# -- sequences


def _in_sequence(**values: str) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return asked("SERIES", StudyInstanceUID="1", RequestAttributesSequence=[item])


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("undefined", [False, True])
def test_a_sequence_is_matched_inside(syntax: str, undefined: bool) -> None:
    ds = _in_sequence(RequestedProcedureID="P1", ScheduledProcedureStepID="")
    ds["RequestAttributesSequence"].is_undefined_length = undefined
    query = read_query(encoded(ds, syntax), syntax, STUDY_ROOT)
    record = {"0020000D": "1"}
    assert query.matches({**record, "00400275": [{"00401001": "P0"}, {"00401001": "P1"}]})
    assert not query.matches({**record, "00400275": [{"00401001": "P2"}]})
    assert not query.matches(record)


def test_a_sequence_without_items_is_universal() -> None:
    ds = asked("SERIES", StudyInstanceUID="1", RequestAttributesSequence=[])
    assert query_of(ds, STUDY_ROOT).matches({"0020000D": "1"})


def test_two_items_are_refused() -> None:
    ds = asked("SERIES", StudyInstanceUID="1", RequestAttributesSequence=[Dataset(), Dataset()])
    with pytest.raises(QueryError) as error:
        query_of(ds, STUDY_ROOT)
    assert error.value.offending == (0x00400275,)


def test_depth_is_bounded() -> None:
    ds = Dataset()
    for _ in range(MAXIMUM_DEPTH + 1):
        outer = Dataset()
        outer.ScheduledProtocolCodeSequence = [ds]
        ds = outer
    ask = asked("SERIES", StudyInstanceUID="1", RequestAttributesSequence=[ds])
    with pytest.raises(QueryError) as error:
        query_of(ask, STUDY_ROOT)
    assert error.value.status == 0xA900


# -- combined date and time


def _ranges(date: str, time: str) -> Dataset:
    return asked(StudyDate=date, StudyTime=time)


_COMBINED = [
    ("20240101-20240215", "100000-180000", "20240101", "093000", False),
    ("20240101-20240215", "100000-180000", "20240101", "100000", True),
    ("20240101-20240215", "100000-180000", "20240110", "030000", True),
    ("20240101-20240215", "100000-180000", "20240215", "180000.5", True),
    ("20240101-20240215", "100000-180000", "20240215", "180001", False),
    ("20240101-20240215", "22-02", "20240101", "2300", True),
    ("20240101-20240215", "22-02", "20240215", "0330", False),
    ("20240101-", "1000-", "20240101", "0900", False),
    ("20240101-", "1000-", "20240102", "0900", True),
    ("-20240215", "-18", "20240215", "1859", True),
    ("-20240215", "-18", "20240215", "1900", False),
    ("20240101-20240215", "100000-180000", "20240101", "", True),
    ("20240101-20240215", "100000-180000", "20231231", "", False),
    ("20240101-20240215", "100000-180000", "", "1200", False),
]


@pytest.mark.parametrize(("date", "time", "stored_date", "stored_time", "expected"), _COMBINED)
def test_combined(date: str, time: str, stored_date: str, stored_time: str, expected: bool) -> None:
    query = query_of(_ranges(date, time), STUDY_ROOT, Options(combined_date_time=True))
    assert query.matches({"00080020": stored_date, "00080030": stored_time}) is expected
    described = query.conditions()[0x00080020]
    assert described.form is Form.DATE
    assert not described.exact
    if expected:
        assert isinstance(described.condition, Between)
        assert (described.condition.low or "") <= stored_date
        assert stored_date <= (described.condition.high or "9")


def test_ranges_count_for_themselves_without_negotiation() -> None:
    query = query_of(_ranges("20240101-20240215", "100000-180000"), STUDY_ROOT)
    assert not query.matches({"00080020": "20240110", "00080030": "0300"})
    assert query.combined == ()


def test_only_two_ranges_are_combined() -> None:
    query = query_of(_ranges("20240101-20240215", "10"), STUDY_ROOT, Options(combined_date_time=True))
    assert not query.matches({"00080020": "20240110", "00080030": "0300"})


# -- what an index is told


def test_conditions() -> None:
    ds = asked(PatientID="A", StudyDate="20240101-", StudyTime="", RetrieveAETitle="ARCHIVE")
    conditions = query_of(ds, STUDY_ROOT).conditions()
    assert {tag: each.condition for tag, each in conditions.items()} == {
        0x00080020: Between("20240101", None),
        0x00100020: Equals("A"),
    }


def test_levels_of_keys() -> None:
    ds = asked("SERIES", PatientName="", StudyInstanceUID="1", Modality="", InstanceAvailability="")
    keys = {key.tag: key.level for key in query_of(ds, STUDY_ROOT).keys}
    assert keys == {
        0x00080056: None,
        0x00080060: Level.SERIES,
        0x00100010: Level.STUDY,
        0x0020000D: Level.STUDY,
    }
