"""What there is to say about an association as a whole: who, when, what was agreed on, how it ended."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec import Struct

from dul.pdus import (
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AReleaseRP,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    RoleSelectionSubItem,
    UserDataSubItem,
)
from services.trace.association import AssociationTrace, Entry, TracedPDU
from services.trace.fields import Side
from services.trace.html.page import text
from services.trace.names import CONTEXT_RESULTS, uid_name

MOST_PROBLEMS = 200
"""How many problems of one association are listed; all of them stand at their PDUs."""


class Name(Struct, frozen=True):
    """A UID and its name, which may be empty."""

    uid: str
    name: str


class NegotiatedContext(Struct, frozen=True):
    """A presentation context as it was proposed and answered.

    Attributes:
        id: of the context.
        abstract_syntax: what it is for; an empty UID where no request was seen.
        proposed: its transfer syntaxes.
        accepted: the one that was taken; None where it was refused, or not answered.
        result: in words.
        roles: what role selection says of its abstract syntax; empty without it.
    """

    id: int
    abstract_syntax: Name
    proposed: tuple[Name, ...]
    accepted: Name | None
    result: str
    roles: str


class Problem(Struct, frozen=True):
    """Something the standard forbids, and the row where it stands."""

    text: str
    where: str
    position: int


class Overview(Struct, frozen=True, kw_only=True):
    """An association in a few lines.

    Attributes:
        heading: who calls whom.
        connection: its addresses, as the trace names them.
        started: when, in words; empty where that is not known.
        duration: in seconds.
        outcome: how it ended.
        ended_well: it was released, or goes on.
        facts: name, and what the requestor and the acceptor said.
        contexts: in the order of the request.
        pdus: how many.
        problems: at most `MOST_PROBLEMS` of them.
        problem_count: how many there were.
    """

    heading: str
    connection: str
    started: str
    duration: float
    outcome: str
    ended_well: bool
    facts: tuple[tuple[str, str, str], ...]
    contexts: tuple[NegotiatedContext, ...]
    pdus: int
    problems: tuple[Problem, ...]
    problem_count: int


def overview(trace: AssociationTrace) -> Overview:
    """Sum an association up."""
    pdus = [entry for entry in trace.entries if isinstance(entry, TracedPDU)]
    outcome, ended_well = _outcome(trace, pdus)
    rq = trace.request
    titles = f"{rq.calling_ae or '(no title)'} → {rq.called_ae or '(no title)'}" if rq else ""
    return Overview(
        heading=text(titles or trace.name or "Association"),
        connection=text(trace.name),
        started=when(trace.started),
        duration=trace.entries[-1].at if trace.entries else 0.0,
        outcome=outcome,
        ended_well=ended_well,
        facts=tuple(_facts(trace, pdus)),
        contexts=_contexts(rq, trace.answer),
        pdus=len(pdus),
        problems=tuple(_problems(trace)),
        problem_count=trace.problem_count,
    )


def when(seconds: float | None) -> str:
    """A point in time, in seconds since 1970, in words; empty for None, or one that no calendar has."""
    if seconds is None:
        return ""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return ""


def named(uid: str) -> Name:
    """A UID from the wire with its name."""
    return Name(text(uid), uid_name(uid))


def _outcome(trace: AssociationTrace, pdus: list[TracedPDU]) -> tuple[str, bool]:
    for entry in reversed(pdus):
        match entry.dissection.pdu:
            case AAbort():
                return f"aborted by the {entry.sender.value}: {text(entry.dissection.summary)}", False
            case AAssociateRJ():
                return f"rejected: {text(entry.dissection.summary)}", False
            case AReleaseRP():
                return "released", True
    if trace.is_closed:
        return "the connection was closed, without a release or an abort", False
    return "not over where the trace ends", True


def _facts(trace: AssociationTrace, pdus: list[TracedPDU]) -> Iterable[tuple[str, str, str]]:
    rq, answer = trace.request, trace.answer
    theirs = rq.user_data if rq is not None else ()
    ours = answer.user_data if isinstance(answer, AAssociateAC) else ()
    yield "AE title", text(rq.calling_ae) if rq else "", text(rq.called_ae) if rq else ""
    yield "Implementation version", _version(theirs), _version(ours)
    yield "Implementation class UID", _class(theirs), _class(ours)
    yield "Longest P-DATA-TF received", _longest(theirs), _longest(ours)
    if _window(theirs) or _window(ours):
        yield "Operations invoked / performed", _window(theirs), _window(ours)
    sent = Counter(entry.sender for entry in pdus)
    yield "PDUs sent", str(sent[Side.REQUESTOR]), str(sent[Side.ACCEPTOR])


def _version(items: Iterable[UserDataSubItem]) -> str:
    names = (i.implementation_version_name for i in items if isinstance(i, ImplementationVersionNameSubItem))
    return text(next(names, ""))


def _class(items: Iterable[UserDataSubItem]) -> str:
    uids = (i.implementation_class_uid for i in items if isinstance(i, ImplementationClassUIDSubItem))
    return text(next(uids, ""))


def _longest(items: Iterable[UserDataSubItem]) -> str:
    lengths = [i.maximum_length_received for i in items if isinstance(i, MaximumLengthSubItem)]
    if not lengths:
        return ""
    return f"{lengths[0]:,} bytes" if lengths[0] else "no limit"


def _window(items: Iterable[UserDataSubItem]) -> str:
    for item in items:
        if isinstance(item, AsynchronousOperationsWindowSubItem):
            asked = (item.maximum_number_operations_invoked, item.maximum_number_operations_performed)
            return " / ".join(str(number) if number else "any number" for number in asked)
    return ""


def _contexts(rq: AAssociateRQ | None, answer: object) -> tuple[NegotiatedContext, ...]:
    answered = answer.presentation_contexts if isinstance(answer, AAssociateAC) else ()
    results = {item.presentation_context_id: item for item in answered}
    roles = _roles(answer.user_data if isinstance(answer, AAssociateAC) else ())
    found = []
    for item in rq.presentation_contexts if rq is not None else ():
        result = results.pop(item.presentation_context_id, None)
        is_accepted = result is not None and result.result == 0
        found.append(
            NegotiatedContext(
                item.presentation_context_id,
                named(item.abstract_syntax),
                tuple(map(named, item.transfer_syntaxes)),
                named(result.transfer_syntax) if result is not None and is_accepted else None,
                _result(result.result) if result is not None else "not answered",
                roles.get(item.abstract_syntax, "") if is_accepted else "",
            )
        )
    for result in results.values():
        accepted = named(result.transfer_syntax) if result.result == 0 else None
        words = _result(result.result)
        found.append(NegotiatedContext(result.presentation_context_id, Name("", ""), (), accepted, words, ""))
    return tuple(found)


def _result(value: int) -> str:
    return CONTEXT_RESULTS.get(value, f"reserved value {value}")


def _roles(items: Iterable[UserDataSubItem]) -> dict[str, str]:
    found = {}
    for item in items:
        if isinstance(item, RoleSelectionSubItem):
            roles = [name for name, may in (("SCU", item.scu_role), ("SCP", item.scp_role)) if may]
            found[item.sop_class_uid] = f"requestor is {' and '.join(roles) or 'neither SCU nor SCP'}"
    return found


def _problems(trace: AssociationTrace) -> Iterable[Problem]:
    left = MOST_PROBLEMS
    for position, entry in enumerate(trace.entries):
        for problem in entry.problems:
            if not left:
                return
            left -= 1
            yield Problem(text(problem), text(_where(entry)), position)


def _where(entry: Entry) -> str:
    if isinstance(entry, TracedPDU):
        return f"PDU {entry.number}, {entry.dissection.name}"
    return entry.what
