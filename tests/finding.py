"""SCPs that answer C-FIND, and what an SCU makes of their answers."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from pydicom import Dataset
from pydicom.filereader import read_dataset

from dimse.association import Association
from dimse.messages import CFindRQ, Response
from dul.negotiation import ProposedContext
from dul.pdus import SOPClassExtendedNegotiationSubItem
from services.archive.index.reader import IndexReader
from services.archive.index.writer import IndexWriter
from services.conditions import Described
from services.find import Find, negotiate_find
from services.query.keys import STUDY_ROOT, Level
from services.query.requests import Record
from services.scp import SCP
from services.scu import associate
from services.server.archive_index import ArchiveIndex
from services.sop_classes import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from services.storage import encode_dataset
from services.verification import Verification

AE_TITLE = "FINDSCP"


class Shelf:
    """Matches from memory: pages of records, or what goes wrong instead.

    Attributes:
        asked: level, conditions and tags of each search.
        closed: how many searches have come to an end, the one or the other way.
    """

    def __init__(self, *pages: Sequence[Record], error: Exception | None = None) -> None:
        self.pages = pages
        self.error = error
        self.asked: list[tuple[Level, Mapping[int, Described], tuple[int, ...]]] = []
        self.closed = 0

    async def search(
        self, level: Level, conditions: Mapping[int, Described], tags: Collection[int]
    ) -> AsyncIterator[Sequence[Record]]:
        self.asked.append((level, conditions, tuple(tags)))
        try:
            for page in self.pages:
                yield page
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1


def find_scp(matches: Any, **options: Any) -> SCP:
    """An SCP that verifies and finds, and agrees to all that C-FIND can be extended by."""
    scp = SCP(AE_TITLE, [Verification(), Find(matches, AE_TITLE, **options)])
    scp.policy = replace(scp.policy, extended=negotiate_find)
    return scp


@contextmanager
def matches_of(database: Any, instances: Iterable[Any] = ()) -> Iterator[ArchiveIndex]:
    """Record instances, and search for them."""
    writer = IndexWriter(database)
    writer.record(list(instances))
    writer.close()
    reader = IndexReader(database)
    try:
        yield ArchiveIndex(reader, Path("/nowhere"))
    finally:
        reader.close()


@asynccontextmanager
async def finding(
    scp: SCP,
    *,
    sop_class: str = STUDY_ROOT.find,
    transfer_syntax: str = IMPLICIT_VR_LITTLE_ENDIAN,
    extended: bytes = b"",
) -> AsyncIterator[Association]:
    """An association with an SCP that listens for as long."""
    information = (SOPClassExtendedNegotiationSubItem(sop_class, extended),) if extended else ()
    async with (
        scp.listen(port=0) as port,
        associate(
            "127.0.0.1",
            port,
            called_ae=AE_TITLE,
            calling_ae="FINDSCU",
            contexts=[ProposedContext(sop_class, (transfer_syntax,))],
            extended=information,
        ) as association,
    ):
        yield association


def identifier(level: str, **keys: Any) -> Dataset:
    """The identifier of a request: `identifier("STUDY", PatientID="1")`."""
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    return ds


async def ask(
    association: Association, request: Dataset | bytes, *, sop_class: str = STUDY_ROOT.find
) -> tuple[list[tuple[Response, Dataset]], Response]:
    """The pending responses with their identifiers, and the final one."""
    context = association.context_for(sop_class)
    data = request if isinstance(request, bytes) else encode_dataset(request, context.transfer_syntax)
    pending: list[tuple[Response, Dataset]] = []
    replies = association.invoke_many(
        lambda message_id: CFindRQ(message_id=message_id, affected_sop_class_uid=sop_class),
        context,
        data,
        timeout=10.0,
    )
    async for response, answer in replies:
        if response.status not in (0xFF00, 0xFF01):
            assert answer is None
            return pending, response
        assert answer is not None
        pending.append((response, decoded(bytes(answer), context.transfer_syntax)))
    raise AssertionError("no final response")


def decoded(data: bytes, transfer_syntax: str) -> Dataset:
    """An identifier as pydicom reads it."""
    return read_dataset(
        BytesIO(data),
        transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN,
        transfer_syntax != EXPLICIT_VR_BIG_ENDIAN,
    )
