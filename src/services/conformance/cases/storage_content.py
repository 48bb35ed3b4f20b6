"""Instances with odd content: character sets, hostile text, irregular elements (PS3.4 B.2.2, B.2.3; PS3.5 6, 7)."""

import struct
from collections.abc import Callable, Iterator

from services.conformance.building import EXPLICIT, IMPLICIT
from services.conformance.case import Case, case
from services.conformance.cases.storage_checks import indexed_once
from services.conformance.data_sets import (
    ACCESSION_NUMBER,
    BIRTH_DATE,
    IMAGE_COMMENTS,
    INSTANCE_NUMBER,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    SERIES_NUMBER,
    SPECIFIC_CHARACTER_SET,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_TIME,
    STUDY_UID,
    Elements,
    Instance,
    Typed,
    element,
    encode,
    instance,
)
from services.conformance.steps import echo, release
from services.conformance.storing import for_storage, store
from services.conformance.target import Service, Target

_NEEDS = (Service.STORAGE,)

# -- 130: character sets

CHARACTER_SETS: dict[str, tuple[str, bytes, bytes, str]] = {
    "a": ("UTF-8", b"ISO_IR 192", "Ωmega^Ελένη=王^小東".encode(), "Ωmega^Ελένη=王^小東"),
    "b": ("Latin alphabet No. 1", b"ISO_IR 100", "Müller^Søren".encode("latin-1"), "Müller^Søren"),
    "c": (
        "Japanese with ISO 2022 escapes",
        b"\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
        "Yamada^Tarou=山田^太郎",
    ),
    "d": (
        "Korean with ISO 2022 escapes",
        b"\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
        "Hong^Gildong=洪^吉洞",
    ),
    "e": ("GB18030", b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    "f": ("Cyrillic", b"ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
}
"""By letter: what it is, Specific Character Set, a Patient's Name in it (PS3.5 Annexes H to K), the same as text."""

_WRONG_CHARACTER_SETS = (
    ("130g", "that declares UTF-8 and is none", b"ISO_IR 192", b"M\xfcller^S\xf8ren"),
    ("130h", "that declares a character set nobody knows", b"ISO_IR 999", b"Conformance^Tester"),
    ("130i", "with bytes outside ASCII and no character set declared", b"", b"M\xfcller^S\xf8ren"),
    ("130j", "with an escape sequence that nothing declares", b"ISO_IR 100", b"\x1b$B;3ED\x1b(B"),
)


def in_character_set(target: Target, letter: str) -> Instance:
    """The instance of case 130 with this letter."""
    _, term, name, _ = CHARACTER_SETS[letter]
    return instance(target, f"130{letter}").changed({SPECIFIC_CHARACTER_SET: term, PATIENT_NAME: name})


def _of_letter(letter: str) -> Callable[[Target], Instance]:
    return lambda target: in_character_set(target, letter)


def _character_sets() -> Iterator[Case]:
    for letter, (what, _, _, _) in CHARACTER_SETS.items():
        yield case(
            f"storage-130{letter}",
            f"A Patient's Name in {what}",
            "PS3.5 6.1.2; PS3.4 B.2.2",
            for_storage(),
            store(_of_letter(letter)),
            indexed_once(_of_letter(letter)),
            release(),
            needs=_NEEDS,
            writes=True,
        )
    for name, what, term, value in _WRONG_CHARACTER_SETS:
        yield case(
            f"storage-{name}",
            f"A Patient's Name {what}",
            "PS3.5 6.1.2; PS3.4 B.2.2, B.2.3",
            for_storage(),
            store(
                _changed(name, {SPECIFIC_CHARACTER_SET: term, PATIENT_NAME: value}),
                tolerated=("B???", "C???", "A9??"),
                why="text that cannot be decoded is no reason to lose an image",
            ),
            echo(),
            needs=_NEEDS,
            writes=True,
        )


def _changed(name: str, changes: Elements, without: tuple[int, ...] = ()) -> Callable[[Target], Instance]:
    return lambda target: instance(target, name).changed(changes, without)


# -- 200 and up: text that is hostile

_HOSTILE: tuple[tuple[str, str, Elements], ...] = (
    (
        "200a",
        "a quote and SQL in its texts",
        {STUDY_DESCRIPTION: b"'; DROP TABLE study; --", ACCESSION_NUMBER: b"' OR '1'='1"},
    ),
    (
        "200b",
        "HTML and script in its texts",
        {STUDY_DESCRIPTION: b"<script>alert(1)</script>", PATIENT_NAME: b"<b>Conf^T&amp;"},
    ),
    (
        "200c",
        "format directives in its texts",
        {STUDY_DESCRIPTION: b"%s%n{0}${jndi:x}", PATIENT_NAME: b"%s^{x}"},
    ),
    (
        "200d",
        "control characters in its texts",
        {STUDY_DESCRIPTION: b"\x07\x1b[2J\r\n\x00x", ACCESSION_NUMBER: b"a\nb"},
    ),
    (
        "200e",
        "a path for a Patient ID",
        {STUDY_DESCRIPTION: b"../../etc/passwd", PATIENT_ID: b"../../CONFORMANCE"},
    ),
)


def _hostile() -> Iterator[Case]:
    for name, what, changes in _HOSTILE:
        yield case(
            f"storage-{name}",
            f"An instance with {what}",
            "PS3.4 B.2.2",
            for_storage(),
            store(
                _changed(name, changes),
                tolerated=("B???", "C???", "A9??"),
                why="text is kept as it is, and never means anything to the peer",
            ),
            indexed_once(_changed(name, changes)) if name != "200d" else (),
            echo(),
            needs=_NEEDS,
            writes=True,
        )


# -- values and elements that are irregular

_IRREGULAR: tuple[tuple[str, str, Elements], ...] = (
    (
        "201a",
        "dates and times that are none",
        {STUDY_DATE: b"20241399", STUDY_TIME: b"9999", BIRTH_DATE: b"unknown"},
    ),
    (
        "201b",
        "dates in the form of ACR-NEMA, 2024.01.15",
        {STUDY_DATE: b"2024.01.15", STUDY_TIME: b"08:30:00"},
    ),
    ("201c", "numbers that are none", {SERIES_NUMBER: b"one", INSTANCE_NUMBER: b"1.5E400"}),
    ("201d", "a description of 4000 characters, 64 are allowed", {STUDY_DESCRIPTION: b"x" * 4000}),
    (
        "201e",
        "several values where one is allowed",
        {PATIENT_ID: b"CONFORMANCE\\B", MODALITY: b"OT\\CT", STUDY_DATE: b"20240115\\20240116"},
    ),
    (
        "201f",
        "a Patient's Name of nine components and groups",
        {PATIENT_NAME: b"A^B^C^D^E^F^G^H^I=J=K=L=M=N"},
    ),
)


def _irregular() -> Iterator[Case]:
    for name, what, changes in _IRREGULAR:
        yield case(
            f"storage-{name}",
            f"An instance with {what}",
            "PS3.4 B.2.2, B.2.3; PS3.5 6.2",
            for_storage(),
            store(
                _changed(name, changes),
                tolerated=("B???", "C???", "A9??"),
                why="the data set can be read; a value against PS3.5 6.2 is no reason to lose an image",
            ),
            echo(),
            needs=_NEEDS,
            writes=True,
        )


def _part_10(each: Instance) -> bytes:
    """A whole file, as a careless sender sends it (PS3.10 7.1)."""
    syntax = element(0x00020010, IMPLICIT, EXPLICIT)
    meta = element(0x00020000, Typed("UL", struct.pack("<I", len(syntax))), EXPLICIT) + syntax
    return bytes(128) + b"DICM" + meta + each.encoded()


def _out_of_order(each: Instance) -> bytes:
    last = each.changed({}, without=(PATIENT_NAME,)).encoded()
    return last + element(PATIENT_NAME, b"Conformance^Tester")


def _twice(each: Instance) -> bytes:
    """The Study Instance UID a second time, with another value."""
    elements = sorted(each.elements)
    place = elements.index(STUDY_UID) + 1
    before = {tag: each.elements[tag] for tag in elements[:place]}
    after = {tag: each.elements[tag] for tag in elements[place:]}
    return encode(before) + element(STUDY_UID, each.study + b".9") + encode(after)


def _odd(each: Instance) -> bytes:
    """Two such values, so that the data set as a whole is even."""
    return each.changed(
        {IMAGE_COMMENTS: Typed("LT", b"odd"), STUDY_DESCRIPTION: Typed("LO", b"one")}
    ).encoded()


def _group_lengths(each: Instance) -> bytes:
    """With retired group lengths of the first two groups (PS3.5 7.2)."""
    first = {tag: value for tag, value in each.elements.items() if tag >> 16 == 8}
    rest = {tag: value for tag, value in each.elements.items() if tag >> 16 != 8}
    encoded = encode(first)
    return element(0x00080000, Typed("UL", struct.pack("<I", len(encoded)))) + encoded + encode(rest)


def _command_group(each: Instance) -> bytes:
    return element(0x00000002, each.sop_class) + each.encoded()


_BYTES: tuple[tuple[str, str, Callable[[Instance], bytes], tuple[str, ...], tuple[str, ...], str], ...] = (
    (
        "202a",
        "A whole Part 10 file, preamble and File Meta Information included, as the data set",
        _part_10,
        ("C???", "A9??", "B006"),
        ("01??", "0000"),
        "groups 0002 and a preamble have no place in a data set (PS3.5 7.1)",
    ),
    (
        "202b",
        "A data set with an element of group 0000",
        _command_group,
        ("C???", "A9??", "B006"),
        ("01??", "0000"),
        "group 0000 has no place in a data set (PS3.5 7.1)",
    ),
    (
        "202c",
        "A data set whose elements are not in ascending order",
        _out_of_order,
        ("0000", "C???", "A9??"),
        ("B???", "01??"),
        "it is against PS3.5 7.1; refusing it and storing it are both right",
    ),
    (
        "202d",
        "A data set with two Study Instance UIDs",
        _twice,
        ("C???", "A9??"),
        ("B???", "01??", "0000"),
        "an element occurs once in a data set (PS3.5 7.1), and nobody knows which of the two is meant",
    ),
    (
        "202e",
        "A data set with values of odd length",
        _odd,
        ("0000", "C???", "A9??"),
        ("B???", "01??"),
        "it is against PS3.5 7.1.1; refusing it and storing it are both right",
    ),
    (
        "202f",
        "A data set with a group length",
        _group_lengths,
        ("0000",),
        ("B???",),
        "group lengths are retired, and to be accepted (PS3.5 7.2)",
    ),
)


def _by_bytes() -> Iterator[Case]:
    for name, title, data, strict, tolerated, why in _BYTES:
        yield case(
            f"storage-{name}",
            title,
            "PS3.5 7.1, 7.2; PS3.4 B.2.3",
            for_storage(),
            store(_changed(name, {}), data=data, strict=strict, tolerated=tolerated, or_abort=True, why=why),
            echo(),
            needs=_NEEDS,
            writes=True,
        )


CASES: tuple[Case, ...] = (*_character_sets(), *_hostile(), *_irregular(), *_by_bytes())
