"""Data sets taken apart, element by element, in every encoding, as far as anybody reads."""

import struct
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement

from corpus import DAMAGED
from dissecting import FIXTURES, assert_covers, leaves, named, problems_of
from real_files import real_file
from services.trace.cursor import MOST_FIELDS
from services.trace.dissect_data_set import DEEPEST, MOST_ELEMENTS, dissect_data_set
from services.trace.fields import Field

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG = "1.2.840.10008.1.2.4.50"
OPEN = 0xFFFFFFFF


def implicit(tag: int, value: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def explicit(tag: int, vr: bytes, value: bytes = b"", length: int | None = None) -> bytes:
    stated = len(value) if length is None else length
    layout = "<HH2sHI" if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT") else "<HH2sH"
    rest = (0, stated) if layout.endswith("I") else (stated,)
    return struct.pack(layout, tag >> 16, tag & 0xFFFF, vr, *rest) + value


def item(value: bytes, length: int | None = None) -> bytes:
    return implicit(0xFFFEE000, value, length)


ITEM_END, SEQUENCE_END = implicit(0xFFFEE00D), implicit(0xFFFEE0DD)
SEQUENCE, NAME, NUMBER = 0x00081140, 0x00100010, 0x00280010
REFERENCED = implicit(0x00081150, b"1.2.3\0")


def names(fields: tuple[Field, ...]) -> list[str]:
    """The names of elements, items and delimiters with their depth, indented."""
    return [
        " " * depth + field.name
        for top in fields
        for depth, field in top.walk()
        if field.children or field.name in ("Not shown", "Not followed", "Cut off")
    ]


def test_implicit_little_endian() -> None:
    data = implicit(0x00080060, b"CT") + implicit(NAME, b"Doe ") + implicit(NUMBER, b"\0\2")
    fields = dissect_data_set(data, IMPLICIT, 100)
    assert_covers(fields, 100, 100 + len(data))
    assert [(field.name, field.value) for field in fields] == [
        ("(0008,0060) Modality", "CT"),
        ("(0010,0010) PatientName", "Doe"),
        ("(0028,0010) Rows", "512"),
    ]
    assert [(leaf.name, leaf.length) for leaf in fields[0].children] == [
        ("Tag", 4),
        ("Value-length", 4),
        ("Value", 2),
    ]
    assert problems_of(fields) == []


def test_explicit_little_endian() -> None:
    data = explicit(NAME, b"PN", b"Doe ") + explicit(0x7FE00010, b"OW", b"\1\2\3\4")
    fields = dissect_data_set(data, EXPLICIT)
    assert [(leaf.name, leaf.length, leaf.value) for leaf in leaves(fields)] == [
        ("Tag", 4, "(0010,0010)"),
        ("VR", 2, "PN"),
        ("Value-length", 2, "4"),
        ("Value", 4, "Doe"),
        ("Tag", 4, "(7FE0,0010)"),
        ("VR", 2, "OW"),
        ("Reserved", 2, "00 00"),
        ("Value-length", 4, "4"),
        ("Value", 4, "01 02 03 04"),
    ]
    assert named(fields, "VR").meaning == "Person Name"


def test_sequences_of_both_kinds_of_length() -> None:
    inner = implicit(SEQUENCE, item(REFERENCED) + item(REFERENCED + ITEM_END, OPEN) + SEQUENCE_END, OPEN)
    data = implicit(SEQUENCE, item(inner)) + implicit(NAME, b"Doe ")
    fields = dissect_data_set(data, IMPLICIT)
    assert names(fields) == [
        "(0008,1140) ReferencedImageSequence",
        " Item",
        "  (0008,1140) ReferencedImageSequence",
        "   Item",
        "    (0008,1150) ReferencedSOPClassUID",
        "   Item",
        "    (0008,1150) ReferencedSOPClassUID",
        "    Item Delimitation Item",
        "   Sequence Delimitation Item",
        "(0010,0010) PatientName",
    ]
    assert [field.value for field in fields] == ["1 item", "Doe"]
    assert problems_of(fields) == []
    assert_covers(fields, 0, len(data))


def test_a_sequence_that_nobody_knows() -> None:
    """A UN of undefined length is a sequence in Implicit VR Little Endian, whatever is around it (PS3.5 6.2.2)."""
    data = (
        explicit(0x00091001, b"UN", length=OPEN)
        + item(REFERENCED)
        + SEQUENCE_END
        + explicit(NAME, b"PN", b"D ")
    )
    fields = dissect_data_set(data, EXPLICIT)
    assert names(fields) == [
        "(0009,1001) private",
        " Item",
        "  (0008,1150) ReferencedSOPClassUID",
        " Sequence Delimitation Item",
        "(0010,0010) PatientName",
    ]
    assert problems_of(fields) == []


def test_encapsulated_pixel_data() -> None:
    data = (
        explicit(0x7FE00010, b"OB", length=OPEN)
        + item(b"")
        + item(b"\xff\xd8")
        + item(b"\xff\xd9")
        + SEQUENCE_END
    )
    fields = dissect_data_set(data, JPEG)
    assert names(fields) == [
        "(7FE0,0010) PixelData",
        " Basic Offset Table",
        " Pixel data fragment",
        " Pixel data fragment",
        " Sequence Delimitation Item",
    ]
    assert fields[0].value == "encapsulated"
    assert problems_of(fields) == []
    assert_covers(fields, 0, len(data))


REAL = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "JPEG2000.dcm",
    "SC_rgb_rle.dcm",
    "UN_sequence.dcm",
    "reportsi.dcm",
    "rtplan.dcm",
    "rtdose.dcm",
    "chrH31.dcm",
    "chrRuss.dcm",
    "emri_small.dcm",
    "liver_1frame.dcm",
]


@pytest.mark.parametrize("name", REAL)
def test_real_data_sets_are_read_as_pydicom_reads_them(name: str) -> None:
    data, syntax, dataset = split(real_file(name))
    fields = dissect_data_set(data, syntax, limit=1 << 30)
    assert_covers(fields, 0, len(data))
    assert [field.name[:11] for field in fields] == [tag_text(element) for element in dataset]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that are odd on purpose
        for field, element in zip(fields, dataset, strict=True):
            assert_agrees(field, element)
    assert problems_of(fields) == []


def test_a_real_data_set_that_breaks_a_rule() -> None:
    data, syntax, _ = split(real_file("nested_priv_SQ.dcm"))
    found = problems_of(dissect_data_set(data, syntax))
    assert set(found) == {"group 0001H in a data set (PS3.5 7.1)"}


def split(path: Path) -> tuple[bytes, str, Dataset]:
    """The bytes of a file's data set, its transfer syntax, and what pydicom reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(path, force=True)
    meta = dataset.file_meta
    content = path.read_bytes()
    return content[144 + meta.FileMetaInformationGroupLength :], str(meta.TransferSyntaxUID), dataset


def tag_text(element: DataElement) -> str:
    return f"({element.tag.group:04X},{element.tag.element:04X})"


def assert_agrees(field: Field, element: DataElement) -> None:
    if element.VR == "SQ":
        items = [child for child in field.children if child.name == "Item"]
        assert len(items) == len(element.value)
        for shown, dataset in zip(items, element.value, strict=True):
            elements = [child for child in shown.children if child.name.startswith("(")]
            assert [child.name[:11] for child in elements] == [tag_text(each) for each in dataset]
            for child, each in zip(elements, dataset, strict=True):
                assert_agrees(child, each)
    elif element.VR in ("UI", "PN", "LO", "CS", "SH") and element.VM == 1:
        expected = str(element.value).rstrip("\0 ")
        assert field.value == (expected if len(expected) <= 80 else expected[:79] + "…")
    elif element.VR in ("US", "SS", "UL", "SL") and element.VM == 1:
        assert field.value == str(element.value)


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("datasets/*.dcm")), ids=lambda file: file.stem)
def test_our_own_data_sets(file: Path) -> None:
    data, syntax, dataset = split(file)
    fields = dissect_data_set(data, syntax)
    assert_covers(fields, 0, len(data))
    assert problems_of(fields) == []
    if "deflated" in file.stem:
        assert [field.name for field in fields] == ["Deflated data set"]
    else:
        assert named(fields, "(0010,0010) PatientName").value == str(dataset.PatientName)


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_damaged_files_are_covered(name: str) -> None:
    data, syntax, _ = split(real_file(name))
    assert_covers(dissect_data_set(data, syntax), 0, len(data))


@pytest.mark.parametrize(
    ("data", "syntax", "problem"),
    [
        (implicit(NAME) + implicit(0x00080060), IMPLICIT, "not in ascending order, or one is there twice (PS3.5 7.1)"),
        (implicit(NAME) * 2, IMPLICIT, "not in ascending order, or one is there twice"),
        (implicit(NAME, b"odd"), IMPLICIT, "value length 3: it is even (PS3.5 7.1.1)"),
        (implicit(0x00000100, b"\1\0"), IMPLICIT, "group 0000H in a data set (PS3.5 7.1)"),
        (implicit(0x00020010), IMPLICIT, "group 0002H in a data set"),
        (implicit(SEQUENCE, item(implicit(NAME, b"ab", 90))) + REFERENCED, IMPLICIT, "90 goes beyond the item"),
        (implicit(SEQUENCE, item(b"", 90)) + REFERENCED, IMPLICIT, "item length 90 goes beyond the sequence"),
        (implicit(SEQUENCE, item(b"1234")) + REFERENCED, IMPLICIT, "bytes that are no element"),
        (implicit(SEQUENCE, REFERENCED), IMPLICIT, "no item where one must be (PS3.5 7.5)"),
        (implicit(SEQUENCE, item(ITEM_END)), IMPLICIT, "a delimiter in an item of defined length (PS3.5 7.5.2)"),
        (implicit(SEQUENCE, item(b"") + SEQUENCE_END), IMPLICIT, "a delimiter in a sequence of defined length"),
        (implicit(SEQUENCE, item(b"", OPEN) + SEQUENCE_END, OPEN), IMPLICIT, "the item has not ended (PS3.5 7.5.2)"),
        (implicit(SEQUENCE, implicit(0xFFFEE0DD, length=4), OPEN), IMPLICIT, "length 4 of a delimiter: it is 0"),
        (ITEM_END, IMPLICIT, "a delimiter where nothing is open (PS3.5 7.5)"),
        (SEQUENCE_END + implicit(NAME), EXPLICIT, "a delimiter where nothing is open"),
        (item(b""), IMPLICIT, "an item where no sequence is open (PS3.5 7.5)"),
        (explicit(NAME, b"??", b"ab"), EXPLICIT, "VR '??' is none of PS3.5 6.2"),
        (implicit(NAME, b"Doe "), EXPLICIT, "perhaps another transfer syntax was used"),
        (explicit(NAME, b"UT", length=OPEN), EXPLICIT, "VR UT with undefined length (PS3.5 7.1.2, 7.1.3)"),
        (explicit(0x7FE00010, b"OB", REFERENCED, OPEN), JPEG, "no fragment where one must be (PS3.5 A.4)"),
        (explicit(0x7FE00010, b"OB", item(b"odd") + SEQUENCE_END, OPEN), JPEG, "value length 3: it is even"),
        (implicit(0x7FE00010, item(b"") + SEQUENCE_END, OPEN), IMPLICIT, "encapsulated pixel data in implicit VR"),
    ],
)  # fmt: skip
def test_what_is_forbidden(data: bytes, syntax: str, problem: str) -> None:
    fields = dissect_data_set(data, syntax)
    assert any(problem in each for each in problems_of(fields)), problems_of(fields)
    assert all("PS3." in each for each in problems_of(fields))
    assert_covers(fields, 0, len(data))


def test_one_that_ends_early_is_no_problem() -> None:
    """The rest may be in another fragment."""
    nested = explicit(
        SEQUENCE, b"SQ", item(explicit(0x00081150, b"UI", b"1.2.3\0") + ITEM_END, OPEN) + SEQUENCE_END, OPEN
    )
    pixels = explicit(0x7FE00010, b"OB", item(b"\1\2") + SEQUENCE_END, OPEN)
    data = nested + explicit(NAME, b"PN", b"Doe^Jane") + pixels
    for end in range(len(data) + 1):
        fields = dissect_data_set(data[:end], JPEG)
        assert problems_of(fields) == [], end
        assert_covers(fields, 0, end)


def test_it_is_shown_no_further_than_asked() -> None:
    data = b"".join(implicit(0x00090000 + n, b"ab") for n in range(1, 50))
    fields = dissect_data_set(data, IMPLICIT, limit=100)
    assert [field.name for field in fields[-2:]] == ["(0009,000A) private", "Not shown"]
    assert fields[-1].value == f"{len(data) - 100} bytes"
    assert_covers(fields, 0, len(data))
    in_items = dissect_data_set(implicit(SEQUENCE, item(data)) + REFERENCED, IMPLICIT, limit=100)
    assert names(in_items)[-2:] == ["  Not shown", "Not shown"]


@pytest.mark.parametrize(
    "data",
    [
        b"".join(implicit(0x00090000 + n) for n in range(2 * MOST_ELEMENTS)),
        implicit(SEQUENCE, item(b"") * 2 * MOST_ELEMENTS),
        implicit(SEQUENCE, (item(ITEM_END, OPEN)) * 2 * MOST_ELEMENTS, OPEN),
        implicit(0x7FE00010, item(b"") * 2 * MOST_ELEMENTS, OPEN),
        (implicit(SEQUENCE, length=OPEN) + item(b"", OPEN)) * 10_000,
    ],
    ids=["elements", "items", "open items", "fragments", "depth"],
)
def test_no_more_is_made_than_anybody_reads(data: bytes) -> None:
    fields = dissect_data_set(data, IMPLICIT, limit=1 << 30)
    assert_covers(fields, 0, len(data))
    walked = [(depth, field) for top in fields for depth, field in top.walk()]
    assert len(walked) < MOST_FIELDS
    assert max(depth for depth, _ in walked) <= 2 * DEEPEST + 2
    assert any(field.name == "Not shown" for _, field in walked)


PIECES = [
    implicit(NAME, b"Doe "),
    explicit(NAME, b"PN", b"Doe "),
    implicit(SEQUENCE, length=OPEN),
    implicit(SEQUENCE, length=40),
    explicit(SEQUENCE, b"SQ", length=OPEN),
    explicit(0x7FE00010, b"OB", length=OPEN),
    explicit(0x00091001, b"UN", length=OPEN),
    implicit(0x00080005, b"ISO 2022 IR 87"),
    item(b"", OPEN),
    item(b"", 20),
    ITEM_END,
    SEQUENCE_END,
    b"\0",
    b"\xff\xff\xff\xff",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join) | st.binary(max_size=200),
    st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN, JPEG, "", "nonsense", "1.2.840.10008.1.2.1.99"]),
    st.integers(0, 1 << 40),
    st.integers(-1, 300),
)
def test_any_bytes_are_covered(data: bytes, syntax: str, offset: int, limit: int) -> None:
    assert_covers(dissect_data_set(data, syntax, offset, limit), offset, offset + len(data))
