"""Several operations at once: cases 109, 110, 112, and beyond (PS3.7 D.3.3.3, 9.3.2.3)."""

from collections.abc import Callable, Iterator

from services.conformance.building import (
    IMPLICIT,
    RELEASE_RQ,
    STUDY_ROOT_FIND,
    VERIFICATION,
    c_cancel_rq,
    c_echo_rq,
    c_find_rq,
    context,
    message,
    window,
)
from services.conformance.case import Case, case
from services.conformance.cases.dimse_checks import answers_its_request
from services.conformance.cases.dimse_steps import (
    ECHO,
    FIND,
    FOUND,
    MAY_BE_KEPT,
    STORE,
    STORED,
    echo_message,
    find_message,
    identifier,
    no_instance,
    store_rq,
)
from services.conformance.conversation import Conversation
from services.conformance.steps import Do, Expect, Send, associate, echo
from services.conformance.target import Target

_IN_TURN = "with a window of 1 the second waits its turn, or is refused: 0213H, resource limitation"
_NOTE = "a window of 1 does not allow the second before the first is answered: an abort is tolerated."
_ABORTS = ("abort 0/0", "abort 2/*")


def _answered(answer: str, *, first: bool = False) -> Expect:
    refused = () if first else (f"{answer.rpartition(' ')[0]} 0213",)
    return Expect(answer, *refused, *_ABORTS, why=_IN_TURN, check=answers_its_request)


def _several_at_once() -> Iterator[Case]:
    yield case(
        "dimse-109a",
        "A second C-ECHO-RQ before the first is answered, window 1",
        "PS3.7 D.3.3.3; PS3.8 E.1",
        associate(),
        Send("two C-ECHO-RQs at once", echo_message(c_echo_rq(5)) + echo_message(c_echo_rq(6))),
        _answered("C-ECHO-RSP 5 0000", first=True),
        _answered("C-ECHO-RSP 6 0000"),
        echo(),
        needs=ECHO,
        note=_NOTE,
    )
    yield case(
        "dimse-109b",
        "A C-ECHO-RQ before a C-STORE is answered, window 1",
        "PS3.7 D.3.3.3; PS3.8 E.1",
        associate("echo", "store"),
        Send(
            "a C-STORE-RQ with its data set and a C-ECHO-RQ at once",
            lambda t: message(3, store_rq(t), no_instance(t)) + echo_message(c_echo_rq(6)),
        ),
        _answered(STORED, first=True),
        _answered("C-ECHO-RSP 6 0000"),
        echo(),
        needs=STORE,
        writes=True,
        note=f"{_NOTE} {MAY_BE_KEPT}",
    )
    yield case(
        "dimse-109c",
        "A C-ECHO-RQ before a C-FIND is answered, window 1",
        "PS3.7 D.3.3.3; PS3.8 E.1",
        associate("echo", "find"),
        Send("a C-FIND-RQ and a C-ECHO-RQ at once", _find_and_echo),
        _answered(FOUND, first=True),
        _answered("C-ECHO-RSP 6 0000"),
        echo(),
        needs=FIND,
        note=_NOTE,
    )
    yield case(
        "dimse-109d",
        "Ten C-ECHO-RQs at once, window 1",
        "PS3.7 D.3.3.3; PS3.8 E.1",
        associate(),
        Send("ten C-ECHO-RQs at once", b"".join(echo_message(c_echo_rq(each)) for each in range(20, 30))),
        [_answered(f"C-ECHO-RSP {each} 0000", first=each == 20) for each in range(20, 30)],
        echo(),
        needs=ECHO,
        note=_NOTE,
    )
    yield case(
        "dimse-109e",
        "C-ECHO-RQs on two contexts at once, window 1",
        "PS3.7 D.3.3.3; PS3.8 E.1",
        Send(
            "an A-ASSOCIATE-RQ for Verification on contexts 1 and 21",
            lambda t: t.proposing(context(1, VERIFICATION, IMPLICIT), context(21, VERIFICATION, IMPLICIT)),
        ),
        Expect("accept", why="each context is negotiated on its own"),
        Send("a C-ECHO-RQ on each", message(21, c_echo_rq(5)) + message(1, c_echo_rq(6))),
        _answered("C-ECHO-RSP 5 0000", first=True),
        _answered("C-ECHO-RSP 6 0000"),
        echo(),
        needs=ECHO,
        note=_NOTE,
    )
    yield case(
        "dimse-109f",
        "A C-ECHO-RQ and an A-RELEASE-RQ at once",
        "PS3.7 A.5; PS3.8 9.2: Evt12 in Sta6, AR-2, AR-4",
        associate(),
        Send("both", echo_message(c_echo_rq(5)) + RELEASE_RQ),
        Expect(
            "C-ECHO-RSP 5 0000",
            "release response",
            *_ABORTS,
            why="what was asked first is answered first, or not at all",
            check=answers_its_request,
        ),
        Expect("release response", *_ABORTS, why="and then the release (AR-4)"),
        needs=ECHO,
        note="the requestor breaks PS3.7 A.5 by releasing before it is answered; an acceptor may cut the answer.",
    )


def _find_and_echo(target: Target) -> bytes:
    return message(5, c_find_rq(9), identifier(target)) + echo_message(c_echo_rq(6))


# -- 110: the same Message ID twice


def _duplicates() -> Iterator[Case]:
    clause = "PS3.7 Annex C, D.3.3.3"
    note = "where the first has ended before the second is looked at, both are served; then there is no duplicate."
    find_twice = (
        Send("two C-FIND-RQs with Message ID 9 at once", lambda t: find_message()(t) * 2),
        _both("C-FIND-RSP 9"),
    )
    echo_twice = (
        Send("two C-ECHO-RQs with Message ID 5 at once", echo_message(c_echo_rq(5)) * 2),
        _both("C-ECHO-RSP 5"),
    )
    title = "{} with the same Message ID at once, {}"
    wide = (window(8, 8),)
    yield case(
        "dimse-110a",
        title.format("Two C-FIND-RQs", "a window of 8 proposed"),
        clause,
        associate("echo", "find", sub_items=wide),
        find_twice,
        echo(),
        needs=FIND,
        note=note,
    )
    yield case(
        "dimse-110b",
        title.format("Two C-ECHO-RQs", "a window of 8 proposed"),
        clause,
        associate(sub_items=wide),
        echo_twice,
        echo(),
        needs=ECHO,
        note=note,
    )
    yield case(
        "dimse-110c",
        title.format("Two C-ECHO-RQs", "window 1"),
        clause,
        associate(),
        echo_twice,
        echo(),
        needs=ECHO,
        note=note,
    )


def _both(answer: str) -> Do:
    """Two responses: success, and success or 0210H."""
    expected = f"{answer} 0000 and either 0000 or 0210"
    why = "0210H, duplicate invocation, while the first is in progress (PS3.7 Annex C)"

    async def run(conversation: Conversation) -> None:
        statuses = []
        for _ in range(2):
            event = await conversation.connection.receive(conversation.target.timeout)
            conversation.judge(
                event, f"{answer} 0000|{answer} 0210", *_ABORTS, why=why, check=answers_its_request
            )
            statuses.append(event.text.rpartition(" ")[2])
        if statuses == ["0210", "0210"]:
            conversation.fail(expected, "0210 twice", why)

    return Do(f"expects {expected}", run)


# -- 112: C-CANCEL on another context


def _cancel_elsewhere() -> Iterator[Case]:
    yield case(
        "dimse-112a",
        "C-CANCEL-RQ on the context for Verification while a C-FIND is performed",
        "PS3.7 9.3.2.3",
        associate("echo", "find"),
        Send("a C-FIND-RQ, and a C-CANCEL-RQ on context 1", _find_and_cancel(1)),
        _ended("abort 0/0"),
        echo(),
        needs=FIND,
        note="it may be ignored, honoured or too late; Verification has no C-CANCEL, so that an abort is tolerated.",
    )
    yield case(
        "dimse-112d",
        "C-CANCEL-RQ on another context for the same SOP class than its C-FIND's",
        "PS3.7 9.3.2.3",
        Send(
            "an A-ASSOCIATE-RQ for Verification, and Study Root FIND on contexts 5 and 23",
            lambda t: t.proposing(
                context(1, VERIFICATION, IMPLICIT),
                context(5, STUDY_ROOT_FIND, IMPLICIT),
                context(23, STUDY_ROOT_FIND, IMPLICIT),
            ),
        ),
        Expect("accept", why="each context is negotiated on its own"),
        Send("a C-FIND-RQ on context 5, and a C-CANCEL-RQ on context 23", _find_and_cancel(23)),
        _ended("abort 0/0"),
        echo(),
        needs=FIND,
        note="it names its operation by Message ID alone. It may be ignored or honoured; an abort is tolerated.",
    )
    yield case(
        "dimse-112b",
        "C-CANCEL-RQ on the context of its C-FIND",
        "PS3.7 9.3.2.3; PS3.4 C.4.1",
        associate("echo", "find"),
        Send("a C-FIND-RQ, and a C-CANCEL-RQ", _find_and_cancel(5)),
        _ended(),
        echo(),
        needs=FIND,
        note="it may come too late; it has no response of its own.",
    )
    yield case(
        "dimse-112c",
        "C-CANCEL-RQ before the C-FIND-RQ it names",
        "PS3.7 9.3.2.3",
        associate("echo", "find"),
        Send(
            "a C-CANCEL-RQ, and then the C-FIND-RQ", lambda t: message(5, c_cancel_rq(9)) + find_message()(t)
        ),
        Expect(FOUND, why="it found no operation and was ignored", check=answers_its_request),
        echo(),
        needs=FIND,
    )


def _find_and_cancel(context_id: int) -> Callable[[Target], bytes]:
    return lambda target: find_message()(target) + message(context_id, c_cancel_rq(9))


def _ended(*tolerated: str) -> Expect:
    return Expect(
        f"{FOUND}|C-FIND-RSP 9 FE00",
        *tolerated,
        why="one final response, success or canceled, and never an abort",
        check=answers_its_request,
    )


CASES: tuple[Case, ...] = (*_several_at_once(), *_duplicates(), *_cancel_elsewhere())
