"""Instances that must not be stored: other than announced, named like paths, broken, too deep (PS3.4 B.2.3)."""

from collections.abc import Callable, Iterator

from services.conformance.building import EXPLICIT, IMPLICIT
from services.conformance.case import Case, case
from services.conformance.cases.storage_checks import not_indexed
from services.conformance.data_sets import (
    BIRTH_DATE,
    CONTENT_SEQUENCE,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    PIXEL_DATA,
    SERIES_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_UID,
    UNDEFINED,
    Elements,
    Instance,
    Items,
    Nested,
    element,
    encode,
    header,
    instance,
)
from services.conformance.steps import echo
from services.conformance.storing import FAILURE, OTHER_FAILURE, for_storage, store
from services.conformance.target import Service, Target

_NEEDS = (Service.STORAGE,)
_MISMATCH = ("A9??",)
_MISMATCH_TOLERATED = ("B007", "C???", "01??")
_BROKEN = ("C???",)
_BROKEN_TOLERATED = ("A7??", "A9??", "01??")

# -- 119: another instance than announced


def _announced_otherwise() -> Iterator[Case]:
    for name, what, tag in (
        ("119a", "SOP Instance UID", SOP_INSTANCE_UID),
        ("119b", "SOP Class UID", SOP_CLASS_UID),
    ):

        def make(target: Target, name: str = name, tag: int = tag) -> Instance:
            other = target.uid(119, 99) if tag == SOP_INSTANCE_UID else b"1.2.840.10008.5.1.4.1.1.88.11"
            return instance(target, name).changed({tag: other})

        yield case(
            f"storage-{name}",
            f"The data set's {what} is not the one of the command",
            "PS3.4 B.2.3: A9xx",
            for_storage(),
            store(
                make,
                f"a C-STORE-RQ whose data set has another {what}",
                strict=_MISMATCH,
                tolerated=_MISMATCH_TOLERATED,
                why="data set does not match SOP class, or is another instance (PS3.4 B.2.3)",
            ),
            not_indexed(make, "under the UID of the command"),
            echo(),
            needs=_NEEDS,
            writes=True,
            note="Success would acknowledge an instance under a UID that it does not have.",
        )


# -- 120: SOP Instance UIDs that are none

_NO_UIDS: tuple[tuple[str, str, Callable[[Target], bytes]], ...] = (
    ("120a", "'..'", lambda target: b".."),
    ("120b", "'/etc/conformance'", lambda target: b"/etc/conformance"),
    ("120c", "65 characters long", lambda target: (target.uid(120, 3) + b"." + b"1" * 65)[:65]),
    ("120d", "empty", lambda target: b""),
    ("120g", r"'..\conformance'", lambda target: rb"..\conformance"),
    ("120h", "digits with a NUL between them", lambda target: target.uid(120) + b"\0.1"),
    ("120i", "letters", lambda target: b"conformance"),
    ("120j", "'../../conformance'", lambda target: b"../../conformance"),
    ("120k", "a valid UID and a line feed", lambda target: target.uid(120, 11) + b"\n"),
)
_HARMLESS = frozenset({"120h", "120i", "120k"})
"""What cannot lead out of a directory."""


def _no_uid() -> Iterator[Case]:
    for name, what, uid in _NO_UIDS:
        yield case(
            f"storage-{name}",
            f"A SOP Instance UID that is {what}",
            "PS3.5 9.1; PS3.7 9.1.1.1.9, C.5.12: 0117",
            for_storage(),
            store(
                _named(name, uid),
                f"a C-STORE-RQ whose SOP Instance UID, in command and data set, is {what}",
                strict=FAILURE if name != "120d" else (*FAILURE, "0120", "0121"),
                tolerated=(*OTHER_FAILURE, "0000") if name in _HARMLESS else OTHER_FAILURE,
                or_abort=True,
                why="it is no UID: digits and dots, 1 to 64 of them, no empty component (PS3.5 9.1)",
            ),
            echo(),
            needs=_NEEDS,
            writes=True,
            note="No SCP is obliged to look; storing it is tolerated, where it could not name a file outside of the "
            "archive."
            if name in _HARMLESS
            else "A path of a file, or no UID at all: to say 0000 is to promise an instance that nobody can ask for "
            "by a valid UID.",
        )
    for name, what, uid in (
        ("120e", "has an empty component, '1..2'", lambda target: target.uid(120, 5) + b"..2"),
        ("120f", "has a component with a leading zero, '1.02'", lambda target: target.uid(120, 6) + b".02"),
    ):
        yield case(
            f"storage-{name}",
            f"A SOP Instance UID that {what}",
            "PS3.5 9.1",
            for_storage(),
            store(
                _named(name, uid),
                f"a C-STORE-RQ whose SOP Instance UID {what}",
                strict=(*FAILURE, "0000"),
                tolerated=OTHER_FAILURE,
                why="it is against PS3.5 9.1, but harmless: refusing and storing it are both right",
            ),
            echo(),
            needs=_NEEDS,
            writes=True,
        )
    for name, tag, what in (("120l", STUDY_UID, "Study"), ("120m", SERIES_UID, "Series")):

        def make(target: Target, name: str = name, tag: int = tag) -> Instance:
            return instance(target, name).changed({tag: b".."})

        yield case(
            f"storage-{name}",
            f"A {what} Instance UID that is '..'",
            "PS3.5 9.1; PS3.4 B.2.3",
            for_storage(),
            store(
                make,
                f"a C-STORE-RQ whose data set has the {what} Instance UID '..'",
                strict=FAILURE,
                tolerated=(*OTHER_FAILURE, "0000"),
                why="it is no UID (PS3.5 9.1)",
            ),
            echo(),
            needs=_NEEDS,
            writes=True,
            note="An SCP need not look into the data set: one that stores it under a name of its own making does no "
            "harm.",
        )


def _named(name: str, uid: Callable[[Target], bytes]) -> Callable[[Target], Instance]:
    return lambda target: instance(target, name).named(uid(target))


# -- 121: data sets that are broken


def _cut(tail: bytes) -> Callable[[Instance], bytes]:
    """The data set without pixel data, and these bytes at its end."""
    return lambda each: each.changed({}, without=(PIXEL_DATA,)).encoded() + tail


_LOST = (
    "Many readers take what is shorter than a header at the end for nothing. But this data set was cut in its pixel "
    "data, and the sender is told that it is kept."
)

_INSIDE = encode({MODALITY: b"OT"})

_BROKEN_DATA: tuple[tuple[str, str, bytes, Callable[[Instance], bytes]], ...] = (
    ("121a", "that ends in the middle of a value", IMPLICIT, lambda each: each.encoded()[:-2]),
    ("121b", "that ends in the middle of an element's header", IMPLICIT, lambda each: each.encoded()[:-10]),
    (
        "121c",
        "that ends inside a sequence of defined length",
        IMPLICIT,
        _cut(header(CONTENT_SEQUENCE, "SQ", 1000) + element(0xFFFEE000, b"")),
    ),
    (
        "121d",
        "that ends inside a sequence of undefined length",
        IMPLICIT,
        lambda each: each.changed(
            {CONTENT_SEQUENCE: Items(({MODALITY: b"OT"},), defined=False)}, without=(PIXEL_DATA,)
        ).encoded()[:-8],
    ),
    (
        "121e",
        "with an item longer than its sequence",
        IMPLICIT,
        _cut(header(CONTENT_SEQUENCE, "SQ", 8 + len(_INSIDE)) + header(0xFFFEE000, "", 4096) + _INSIDE),
    ),
    (
        "121f",
        "with something else where an item is due",
        EXPLICIT,
        lambda each: (
            each.changed({}, without=(PIXEL_DATA,)).encoded(EXPLICIT)
            + header(CONTENT_SEQUENCE, "SQ", 10, EXPLICIT)
            + element(MODALITY, b"OT", EXPLICIT)
        ),
    ),
    (
        "121g",
        "whose last element says to have FFFFFFF0H bytes",
        IMPLICIT,
        _cut(header(PIXEL_DATA, "OW", 0xFFFFFFF0) + bytes(16)),
    ),
    ("121h", "of no bytes at all", IMPLICIT, lambda each: b""),
    (
        "121i",
        "that is no data set, but text",
        IMPLICIT,
        lambda each: b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n" * 20,
    ),
    (
        "121j",
        "whose encapsulated pixel data has no delimiter",
        EXPLICIT,
        lambda each: (
            each.changed({}, without=(PIXEL_DATA,)).encoded(EXPLICIT)
            + header(PIXEL_DATA, "OB", UNDEFINED, EXPLICIT)
            + header(0xFFFEE000, "", 0)
        ),
    ),
    (
        "121k",
        "with an element of an unknown VR, '??'",
        EXPLICIT,
        lambda each: (
            each.changed({}, without=(PIXEL_DATA,)).encoded(EXPLICIT)
            + header(0x00400244, "??", 4, EXPLICIT)
            + b"ABCD"
        ),
    ),
)


def _broken() -> Iterator[Case]:
    for name, what, syntax, data in _BROKEN_DATA:
        lenient = name in ("121e", "121j", "121k")
        yield case(
            f"storage-{name}",
            f"A data set {what}",
            "PS3.4 B.2.3: Cxxx; PS3.5 7",
            for_storage(syntax),
            store(
                _maker(name),
                f"a C-STORE-RQ with a data set {what}",
                syntax=syntax,
                data=data,
                strict=(*_BROKEN, "A9??") if name == "121h" else _BROKEN,
                tolerated=(*_BROKEN_TOLERATED, "0000") if lenient else _BROKEN_TOLERATED,
                or_abort=True,
                why="it cannot be understood, and is lost if the peer says otherwise (PS3.4 B.2.3)",
            ),
            () if lenient else not_indexed(_maker(name), "of what was refused"),
            echo(),
            needs=_NEEDS,
            writes=True,
            note="No data is lost where a reader makes sense of it in spite of that: tolerated."
            if lenient
            else _LOST
            if name == "121b"
            else "",
        )
    for name, said, meant, is_meant in (
        ("121l", "Implicit", "Explicit VR Little Endian", EXPLICIT),
        ("121m", "Explicit", "Implicit VR Little Endian", IMPLICIT),
    ):
        said_syntax = IMPLICIT if said == "Implicit" else EXPLICIT
        yield case(
            f"storage-{name}",
            f"A data set in {meant} on a context of {said} VR Little Endian",
            "PS3.4 B.2.3: Cxxx; PS3.5 7.1, 10",
            for_storage(said_syntax),
            store(
                _maker(name),
                f"a C-STORE-RQ with a data set in {meant}",
                data=_encoder(is_meant),
                strict=_BROKEN,
                tolerated=(*_BROKEN_TOLERATED, "0000", "B???"),
                or_abort=True,
                why="it is not encoded as was agreed upon",
            ),
            echo(),
            needs=_NEEDS,
            writes=True,
            note="Some peers find out the encoding from the bytes and store the instance rightly labelled: tolerated, "
            "as nothing on the wire tells them from those that do not.",
        )


def _maker(name: str) -> Callable[[Target], Instance]:
    return lambda target: instance(target, name)


def _encoder(syntax: bytes) -> Callable[[Instance], bytes]:
    return lambda each: each.encoded(syntax)


# -- 122: attributes that are missing

_MISSING: tuple[tuple[str, str, Elements, tuple[int, ...]], ...] = (
    ("122a", "without Study Instance UID", {}, (STUDY_UID,)),
    ("122b", "without Series Instance UID", {}, (SERIES_UID,)),
    ("122c", "with an empty Study Instance UID", {STUDY_UID: b""}, ()),
    ("122d", "without SOP Instance UID", {}, (SOP_INSTANCE_UID,)),
    ("122e", "without SOP Class UID", {}, (SOP_CLASS_UID,)),
)
_MISSING_TYPE_2: tuple[tuple[str, str, Elements, tuple[int, ...]], ...] = (
    ("122f", "with an empty Patient ID", {PATIENT_ID: b""}, ()),
    (
        "122g",
        "with empty Patient's Name, Patient ID and birth date",
        {PATIENT_NAME: b"", PATIENT_ID: b"", BIRTH_DATE: b""},
        (),
    ),
    ("122h", "without Patient ID", {}, (PATIENT_ID,)),
)


def _missing() -> Iterator[Case]:
    for name, what, changes, without in _MISSING:
        yield case(
            f"storage-{name}",
            f"An instance {what}",
            "PS3.4 B.2.3; PS3.3 C.7.2.1, C.7.3.1, C.12.1: type 1",
            for_storage(),
            store(
                _changed(name, changes, without),
                f"a C-STORE-RQ with an instance {what}",
                strict=("A9??", "C???"),
                tolerated=("A7??", "01??", "B???", "0000"),
                why="it cannot be filed without",
            ),
            echo(),
            needs=_NEEDS,
            writes=True,
            note="The standard does not oblige an SCP to look; one that stores the instance anyway is tolerated.",
        )
    for name, what, changes, without in _MISSING_TYPE_2:
        yield case(
            f"storage-{name}",
            f"An instance {what}",
            "PS3.4 B.2.3; PS3.3 C.7.1.1: type 2",
            for_storage(),
            store(
                _changed(name, changes, without),
                f"a C-STORE-RQ with an instance {what}",
                tolerated=("B???",) if name != "122h" else ("B???", "A9??", "C???"),
                why="an attribute of type 2 may be empty",
            ),
            echo(),
            needs=_NEEDS,
            writes=True,
        )


def _changed(name: str, changes: Elements, without: tuple[int, ...]) -> Callable[[Target], Instance]:
    return lambda target: instance(target, name).changed(changes, without)


# -- 128: sequences inside sequences


def _deep() -> Iterator[Case]:
    for letter, depth, defined in zip(
        "abcdefgh", (10, 10, 64, 64, 65, 65, 5000, 5000), (True, False) * 4, strict=True
    ):
        name = f"128{letter}"
        length = "defined" if defined else "undefined"
        yield case(
            f"storage-{name}",
            f"{depth} sequences inside one another, of {length} length",
            "PS3.5 7.5; PS3.4 B.2.3",
            for_storage(),
            store(
                _changed(name, {CONTENT_SEQUENCE: Nested(depth, defined)}, ()),
                f"a C-STORE-RQ with {depth} sequences inside one another",
                strict=("0000",) if depth <= 64 else ("0000", "C???", "A7??", "A9??"),
                tolerated=() if depth == 10 else ("C???", "A???", "01??"),
                or_abort=depth > 64,
                why="ten are common"
                if depth == 10
                else "the standard sets no limit, a peer may; what counts is that it answers and serves on",
            ),
            echo(),
            needs=_NEEDS,
            writes=True,
        )


CASES: tuple[Case, ...] = (
    *_announced_otherwise(),
    *sorted(_no_uid(), key=lambda each: each.id),
    *_broken(),
    *_missing(),
    *_deep(),
)
