"""The scanner against bytes nobody would think of, and against what pydicom writes."""

from itertools import pairwise

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from pydicom_agreement import assert_same_values, read_by_pydicom
from services.archive.index_attributes import SEQUENCE_CAP
from services.archive.invalid_data_set import InvalidDataSet, TruncatedDataSet
from services.archive.scanner import HeaderScanner
from services.archive.transfer_syntaxes import encoding_of

SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]
FRAGMENTS_OF_DATA_SETS = [
    b"\x08\x00\x18\x00UI\x04\x001.2\x00",
    b"\x10\x00\x10\x00PN\x08\x00Doe^Jane",
    b"\x10\x00\x10\x00\x08\x00\x00\x00Doe^Jane",
    b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff",
    b"\x40\x00\x75\x02\xff\xff\xff\xff",
    b"\x40\x00\x75\x02SQ\x00\x00\x10\x00\x00\x00",
    b"\x09\x00\x10\x10UN\x00\x00\xff\xff\xff\xff",
    b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff",
    b"\xe0\x7f\x10\x00OW\x00\x00\xfe\xff\xff\xff",
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    b"\xfe\xff\x00\xe0\x08\x00\x00\x00",
    b"\xfe\xff\x0d\xe0\x00\x00\x00\x00",
    b"\xfe\xff\xdd\xe0\x00\x00\x00\x00",
]

nearly_data_sets = st.lists(st.sampled_from(FRAGMENTS_OF_DATA_SETS) | st.binary(max_size=6), max_size=12).map(
    b"".join
)
cut_points = st.lists(st.integers(0, 400), max_size=8)


def scan(data, transfer_syntax, cuts=()):
    scanner = HeaderScanner(transfer_syntax)
    view = memoryview(data)
    cuts = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(cuts):
        scanner.feed(view[start:end])
    scanner.finish()
    return scanner


def outcome(data, transfer_syntax, cuts=()):
    try:
        return scan(data, transfer_syntax, cuts).values
    except InvalidDataSet as error:
        return type(error) is TruncatedDataSet


@settings(max_examples=300, deadline=None)
@given(data=nearly_data_sets | st.binary(max_size=400), syntax=st.sampled_from(SYNTAXES), cuts=cut_points)
@example(
    data=b"\x40\x00\x75\x02\x10\x00\x00\x00\xfe\xff\x00\xe0" + bytes(12), syntax=SYNTAXES[0], cuts=[9, 10]
)
def test_any_bytes_scan_or_are_refused_however_they_are_cut(data, syntax, cuts):
    assert outcome(data, syntax) == outcome(data, syntax, cuts) == outcome(data, syntax, range(len(data)))


VALUE_ELEMENTS = {
    0x00080050: "SH",
    0x00080070: "LO",
    0x00100010: "PN",
    0x00104000: "LT",
    0x0020000D: "UI",
    0x00204000: "LT",
    0x00291010: "UN",
    0x00291011: "OB",
    0x0040A160: "UT",
    0x60003000: "OW",
}
SEQUENCE_ELEMENTS = [0x00081032, 0x00291012, 0x00400275, 0x0040A730]
values = st.builds(
    lambda pattern, count: pattern * count,
    st.sampled_from([b"A1", b"\xfe\xff", b"\x00\x00", b"SQ"]),
    st.sampled_from([0, 1, 4, 15, 127]),
)
elements = st.dictionaries(st.sampled_from(sorted(VALUE_ELEMENTS)), values, max_size=5)


def with_sequences(items):
    """Elements and sequences of such items; the booleans say what ends at a delimiter."""
    sequence = st.tuples(st.booleans(), st.lists(st.tuples(st.booleans(), items), max_size=2))
    sequences = st.dictionaries(st.sampled_from(SEQUENCE_ELEMENTS), sequence, max_size=2)
    return st.builds(lambda plain, nested: plain | nested, elements, sequences)


nested_data_sets = st.recursive(elements, with_sequences, max_leaves=8)


def build(description):
    ds = Dataset()
    for tag, value in description.items():
        if isinstance(value, bytes):
            ds[tag] = RawDataElement(Tag(tag), VALUE_ELEMENTS[tag], len(value), value, 0, False, True)
            continue
        undefined, items = value
        ds[tag] = DataElement(tag, "SQ", Sequence([build(item) for _, item in items]))
        ds[tag].is_undefined_length = undefined
        for item, (undefined_item, _) in zip(ds[tag].value, items, strict=True):
            item.is_undefined_length_sequence_item = undefined_item
    return ds


def encode(ds, transfer_syntax):
    encoding = encoding_of(transfer_syntax)
    out = DicomBytesIO()
    out.is_implicit_VR = encoding.implicit_vr
    out.is_little_endian = encoding.little_endian
    with disable_value_validation():
        write_dataset(out, ds)
    return out.getvalue()


@settings(max_examples=150, deadline=None)
@given(
    description=nested_data_sets,
    syntax=st.sampled_from(SYNTAXES),
    cuts=st.lists(st.integers(0, 4000), max_size=8),
)
def test_nested_data_sets_are_read_as_pydicom_reads_them(description, syntax, cuts):
    data = encode(build(description), syntax)
    assume(len(data) <= SEQUENCE_CAP)
    scanner = scan(data, syntax, cuts)
    assert not scanner.mismatched
    assert_same_values(scanner.values, read_by_pydicom(data, syntax))
    assert scan(data, syntax, range(0, len(data), 3)).values == scanner.values
