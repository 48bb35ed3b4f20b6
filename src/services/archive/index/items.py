"""The items of a kept sequence, decoded (PS3.5 7.5)."""

import warnings
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from typing import Any, TypeAlias

from services.archive.index_attributes import encoding_of_items
from services.character_sets import character_sets_of, decode, takes_character_sets

MAXIMUM_DEPTH = 8
"""Sequences within the sequences that are kept; real ones have two."""

_LONGEST_VALUE = 4096  # bytes, as of any other value that is kept

Item: TypeAlias = dict[str, Any]
"""Tag (`00400007`) to text, or to a list of items."""


@lru_cache(256)
def items_of(content: bytes, sets: tuple[str, ...]) -> list[Item]:
    """The items of a sequence, without what is empty, private, binary or very long; none where it is damaged.

    Args:
        content: the items as a scan kept them.
        sets: the character sets of the data set they stood in; an item may have its own (PS3.3 C.12.1.1.2).
    """
    from pydicom.filereader import read_sequence

    encoding = encoding_of_items(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read_sequence(
                BytesIO(content), encoding.implicit_vr, encoding.little_endian, len(content), ["iso8859"], 0
            )
            return [item for item in (_item(each, sets, 1) for each in found) if item]
    except Exception:  # pydicom raises whatever the bytes provoke; nobody can match against them
        return []


def _item(dataset: Any, sets: tuple[str, ...], depth: int) -> Item:
    declared = dataset.get_item("SpecificCharacterSet")
    if declared is not None and isinstance(declared.value, bytes):
        sets = character_sets_of(declared.value.decode("latin-1"))
    return dict(_elements(dataset, sets, depth))


def _elements(dataset: Any, sets: tuple[str, ...], depth: int) -> Iterator[tuple[str, Any]]:
    from pydicom.datadict import dictionary_VR

    for tag in dataset.keys():  # noqa: SIM118 (iterating decodes every element)
        if tag.is_private or tag == 0x00080005:
            continue
        element = dataset.get_item(tag)
        vr = element.VR
        if vr in (None, "UN"):
            try:
                vr = dictionary_VR(tag)
            except KeyError:
                continue
        if vr == "SQ":
            if depth < MAXIMUM_DEPTH:
                inner = [_item(each, sets, depth + 1) for each in dataset[tag].value]
                if inner:
                    yield f"{int(tag):08X}", inner
        elif isinstance(element.value, bytes) and (text := _text(element.value, vr, sets)):
            yield f"{int(tag):08X}", text


_PLAIN = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})


def _text(value: bytes, vr: str, sets: tuple[str, ...]) -> str:
    if len(value) > _LONGEST_VALUE or not (takes_character_sets(vr) or vr in _PLAIN):
        return ""
    text = decode(value, sets if takes_character_sets(vr) else ("",)).rstrip(" \0").replace("\0", " ")
    return "\\".join(part.strip(" ") for part in text.split("\\"))
