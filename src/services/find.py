"""Query, SCP (PS3.4 C.4.1; PS3.7 9.1.2): what is there?

The C-FIND of the three Query/Retrieve information models, over anything that can search. What a query means is
`services.query`; here it is received, answered match by match, and ended when the peer asks for that.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Protocol

from dimse import status
from dimse.enums import DATA_SET_FOLLOWS, CommandField
from dimse.errors import DimseError
from dimse.operation import BoundedBuffer, Operation
from dimse.service import Answer, DataSetSink
from dul.negotiation import SupportedContext
from services.conditions import Described
from services.query.answers import Answers
from services.query.keys import MODELS, Level
from services.query.options import negotiate
from services.query.requests import Query, QueryError, Record, read_query
from services.sop_classes import UNCOMPRESSED

MAXIMUM_IDENTIFIER = 1 << 20
"""Bytes of a request's identifier: about 15,000 UIDs."""

INDEX_FAILED = 0xC001
"""Of the codes that PS3.4 C.4.1.1.4 leaves for "unable to process", ours for an index that failed."""


class Matches(Protocol):
    """Where matches are looked for."""

    def search(
        self, level: Level, conditions: Mapping[int, Described], tags: Collection[int]
    ) -> AsyncIterator[Sequence[Record]]:
        """Pages of records that may be matches; every match is among them.

        Args:
            level: of the records.
            conditions: what each match fulfils; a record need not.
            tags: what the records have to say.
        """


class Find:
    """The SCP.

    Args:
        matches: where to look.
        retrieve_ae_title: of the AE that matches can be retrieved from: ours.
        maximum_matches: how many are answered before the query is ended with A700H; None, all of them.
        maximum_identifier: bytes of a request's identifier.
        utf_8_allowed: whether text that the request's character sets do not have may be answered in UTF-8; without,
            it is answered with question marks. Called with the operation, so that it can be decided by peer.
        universal_star: whether a peer sends `*` as a date, a time or a number and means every value.
    """

    command_fields = frozenset({CommandField.C_FIND_RQ})
    starts_with_command = False
    begins_at_once = False
    sop_classes: Mapping[str, SupportedContext] = {
        uid: SupportedContext(transfer_syntaxes=UNCOMPRESSED) for uid in MODELS
    }

    def __init__(
        self,
        matches: Matches,
        retrieve_ae_title: str,
        *,
        maximum_matches: int | None = None,
        maximum_identifier: int = MAXIMUM_IDENTIFIER,
        utf_8_allowed: Callable[[Operation], bool] | None = None,
        universal_star: Callable[[Operation], bool] | None = None,
    ) -> None:
        self._matches = matches
        self._retrieve_ae_title = retrieve_ae_title
        self._maximum_matches = maximum_matches
        self._maximum_identifier = maximum_identifier
        self._utf_8_allowed = utf_8_allowed
        self._universal_star = universal_star

    def open_data_set(self, operation: Operation) -> DataSetSink:
        """Identifiers are wanted whole, and are small."""
        return BoundedBuffer(self._maximum_identifier)

    async def perform(self, operation: Operation) -> AsyncGenerator[Answer, None]:
        """Answer each match, then success; or what came in between (PS3.4 C.4.1.1.4)."""
        query = self._query(operation)
        answers = Answers(
            query,
            operation.context.transfer_syntax,
            self._retrieve_ae_title,
            utf_8_allowed=self._utf_8_allowed is None or self._utf_8_allowed(operation),
        )
        pending = operation.response(answers.status, command_data_set_type=DATA_SET_FOLLOWS)
        count = 0
        pages = self._pages(operation, query, answers.tags)
        try:
            async for page in pages:
                for record in page:
                    if operation.cancelled:
                        break
                    if answers.matches(record):
                        if count == self._maximum_matches:
                            raise DimseError(status.OUT_OF_RESOURCES, f"there are more than {count} matches")
                        count += 1
                        yield pending, answers.identifier(record)
                if operation.cancelled:
                    yield operation.response(status.CANCEL), None
                    return
        finally:
            await pages.aclose()
        yield operation.response(), None

    def _query(self, operation: Operation) -> Query:
        """What is asked.

        Raises:
            DimseError: it cannot be answered.
        """
        context = operation.context
        if operation.sink is None:
            raise DimseError(status.UNABLE_TO_PROCESS, "a C-FIND without an identifier")
        agreed = operation.association.negotiated.extended.get(context.abstract_syntax, b"")
        star = self._universal_star is not None and self._universal_star(operation)
        _, options = negotiate(agreed, universal_star=star)
        try:
            return read_query(
                operation.data_set, context.transfer_syntax, MODELS[context.abstract_syntax], options
            )
        except QueryError as error:
            raise DimseError(error.status, error.comment, offending_elements=error.offending) from error

    async def _pages(
        self, operation: Operation, query: Query, tags: Collection[int]
    ) -> AsyncGenerator[Sequence[Record], None]:
        """What may match, with the failures of whoever searches made statuses.

        Raises:
            DimseError: A700H, it took too long; C001H, it failed, and the listener was told why.
        """
        pages = self._matches.search(query.level, query.conditions(), tags)
        try:
            async for page in pages:
                yield page
        except TimeoutError as error:
            raise DimseError(status.OUT_OF_RESOURCES, str(error)) from error
        except Exception as error:
            operation.association.listener.operation_failed(operation, error)
            raise DimseError(INDEX_FAILED, "the index failed; the log of the server says why") from error
        finally:
            if isinstance(pages, AsyncGenerator):
                await pages.aclose()


def negotiate_find(sop_class_uid: str, information: bytes) -> bytes | None:
    """Answer the extended negotiation of C-FIND (PS3.4 C.5.1.1).

    Args:
        sop_class_uid: what it is about.
        information: the Service Class Application Information of the request.

    Returns:
        Ours; None where the SOP class is none of C-FIND's, or nothing was proposed.
    """
    if sop_class_uid not in MODELS or not information:
        return None
    return negotiate(information)[0]
