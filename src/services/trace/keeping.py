"""How much of a long trace is held: the trace of a transfer of gigabytes must not need gigabytes itself."""

from collections.abc import Iterable

from msgspec.structs import replace

from dul.enums import PDUType
from dul.pdus import PDataTF
from services.trace.fields import Dissection, Field
from services.trace.reading import ReadMessage

KEPT_OF_A_PDU = 64 << 10
"""How much of one P-DATA-TF is held, in bytes; of other PDUs all."""

KEPT_IN_ALL = 64 << 20
"""How much a trace holds in all, roughly, in bytes; of later P-DATA-TF only the line that sums them up is."""

_COST_OF_A_FIELD = 320


class Keeper:
    """Decides what of each PDU is held, in the order they come.

    Args:
        per_pdu: as `KEPT_OF_A_PDU`.
        in_all: as `KEPT_IN_ALL`.
    """

    def __init__(self, per_pdu: int = KEPT_OF_A_PDU, in_all: int = KEPT_IN_ALL) -> None:
        self._per_pdu = per_pdu
        self._left = in_all

    def keep(
        self, dissection: Dissection, messages: tuple[ReadMessage, ...]
    ) -> tuple[Dissection, tuple[ReadMessage, ...], str]:
        """What to hold of a PDU and the messages it completed, and a note on what was cut; empty for nothing."""
        raw = dissection.raw
        if not raw or raw[0] != PDUType.P_DATA_TF:
            self._spend(dissection, messages)
            return dissection, messages, ""
        kept = messages
        notes = []
        if any(len(message.data_set or b"") > self._per_pdu for message in messages):
            kept = tuple(_cut_message(message, self._per_pdu) for message in messages)
            notes.append(f"of each data set the first {self._per_pdu} bytes are kept")
        if len(raw) > self._per_pdu:
            dissection = _cut(dissection, self._per_pdu)
            notes.append(f"of this PDU's {len(raw)} bytes the first {self._per_pdu} are kept")
        if self._cost(dissection, kept) > self._left:
            dissection = replace(dissection, raw=b"", fields=(), pdu=None)
            kept = tuple(_cut_message(message, 0) for message in messages)
            notes = [f"its {len(raw)} bytes are not kept: the trace has grown too long"]
        self._spend(dissection, kept)
        return dissection, kept, "; ".join(notes)

    def _spend(self, dissection: Dissection, messages: tuple[ReadMessage, ...]) -> None:
        self._left -= self._cost(dissection, messages)

    def _cost(self, dissection: Dissection, messages: tuple[ReadMessage, ...]) -> int:
        held = sum(len(message.command) + len(message.data_set or b"") for message in messages)
        fields = sum(1 for _ in dissection.walk())
        views = 2 if isinstance(dissection.pdu, PDataTF) else 1  # its PDVs are copies
        return views * len(dissection.raw) + fields * _COST_OF_A_FIELD + held


def _cut_message(message: ReadMessage, size: int) -> ReadMessage:
    if message.data_set is None or len(message.data_set) <= size:
        return message
    return replace(message, data_set=message.data_set[:size])


def _cut(dissection: Dissection, size: int) -> Dissection:
    pdu = dissection.pdu
    if isinstance(pdu, PDataTF):
        left = size
        pdvs = []
        for pdv in pdu.pdvs:
            if left <= 0:
                break
            pdvs.append(replace(pdv, data=bytes(pdv.data[:left])))
            left -= len(pdv.data)
        pdu = replace(pdu, pdvs=tuple(pdvs))
    return replace(
        dissection, raw=dissection.raw[:size], fields=tuple(_before(dissection.fields, size)), pdu=pdu
    )


def _before(fields: Iterable[Field], end: int) -> Iterable[Field]:
    """The fields that begin before `end`, cut where they pass it."""
    for field in fields:
        if field.end <= end:
            yield field
        elif field.offset < end:
            children = tuple(_before(field.children, end))
            yield replace(field, length=end - field.offset, children=children)
