"""Instances in every encoding that a peer accepts: they must be stored as they come (PS3.4 B.2.2; PS3.5 Annex A)."""

from collections.abc import Callable, Iterator

from msgspec import structs

from services.conformance.building import EXPLICIT, IMPLICIT
from services.conformance.case import Case, case
from services.conformance.conversation import Conversation
from services.conformance.data_sets import (
    BIG_ENDIAN,
    CONTENT_SEQUENCE,
    DEFLATED,
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    JPEG_LS,
    MODALITY,
    PIXEL_DATA,
    RLE,
    SOP_CLASS_UID,
    TRAILING_PADDING,
    Elements,
    Fragments,
    Instance,
    Items,
    Typed,
    compressed,
    deflate,
    instance,
)
from services.conformance.steps import Do, Expect, Send, Step, echo, release
from services.conformance.storing import Context, for_storage, propose, result_of, storage, store
from services.conformance.target import Service, Target

_SYNTAXES = (
    ("118a", "Implicit VR Little Endian", IMPLICIT),
    ("118b", "Explicit VR Little Endian", EXPLICIT),
    ("118c", "Explicit VR Big Endian", BIG_ENDIAN),
    ("118d", "JPEG Baseline", JPEG_BASELINE),
    ("118e", "JPEG Lossless, SV1", JPEG_LOSSLESS),
    ("118f", "JPEG-LS Lossless", JPEG_LS),
    ("118g", "JPEG 2000 Lossless", JPEG_2000),
    ("118h", "RLE Lossless", RLE),
)

_PRIVATE_CLASS = b"2.25.92338011446172086510263480226511903211"
"""A storage SOP class of nobody's."""


def _in_syntax(name: str, title: str, syntax: bytes) -> Case:
    return case(
        f"storage-{name}",
        f"An instance in {title}",
        "PS3.4 B.2.2, B.2.3; PS3.5 Annex A",
        for_storage(syntax, what=f"storage in {title}"),
        store(lambda target: compressed(instance(target, name), syntax), syntax=syntax),
        release(),
        needs=(Service.STORAGE,),
        writes=True,
    )


_SEQUENCE_ITEMS: tuple[Elements, ...] = (
    {MODALITY: b"OT", CONTENT_SEQUENCE: Items(({}, {MODALITY: b"CT"}))},
    {},
)

_CONTENTS: tuple[tuple[str, str, bytes, Elements], ...] = (
    ("118i", "sequences and items of defined length", IMPLICIT, {CONTENT_SEQUENCE: Items(_SEQUENCE_ITEMS)}),
    (
        "118j",
        "sequences and items of undefined length",
        IMPLICIT,
        {CONTENT_SEQUENCE: Items(_SEQUENCE_ITEMS, defined=False)},
    ),
    (
        "118k",
        "sequences of undefined length in Explicit VR Little Endian",
        EXPLICIT,
        {CONTENT_SEQUENCE: Items(_SEQUENCE_ITEMS, defined=False)},
    ),
    ("118l", "an empty sequence", EXPLICIT, {CONTENT_SEQUENCE: Items(())}),
    (
        "118m",
        "private elements of VR UN",
        EXPLICIT,
        {0x00090010: Typed("LO", b"CONFORMANCE "), 0x00091001: b"private!"},
    ),
    ("118n", "Data Set Trailing Padding", EXPLICIT, {TRAILING_PADDING: bytes(64)}),
)


def _with_content(name: str, title: str, syntax: bytes, changes: Elements) -> Case:
    return case(
        f"storage-{name}",
        f"An instance with {title}",
        "PS3.4 B.2.2; PS3.5 7.5, 7.8, 7.1",
        for_storage(syntax),
        store(lambda target: instance(target, name).changed(changes), syntax=syntax),
        release(),
        needs=(Service.STORAGE,),
        writes=True,
    )


def _fragments() -> Iterator[Case]:
    for name, size, title in (("118p", 8, "8 bytes"), ("118q", 256, "256 bytes")):
        yield case(
            f"storage-{name}",
            f"The data set in fragments of {title}, each in a P-DATA-TF of its own",
            "PS3.8 Annex E.1; PS3.7 6.3.1",
            for_storage(),
            store(_maker(name), f"a C-STORE-RQ, its data set in fragments of {title}", fragment=size),
            release(),
            needs=(Service.STORAGE,),
            writes=True,
        )


def _maker(name: str) -> Callable[[Target], Instance]:
    return lambda target: instance(target, name)


def _of_private_class(each: Instance) -> Instance:
    return structs.replace(
        each, sop_class=_PRIVATE_CLASS, elements={**each.elements, SOP_CLASS_UID: _PRIVATE_CLASS}
    )


def _frames(target: Target) -> Instance:
    return instance(target, "118o").changed({PIXEL_DATA: Fragments((b"", b"\xff\xd8" * 9, b"", b"\xff\xd9"))})


# -- what a peer may accept or refuse


def _store_where_accepted(
    context: Context, title: str, allowed: tuple[int, ...], *stores: Step
) -> Iterator[Step]:
    """Propose a context that may be refused with these results; where it is accepted, store on it."""
    yield Send(
        f"an A-ASSOCIATE-RQ for {title}",
        lambda target: target.proposing(Context(1, b"1.2.840.10008.1.1").item(target), context.item(target)),
    )
    yield Expect("accept", why="a context that is not supported is refused, the association is not")

    async def go_on(conversation: Conversation) -> None:
        result = result_of(conversation.last, context.id)
        if result == 0:
            for step in stores:
                await step.run(conversation)
        elif result not in allowed:
            wanted = " or ".join(f"result {each}" for each in (0, *allowed))
            conversation.tolerate(wanted, f"result {result}", "Table 9-18 of PS3.8")

    yield Do("stores, where the context is accepted: " + ", ".join(step.describe() for step in stores), go_on)


_BOMB_BYTES = 64 << 20


def _bomb(each: Instance) -> bytes:
    """64 MiB of zeros as pixel data, deflated to some 64 KiB."""
    honest = each.changed({}, without=(PIXEL_DATA,)).encoded(EXPLICIT)
    head = (0x7FE0).to_bytes(2, "little") + (0x0010).to_bytes(2, "little") + b"OB\0\0"
    return deflate(honest + head + _BOMB_BYTES.to_bytes(4, "little") + bytes(_BOMB_BYTES))


CASES: tuple[Case, ...] = (
    *(_in_syntax(*each) for each in _SYNTAXES),
    *(_with_content(*each) for each in _CONTENTS),
    case(
        "storage-118o",
        "Encapsulated pixel data in several fragments, one of them empty",
        "PS3.5 A.4",
        for_storage(JPEG_BASELINE, what="storage in JPEG Baseline"),
        store(_frames, syntax=JPEG_BASELINE),
        release(),
        needs=(Service.STORAGE,),
        writes=True,
    ),
    *_fragments(),
    case(
        "storage-123a",
        "An instance of a private SOP class",
        "PS3.8 9.3.3.2: result 3; PS3.4 B.4.1",
        _store_where_accepted(
            Context(3, _PRIVATE_CLASS),
            "a private storage SOP class",
            (3,),
            *store(lambda target: _of_private_class(instance(target, "123a"))),
        ),
        echo(),
        needs=(Service.STORAGE,),
        writes=True,
        note="A peer need not take SOP classes it does not know. One that agrees to do so must store the instance.",
    ),
    case(
        "storage-123b",
        "A private SOP class proposed beside a known one",
        "PS3.8 9.3.3.2",
        propose("storage", storage(), Context(5, _PRIVATE_CLASS, needed=False)),
        store(lambda target: instance(target, "123b")),
        release(),
        needs=(Service.STORAGE,),
        writes=True,
    ),
    case(
        "storage-129a",
        "An instance in Deflated Explicit VR Little Endian",
        "PS3.5 A.5; PS3.8 9.3.3.2: result 4",
        _store_where_accepted(
            storage(DEFLATED),
            "storage in Deflated Explicit VR Little Endian",
            (4,),
            *store(lambda target: instance(target, "129a"), syntax=DEFLATED),
        ),
        echo(),
        needs=(Service.STORAGE,),
        writes=True,
        note="The transfer syntax may be refused. A peer that takes it must store what is deflated correctly.",
    ),
    case(
        "storage-129b",
        "64 KiB that inflate to 64 MiB",
        "PS3.5 A.5; PS3.4 B.2.3",
        _store_where_accepted(
            storage(DEFLATED),
            "storage in Deflated Explicit VR Little Endian",
            (4,),
            *store(
                lambda target: instance(target, "129b"),
                "a C-STORE-RQ whose deflated data set is 1000 times as long when inflated",
                syntax=DEFLATED,
                data=_bomb,
                strict=("A7??", "C???", "0000"),
                tolerated=("A9??", "01??"),
                why="it may be refused or stored; what counts is that the peer serves on",
            ),
        ),
        echo(),
        needs=(Service.STORAGE,),
        writes=True,
    ),
    case(
        "storage-129c",
        "Bytes that are not deflated, in Deflated Explicit VR Little Endian",
        "PS3.5 A.5; PS3.4 B.2.3",
        _store_where_accepted(
            storage(DEFLATED),
            "storage in Deflated Explicit VR Little Endian",
            (4,),
            *store(
                lambda target: instance(target, "129c"),
                "a C-STORE-RQ whose data set is not deflated",
                syntax=DEFLATED,
                data=lambda each: each.encoded(EXPLICIT),
                strict=("C???",),
                tolerated=("A9??", "01??", "0000"),
                why="the data set cannot be understood",
            ),
        ),
        echo(),
        needs=(Service.STORAGE,),
        writes=True,
    ),
)
