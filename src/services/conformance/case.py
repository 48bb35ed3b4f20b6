"""What a conformance case is: data. What it sends, what must come back, and the clause."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from services.conformance.steps import Step
from services.conformance.target import Service


class Suite(StrEnum):
    """What a case is about; the first part of its id."""

    UL = "ul"
    NEGOTIATION = "negotiation"
    PDATA = "pdata"
    DIMSE = "dimse"
    STORAGE = "storage"
    QUERY = "query"
    RETRIEVE = "retrieve"
    SECURITY = "security"
    ENDURANCE = "endurance"


class Case(Struct, frozen=True, kw_only=True):
    """One way to behave towards an SCP, and its answers.

    Attributes:
        id: suite, hyphen, number and, for variants, a letter: "ul-12b". Numbers below 200 are those of the list of
            wire-level cases the tester began with.
        title: what the peer is confronted with, in a few words.
        clause: what the strict answer follows from: "PS3.8 9.2, Evt10 in Sta2: AA-1".
        steps: what is sent and what must come back, in order. The connection is opened before the first.
        needs: what the peer must offer; without it the case is not applicable.
        writes: it stores instances in the peer, under UIDs of its own: only with `--allow-write`.
        waits: it spends its time waiting for the peer, mostly for ARTIM: such cases run side by side.
        note: why the answer is graded as it is, where that is not plain from the clause.
    """

    id: str
    title: str
    clause: str
    steps: tuple[Step, ...]
    needs: frozenset[Service] = frozenset()
    writes: bool = False
    waits: bool = False
    note: str = ""

    @property
    def suite(self) -> StrEnum:
        """The suite it belongs to."""
        return Suite(self.id.partition("-")[0])


def case(
    id: str,
    title: str,
    clause: str,
    *steps: Step | Iterable[Step],
    needs: Iterable[Service] = (),
    writes: bool = False,
    waits: bool = False,
    note: str = "",
) -> Case:
    """Write a `Case` with its steps as arguments; a group of steps counts as its steps."""
    flat: list[Step] = []
    for each in steps:
        if isinstance(each, Step):
            flat.append(each)
        else:
            flat.extend(each)
    return Case(
        id=id,
        title=title,
        clause=clause,
        steps=tuple(flat),
        needs=frozenset(needs),
        writes=writes,
        waits=waits,
        note=note,
    )
