"""What an answer to a C-FIND holds: the supported keys asked for, and what goes with them (PS3.4 C.4.1.1.3.2)."""

from collections.abc import Mapping

from services.query.identifiers import writer_of
from services.query.keys import INSTANCE_AVAILABILITY, QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE
from services.query.matching import ItemKeys, Stored, match_items
from services.query.requests import Key, Query, Record, fulfils

PENDING = 0xFF00
PENDING_WITH_UNSUPPORTED_KEYS = 0xFF01

ONLINE = "ONLINE"


class Answers:
    """Makes the identifiers of one query's answers.

    Args:
        query: what was asked.
        transfer_syntax: of the presentation context.
        retrieve_ae_title: of the AE that the matches can be retrieved from.
        availability: Instance Availability of what is kept.
        utf_8_allowed: whether text that the request's character sets do not have may go out in UTF-8.

    Attributes:
        status: of each pending response: FF01H where the request has keys that are not supported.
        tags: what the records of an index are asked for; the others are the same in every answer.
    """

    __slots__ = (
        "_asking",
        "_asks_about_answer",
        "_columns",
        "_combined",
        "_constants",
        "_writer",
        "status",
        "tags",
    )

    def __init__(
        self,
        query: Query,
        transfer_syntax: str,
        retrieve_ae_title: str,
        *,
        availability: str = ONLINE,
        utf_8_allowed: bool = True,
    ) -> None:
        self._asking = query.asking()
        self._combined = query.combined
        self._asks_about_answer = any(key.level is None for key in self._asking)
        self.status = PENDING_WITH_UNSUPPORTED_KEYS if query.unsupported else PENDING
        asked = {key.tag: key for key in query.keys}
        self.tags = tuple(key.tag for key in query.keys if key.level is not None)
        self._constants: dict[str, str] = {
            f"{RETRIEVE_AE_TITLE:08X}": retrieve_ae_title,
            f"{INSTANCE_AVAILABILITY:08X}": availability,
            f"{QUERY_RETRIEVE_LEVEL:08X}": query.level.value,
        }
        vrs = {key.tag: key.vr for key in query.keys}
        vrs |= {QUERY_RETRIEVE_LEVEL: "CS", RETRIEVE_AE_TITLE: "AE"}
        self._columns = tuple(
            (f"{tag:08X}", self._constants.get(f"{tag:08X}"), _wanted_items(asked.get(tag)))
            for tag in sorted(vrs)
        )
        self._writer = writer_of(
            tuple((tag, vrs[tag]) for tag in sorted(vrs)),
            transfer_syntax,
            query.character_sets,
            utf_8_allowed=utf_8_allowed,
        )

    def matches(self, record: Record) -> bool:
        """Whether a record is an answer; keys about the answer itself are matched as well."""
        if self._asks_about_answer:
            record = {**record, **self._constants}
        return fulfils(record, self._asking, self._combined)

    def identifier(self, record: Record) -> bytes:
        """The identifier of one answer. What the record does not have is empty (PS3.4 C.4.1.1.3.2)."""
        get = record.get
        return self._writer.write(
            [
                constant
                if constant is not None
                else (get(name, "") if items is None else _items(items, get(name, "")))
                for name, constant, items in self._columns
            ]
        )


def _wanted_items(key: Key | None) -> ItemKeys | None:
    return None if key is None else key.items


def _items(wanted: ItemKeys, stored: Stored) -> Stored:
    """The items that match, with what was asked for; the whole sequence where nothing was (PS3.4 C.2.2.2.6)."""
    if isinstance(stored, str) or not wanted.keys:
        return stored
    return [_only(wanted, item) for item in match_items(wanted.keys, stored)]


def _only(wanted: ItemKeys, item: Mapping[str, Stored]) -> Mapping[str, Stored]:
    answer: dict[str, Stored] = {}
    for name, key in wanted.keys.items():
        value = item.get(name, "")
        answer[name] = _items(key, value) if isinstance(key, ItemKeys) else value
    return answer
