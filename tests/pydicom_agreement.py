"""Holds what a scan kept against what pydicom reads of the same data set."""

import warnings
from io import BytesIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_sequence

from services.archive.index_attributes import INDEX_TAGS, encoding_of_items
from services.archive.kept_values import cap_of
from services.archive.transfer_syntaxes import encoding_of


def read_by_pydicom(data: bytes, transfer_syntax: str) -> Dataset:
    """The data set as pydicom reads it, its values not converted yet."""
    encoding = encoding_of(transfer_syntax)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_dataset(BytesIO(data), encoding.implicit_vr, encoding.little_endian)


def assert_same_values(values: dict[int, bytes], ds: Dataset) -> None:
    """Every index attribute of `ds` was kept as it stands, except those over their cap, and nothing else.

    Sequences of undefined length, which pydicom reads at once, are compared item by item.
    """
    expected = {int(tag): element for tag, element in ds.items() if tag in INDEX_TAGS}
    raw = {tag: item.value or b"" for tag, item in expected.items() if isinstance(item, RawDataElement)}
    sequences = expected.keys() - raw.keys()
    assert {tag: value for tag, value in values.items() if tag not in sequences} == {
        tag: value for tag, value in raw.items() if len(value) <= cap_of(tag)
    }
    for tag in sequences:
        content = values[tag]
        encoding = encoding_of_items(content)
        items = read_sequence(
            BytesIO(content), encoding.implicit_vr, encoding.little_endian, len(content), "iso8859"
        )
        assert [_shape(item) for item in items] == [_shape(item) for item in expected[tag].value]


def _shape(ds: Dataset) -> list[object]:
    """Tags and raw values, all the way down."""
    return [
        (int(tag), element.value or b"")
        if isinstance(element, RawDataElement)
        else (int(tag), [_shape(item) for item in element.value])
        for tag, element in ds.items()
    ]
