"""What the byte view of a page shows, as compact values for its script: equal bytes and equal texts are there once."""

import base64
from collections.abc import Iterable
from typing import Any

from dul.enums import PDUType
from dul.framing import HEADER_LENGTH
from services.trace.dissect import Context, dissect_command, dissect_data_set
from services.trace.fields import Dissection, Field
from services.trace.html.page import text
from services.trace.reading import ReadMessage

SHOWN = 4096
"""How many bytes of a P-DATA-TF, a command set or a data set a page shows."""

SHOWN_OF_OTHERS = 16384
"""How many it shows of other PDUs: an A-ASSOCIATE-RQ of 128 contexts has more than 4 KiB, and every one counts."""

SHOWN_AT_LEAST = 64
"""How many it shows once it has grown large."""

LARGEST = 5 << 20
"""How large the bytes and fields of one page become, roughly, in bytes of the page."""

_MOST_ELEMENTS = 1000
_COST_OF_A_FIELD = 28


class Views:
    """The byte views of one page.

    Args:
        largest: as `LARGEST`.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._left = largest
        self._strings: dict[str, int] = {"": 0}
        self._known: dict[tuple[bytes, int, str], int] = {}
        self._views: list[dict[str, Any]] = []

    def as_data(self) -> dict[str, Any]:
        """For the script: `strings`, and `views` whose fields refer to them by number."""
        return {"strings": list(self._strings), "views": self._views}

    def pdu(self, dissection: Dissection) -> int | None:
        """Add a PDU; returns the number of its view, or None where its bytes were not kept."""
        raw = dissection.raw
        if not raw:
            return None
        is_data = raw[0] == PDUType.P_DATA_TF
        total = len(raw)
        if is_data and total >= HEADER_LENGTH:
            total = max(total, HEADER_LENGTH + int.from_bytes(raw[2:HEADER_LENGTH], "big"))
        return self._add(
            raw, dissection.fields, total, SHOWN if is_data else SHOWN_OF_OTHERS, dissection.name
        )

    def command(self, message: ReadMessage) -> int:
        """Add a command set."""
        kept = message.command[: SHOWN * 2]
        return self._add(kept, dissect_command(kept), len(message.command), SHOWN, "command")

    def data_set(self, message: ReadMessage, context: Context | None) -> int | None:
        """Add what was kept of a data set; None for nothing.

        Args:
            message: whose data set.
            context: on which it came; None where that is not known, and its bytes are one field then.
        """
        data = message.data_set
        if not data:
            return None
        if context is None:
            why = "What they are depends on the transfer syntax, which is not known."
            fields: tuple[Field, ...] = (Field(offset=0, length=len(data), name="Data set", explanation=why),)
        else:
            fields = dissect_data_set(data, context.transfer_syntax, 0, _MOST_ELEMENTS)
        how = context.transfer_syntax if context else "data"
        return self._add(data, fields, message.data_set_length, SHOWN, how)

    def _add(self, raw: bytes, fields: tuple[Field, ...], total: int, shown: int, how: str) -> int:
        shown = min(shown, len(raw))
        key = (raw[:shown], total, how)  # equal bytes can have been taken apart in two ways
        if key in self._known:
            return self._known[key]
        if self._left <= 0:
            shown = min(shown, SHOWN_AT_LEAST)
        numbers = [n for field in fields for n in self._numbers(field, 0, shown)]
        view = {"b": base64.b64encode(raw[:shown]).decode(), "t": total, "f": numbers}
        self._left -= len(view["b"]) + len(numbers) // 9 * _COST_OF_A_FIELD  # type: ignore[arg-type]
        self._views.append(view)
        self._known[key] = len(self._views) - 1
        return len(self._views) - 1

    def _numbers(self, field: Field, depth: int, shown: int) -> Iterable[int]:
        if field.offset >= max(shown, 1):
            return
        yield from (depth, field.offset, field.length)
        for each in (field.name, field.value, field.meaning, field.clause, field.explanation, field.problem):
            yield self._string(each)
        for child in field.children:
            yield from self._numbers(child, depth + 1, shown)

    def _string(self, value: str) -> int:
        shown = text(value)
        number = self._strings.setdefault(shown, len(self._strings))
        if number == len(self._strings) - 1:
            self._left -= len(shown)
        return number
