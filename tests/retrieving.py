"""A PACS of ours in which a test decides what is answered to C-FIND, C-GET and C-MOVE, and images for it."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from archive_samples import CT_IMAGE_STORAGE, EXPLICIT_LE, data_set
from dimse import status
from dimse.enums import DATA_SET_FOLLOWS, CommandField
from dimse.errors import DimseError
from dimse.operation import BoundedBuffer, Operation
from dimse.service import Answer, DataSetSink
from dul.negotiation import SupportedContext
from scps import AE_TITLE, in_a_thread
from services import SCP, Verification
from services.query.identifiers import IdentifierWriter, read_identifier
from services.query.keys import PATIENT_ROOT, STUDY_ROOT
from services.retrieve.sub_operations import SubOperations
from services.scu import associate
from services.sop_classes import UNCOMPRESSED, StorageContexts
from services.storage import store

LEVEL, CLASS, INSTANCE_UID, PATIENT, STUDY_UID, SERIES_UID = (
    0x00080052, 0x00080016, 0x00080018, 0x00100020, 0x0020000D, 0x0020000E,
)  # fmt: skip
_ANSWERS = {
    "STUDY": (STUDY_UID,),
    "SERIES": (STUDY_UID, SERIES_UID),
    "IMAGE": (CLASS, INSTANCE_UID, STUDY_UID, SERIES_UID),
}


class Image(Struct, frozen=True):
    """An instance in the PACS.

    Attributes:
        announced: the SOP Instance UID in commands and answers, where it is another than in the data set.
    """

    instance: str
    study: str = "1.2.3"
    series: str = "1.2.3.4"
    sop_class: str = CT_IMAGE_STORAGE
    transfer_syntax: str = EXPLICIT_LE
    announced: str = ""
    pixels: bytes = b"\1\2" * 64

    @property
    def uid(self) -> str:
        return self.announced or self.instance

    @property
    def data_set(self) -> bytes:
        return data_set(
            self.instance, study=self.study, series=self.series, sop_class=self.sop_class, pixels=self.pixels
        )

    def value(self, tag: int) -> str:
        values = {
            CLASS: self.sop_class,
            INSTANCE_UID: self.uid,
            STUDY_UID: self.study,
            SERIES_UID: self.series,
        }
        return values.get(tag, "")


def images(count: int, **fields: Any) -> list[Image]:
    """Images 1.2.3.4.1 and so on, of one series."""
    above = fields.get("series", "1.2.3.4")
    return [Image(f"{above}.{number}", **fields) for number in range(1, count + 1)]


class Asked(Struct, frozen=True):
    """An identifier that came."""

    level: str
    keys: Mapping[int, tuple[str, ...]]


Conduct = Callable[["Pacs", Operation, list[Image]], AsyncIterator[Answer]]
"""Answers one C-GET or C-MOVE for which images are selected."""


class Pacs:
    """What it was asked, and what it has.

    Attributes:
        found, retrieved: the identifiers of C-FIND, and of C-GET and C-MOVE.
        sent: SOP Instance UIDs for which there was a successful C-STORE, as often as there was.
        conduct: answers retrieves.
        hidden: SOP Instance UIDs that C-FIND does not list.
        refuses_find: answer C-FIND with this status.
    """

    def __init__(self, held: Sequence[Image], conduct: Conduct | None = None, **fields: Any) -> None:
        self.held = list(held)
        self.found: list[Asked] = []
        self.retrieved: list[Asked] = []
        self.sent: list[str] = []
        self.conduct: Conduct = conduct or as_asked
        self.refuses_find: int | None = None
        self.cancelled = 0
        self.destinations: dict[str, int] = {}
        for name, value in fields.items():
            setattr(self, name, value)

    def scp(self, *, find: bool = True, get: bool = True) -> SCP:
        services = [Verification(), _Retrieve(self, CommandField.C_MOVE_RQ, "move")]
        if find:
            services.append(_Find(self))
        if get:
            services += [_Retrieve(self, CommandField.C_GET_RQ, "get"), _StorageSCU()]
        return SCP(AE_TITLE, services)

    def selected(self, asked: Asked) -> list[Image]:
        return [
            image
            for image in self.held
            if all(image.value(tag) in values for tag, values in asked.keys.items() if tag != PATIENT)
        ]


@contextmanager
def serving(pacs: Pacs, **services: bool) -> Iterator[int]:
    with in_a_thread(pacs.scp(**services)) as port:
        yield port


def read_asked(operation: Operation) -> Asked:
    elements = read_identifier(operation.data_set, operation.context.transfer_syntax)
    values = {element.tag: element.text.strip(" \0") for element in elements}
    keys = {tag: tuple(text.split("\\")) for tag, text in values.items() if tag != LEVEL and text}
    return Asked(values[LEVEL], keys)


class _Answering:
    starts_with_command = False
    begins_at_once = False

    def __init__(self, pacs: Pacs) -> None:
        self.pacs = pacs

    def open_data_set(self, operation: Operation) -> DataSetSink:
        return BoundedBuffer()


class _Find(_Answering):
    command_fields = frozenset({CommandField.C_FIND_RQ})
    sop_classes: Mapping[str, SupportedContext] = {
        model.find: SupportedContext(transfer_syntaxes=UNCOMPRESSED) for model in (STUDY_ROOT, PATIENT_ROOT)
    }

    async def perform(self, operation: Operation) -> AsyncIterator[Answer]:
        asked = read_asked(operation)
        self.pacs.found.append(asked)
        if self.pacs.refuses_find is not None:
            raise DimseError(self.pacs.refuses_find)
        tags = _ANSWERS[asked.level]
        writer = IdentifierWriter(
            [(LEVEL, "CS"), *((tag, "UI") for tag in tags)]
            if tags[0] > LEVEL
            else [(tag, "UI") for tag in tags],
            operation.context.transfer_syntax,
        )
        answers = dict.fromkeys(
            tuple(image.value(tag) for tag in tags) for image in self.pacs.selected(asked)
        )
        for answer in answers:
            values = [asked.level, *answer] if tags[0] > LEVEL else list(answer)
            pending = operation.response(status.PENDING, command_data_set_type=DATA_SET_FOLLOWS)
            yield pending, writer.write(values)
        yield operation.response(), None


class _Retrieve(_Answering):
    def __init__(self, pacs: Pacs, command_field: CommandField, name: str) -> None:
        super().__init__(pacs)
        self.command_fields = frozenset({command_field})
        self.sop_classes = {
            getattr(model, name): SupportedContext(transfer_syntaxes=UNCOMPRESSED)
            for model in (STUDY_ROOT, PATIENT_ROOT)
        }

    async def perform(self, operation: Operation) -> AsyncIterator[Answer]:
        asked = read_asked(operation)
        self.pacs.retrieved.append(asked)
        async for answer in self.pacs.conduct(self.pacs, operation, self.pacs.selected(asked)):
            yield answer


class _StorageSCU(_Answering):
    """Accepts every storage context in the reversed roles; nothing can be stored."""

    command_fields = frozenset[CommandField]()
    sop_classes = StorageContexts()

    def __init__(self) -> None:
        pass


# -- conducts


async def send(pacs: Pacs, operation: Operation, image: Image) -> int | None:
    """A C-STORE on the association of a C-GET; the status, None where there is no context for it."""
    try:
        response = await store(
            operation.association,
            sop_class_uid=image.sop_class,
            sop_instance_uid=image.uid,
            data_set=image.data_set,
            transfer_syntax_uid=image.transfer_syntax,
            timeout=10,
        )
    except DimseError:
        return None
    if response.status == status.SUCCESS:
        pacs.sent.append(image.uid)
    return response.status


async def as_asked(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
    """By the book, with a pending response after each sub-operation."""
    sub_operations = SubOperations(len(selected))
    for image in selected:
        if operation.cancelled:
            pacs.cancelled += 1
            break
        sub_operations.record(image.uid, await send(pacs, operation, image))
        yield sub_operations.pending(operation)
    yield sub_operations.final(operation)


async def to_destination(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
    """A C-MOVE: one association to a destination on loopback, as the calling AE title that `pacs.sender` says."""
    destination = operation.request.move_destination or ""  # type: ignore[union-attr]
    if destination not in pacs.destinations:
        raise DimseError(status.MOVE_DESTINATION_UNKNOWN, f"{destination} is not known")
    sub_operations = SubOperations(len(selected))
    from services.send import contexts_of

    needs = dict.fromkeys((image.sop_class, image.transfer_syntax) for image in selected)
    async with associate(
        "127.0.0.1",
        pacs.destinations[destination],
        called_ae=destination,
        calling_ae=getattr(pacs, "sender", AE_TITLE),
        contexts=contexts_of(needs),
    ) as association:
        for image in selected:
            response = await store(
                association,
                sop_class_uid=image.sop_class,
                sop_instance_uid=image.uid,
                data_set=image.data_set,
                transfer_syntax_uid=image.transfer_syntax,
                timeout=10,
            )
            if response.status == status.SUCCESS:
                pacs.sent.append(image.uid)
            sub_operations.record(image.uid, response.status)
            yield sub_operations.pending(operation)
    yield sub_operations.final(operation)


def files_in(folder: Path) -> list[str]:
    """The names of all files in a folder, relative to it, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
