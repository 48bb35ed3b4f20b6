"""What a script of the acceptor is: a conformance case seen from the other side. What it does to an SCU, and what
a conforming SCU must do then."""

from collections.abc import Iterable
from enum import StrEnum

from services.conformance.case import Case
from services.conformance.steps import Step


class Topic(StrEnum):
    """What a script is about: to the scripts what a suite is to the cases."""

    CONFORMING = "conforming"
    REJECT = "reject"
    ABORT = "abort"
    NEGOTIATION = "accept"
    PDU = "pdu"
    DATA = "data"
    DIMSE = "dimse"
    STATUS = "status"
    TIME = "time"
    RELEASE = "release"


class Script(Case, frozen=True, kw_only=True):
    """One way for an acceptor to behave towards an SCU, and what the SCU must do.

    It is a `Case`, so that results and reports are the same in both directions. Its id is its name; its first step
    takes the SCU's A-ASSOCIATE-RQ. Whatever its topic, what an SCU sends against the standard fails it; what receivers
    have to live with (reserved fields, padding, order) is told by the conforming one alone.

    Attributes:
        topic: what it is about.
        asks: requests of which the SCU must make one, such as "C-FIND-RQ"; any will do where it is empty. An SCU
            that makes others is answered well, and the script is not applicable.
    """

    topic: Topic
    asks: frozenset[str] = frozenset()

    @property
    def suite(self) -> Topic:
        """Its topic, by which the reports group it."""
        return self.topic


def script(
    name: str,
    topic: Topic,
    title: str,
    clause: str,
    *steps: Step | Iterable[Step],
    asks: Iterable[str] = (),
    waits: bool = False,
    note: str = "",
) -> Script:
    """Write a `Script` with its steps as arguments; a group of steps counts as its steps."""
    flat: list[Step] = []
    for each in steps:
        if isinstance(each, Step):
            flat.append(each)
        else:
            flat.extend(each)
    return Script(
        id=name,
        topic=topic,
        title=title,
        clause=clause,
        steps=tuple(flat),
        asks=frozenset(asks),
        waits=waits,
        note=note,
    )
