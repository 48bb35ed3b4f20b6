"""What the tests of the dissector have in common: fixtures as bytes, and a look at what came of them."""

from pathlib import Path
from typing import Any

from dul.errors import InvalidPDU
from services.trace.dissect import dissect
from services.trace.fields import Dissection, Field
from services.trace.reading import PDUReader, ReadPDU

FIXTURES = Path(__file__).parents[1] / "fixtures"
SOUND = sorted(FIXTURES.glob("pdus/*.hex"))
INVALID = sorted(FIXTURES.glob("invalid/*.hex"))


def hex_bytes(file: Path) -> bytes:
    """The bytes of a .hex file of the fixtures."""
    return bytes.fromhex("".join(line.partition("#")[0] for line in file.read_text().splitlines()))


def read(raw: bytes) -> ReadPDU:
    """The first PDU of `raw`, or `raw` as something that cannot be read."""
    found = PDUReader().feed(raw)
    return found[0] if found else ReadPDU(raw, None, InvalidPDU("not whole"))


def dissected(raw: bytes, *arguments: Any, **options: Any) -> Dissection:
    """The first PDU of `raw`, taken apart."""
    return dissect(read(raw), *arguments, **options)


def leaves(fields: tuple[Field, ...]) -> list[Field]:
    return [field for top in fields for _, field in top.walk() if not field.children]


def named(found: Dissection | tuple[Field, ...], name: str) -> Field:
    """The first field of that name."""
    fields = found.fields if isinstance(found, Dissection) else found
    return next(field for top in fields for _, field in top.walk() if field.name == name)


def problems_of(fields: tuple[Field, ...]) -> list[str]:
    return [field.problem for top in fields for _, field in top.walk() if field.problem]


def assert_covers(fields: tuple[Field, ...], start: int, end: int) -> None:
    """Each byte from `start` to `end` is in exactly one leaf, in order, and each group is as long as what is in it."""
    position = start
    for leaf in leaves(fields):
        assert leaf.offset == position, leaf
        position += leaf.length
    assert position == end
    for top in fields:
        for _, field in top.walk():
            if field.children:
                assert (field.offset, field.end) == (field.children[0].offset, field.children[-1].end)
