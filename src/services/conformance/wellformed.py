"""One case about all the others: is what the peer sent in them well formed, field by field?"""

from collections.abc import Iterable, Iterator

from dul.pdus import PDataTF
from services.conformance.case import Case, case
from services.conformance.connection import Move
from services.conformance.conversation import Conversation
from services.conformance.results import CaseResult, PlayedConnection
from services.conformance.steps import Do
from services.conformance.verdict import Finding, Verdict
from services.trace.dissect import dissect
from services.trace.reading import MessageReader, PDUReader, ReadPDU

_MOST_FINDINGS = 50


async def _nothing(_: Conversation) -> None:
    """The bytes are those of the other cases."""


WELL_FORMED: Case = case(
    "ul-0",
    "Every PDU the peer sends is well formed",
    "PS3.8 9.3, Annexes D and E; PS3.7 6.3, Annexes D.3.3 and E",
    Do(
        "reads every field of every PDU that came back in the other cases, on connections on which it had itself "
        "sent nothing wrong",
        _nothing,
    ),
    note="Judged after all other cases of the run, from the bytes they recorded.",
)


def judge(results: Iterable[CaseResult]) -> CaseResult:
    """The result of `WELL_FORMED`, from those of the other cases."""
    found: dict[str, str] = {}
    examples: dict[str, PlayedConnection] = {}
    count = 0
    for result in results:
        for connection in result.connections:
            if any(_problems(connection, Move.SENT)):
                continue
            count += 1
            for problem in _problems(connection, Move.RECEIVED):
                if problem not in found and len(found) < _MOST_FINDINGS:
                    found[problem] = result.case.id
                    examples[problem] = connection
    if not count:
        nothing = Finding(Verdict.NOT_APPLICABLE, "", "no case was played that sends nothing wrong")
        return CaseResult(WELL_FORMED, Verdict.NOT_APPLICABLE, (nothing,))
    findings = tuple(
        Finding(Verdict.FAIL, "well-formed PDUs", problem, f"first seen in {where}")
        for problem, where in found.items()
    )
    return CaseResult(
        WELL_FORMED,
        Verdict.FAIL if findings else Verdict.PASS,
        findings,
        tuple({connection.started: connection for connection in examples.values()}.values()),
        reached=1,
    )


def _problems(connection: PlayedConnection, move: Move) -> Iterator[str]:
    """What is wrong with the PDUs of one direction."""
    reader, messages = PDUReader(), MessageReader()
    for exchange in connection.exchanges:
        if exchange.move is not move:
            continue
        for read in reader.feed(exchange.data):
            yield from _of(read, messages)
    if reader.incomplete and not connection.cut:
        yield f"{len(reader.incomplete)} bytes of a PDU that does not end (PS3.8 9.3.1)"


def _of(read: ReadPDU, messages: MessageReader) -> Iterator[str]:
    dissection = dissect(read, due=messages.due)
    if isinstance(read.pdu, PDataTF):
        messages.feed(read.pdu)
    for problem in dissection.problems:
        yield f"{dissection.name}: {problem}"
    if dissection.error and not dissection.problems:
        yield f"{dissection.name}: {dissection.error} (PS3.8 9.3)"
