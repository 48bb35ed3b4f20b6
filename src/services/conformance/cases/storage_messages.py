"""Storage messages of every form that PS3.7 and PS3.8 allow, in series and interrupted (PS3.7 9.1.1, 9.3.1)."""

from collections.abc import Iterator

from services.conformance.building import (
    IMPLICIT,
    NO_DATA,
    abort,
    c_echo_rq,
    c_store_rq,
    command,
    element,
    message,
    p_data,
    pdv,
    ui,
    us,
    window,
)
from services.conformance.case import Case, case
from services.conformance.cases.storage_checks import indexed_once
from services.conformance.conversation import Conversation
from services.conformance.data_sets import (
    instance,
)
from services.conformance.steps import (
    ECHO_CONTEXT,
    STORE_CONTEXT,
    Do,
    Expect,
    Send,
    close,
    echo,
    finish_sending,
    reconnect,
    release,
    reset,
)
from services.conformance.storing import (
    OTHER_FAILURE,
    STORE_ID,
    MakeInstance,
    answers,
    for_storage,
    message_of,
    propose,
    statuses,
    storage,
    store,
)
from services.conformance.target import Service, Target

_NEEDS = (Service.STORAGE,)


def _begun(name: str) -> Send:
    """The command, and half of the data set."""

    def data(target: Target) -> bytes:
        each = instance(target, name)
        encoded = each.encoded()
        request = c_store_rq(STORE_ID, each.sop_class, each.uid)
        return p_data(pdv(STORE_CONTEXT, 3, request)) + p_data(
            pdv(STORE_CONTEXT, 0, encoded[: len(encoded) // 2 & ~1])
        )

    return Send("a C-STORE-RQ with the first half of its data set", data)


def _interrupted() -> Iterator[Case]:
    for name, title, step in (
        ("203a", "aborted", Send("an A-ABORT", abort(0, 0))),
        ("203b", "closed", finish_sending()),
        ("203c", "broken", reset()),
    ):
        yield case(
            f"storage-{name}",
            f"The association is {title} in the middle of an instance, which is then sent again",
            "PS3.8 9.2: AA-3, AA-4; PS3.4 B.2.2",
            for_storage(),
            _begun(name),
            step,
            *([close()] if name == "203a" else []),
            reconnect(),
            for_storage(),
            store(
                _maker(name),
                "the whole of the same instance",
                why="nothing is left of the first attempt, and nothing in the way of the second",
            ),
            indexed_once(_maker(name)),
            release(),
            needs=_NEEDS,
            writes=True,
        )


def _maker(name: str, number: int = 1) -> MakeInstance:
    return lambda target: instance(target, name, number=number)


_MANY = 20


async def _series(conversation: Conversation) -> None:
    target = conversation.target
    for number in range(1, _MANY + 1):
        each = instance(target, "204", number=number)
        request = c_store_rq(number, each.sop_class, each.uid)
        await conversation.connection.send(message_of(target, STORE_CONTEXT, request, each.encoded()))
        await conversation.expect(f"C-STORE-RSP {number} 0000", check=answers(_maker("204", number)))


async def _pipelined(conversation: Conversation) -> None:
    """Send all requests before the first response is read."""
    target = conversation.target
    count = 8
    for number in range(1, count + 1):
        each = instance(target, "205", number=number)
        request = c_store_rq(number, each.sop_class, each.uid)
        await conversation.connection.send(message_of(target, STORE_CONTEXT, request, each.encoded()))
    waiting = set(range(1, count + 1))
    while waiting:
        event = await conversation.expect(
            statuses_of(waiting, "0000"),
            statuses_of(waiting, "0213"),
            why="each request gets its own response; over the window 0213 is the refusal (PS3.7 D.3.3.3)",
        )
        waiting.discard(int(event.text.split()[1]))


def statuses_of(message_ids: set[int], code: str) -> str:
    """The pattern of a C-STORE-RSP to one of these requests."""
    return "|".join(statuses(each, (code,)) for each in sorted(message_ids))


def _with_originator(target: Target) -> bytes:
    each = instance(target, "206")
    request = command(
        ui(0x0002, each.sop_class),
        us(0x0100, 0x0001),
        us(0x0110, STORE_ID),
        us(0x0700, 1),
        us(0x0800, 0),
        ui(0x1000, each.uid),
        element(0x1030, b"CONFORM "),
        us(0x1031, 77),
    )
    return message_of(target, STORE_CONTEXT, request, each.encoded())


def _without_data(target: Target) -> bytes:
    each = instance(target, "207")
    request = command(
        ui(0x0002, each.sop_class),
        us(0x0100, 0x0001),
        us(0x0110, STORE_ID),
        us(0x0700, 0),
        us(0x0800, NO_DATA),
        ui(0x1000, each.uid),
    )
    return message(STORE_CONTEXT, request)


def _in_one_pdu(target: Target) -> bytes:
    each = instance(target, "212")
    request = c_store_rq(STORE_ID, each.sop_class, each.uid)
    data = each.encoded()
    return p_data(
        pdv(STORE_CONTEXT, 1, request[:20]),
        pdv(STORE_CONTEXT, 3, request[20:]),
        pdv(STORE_CONTEXT, 0, data[:100]),
        pdv(STORE_CONTEXT, 2, data[100:]),
    )


def _ending_empty(target: Target) -> bytes:
    each = instance(target, "208")
    request = c_store_rq(STORE_ID, each.sop_class, each.uid)
    return (
        p_data(pdv(STORE_CONTEXT, 3, request))
        + p_data(pdv(STORE_CONTEXT, 0, each.encoded()))
        + p_data(pdv(STORE_CONTEXT, 2, b""))
    )


def _padded(target: Target) -> bytes:
    """The UID in the command ends with a space instead of a NUL."""
    each = instance(target, "209")
    uid = each.uid if len(each.uid) % 2 else each.uid + b"1"
    each = each.named(uid)
    request = command(
        ui(0x0002, each.sop_class),
        us(0x0100, 0x0001),
        us(0x0110, STORE_ID),
        us(0x0700, 0),
        us(0x0800, 0),
        ui(0x1000, uid + b" "),
    )
    return message_of(target, STORE_CONTEXT, request, each.encoded())


_OTHER_CONTEXT = 13


def _stored(why: str) -> Expect:
    return Expect(f"C-STORE-RSP {STORE_ID} 0000", why=why)


CASES: tuple[Case, ...] = (
    *_interrupted(),
    case(
        "storage-204",
        f"{_MANY} instances of a series, one after the other",
        "PS3.7 9.3.1.2",
        for_storage(),
        Do(f"stores {_MANY} instances, and expects a response with the right UIDs to each", _series),
        release(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "storage-205",
        "Eight instances sent before the first response is read, with a window of eight",
        "PS3.7 D.3.3.3",
        propose("storage", storage(), sub_items=lambda target: (window(8, 8),)),
        Do("sends eight C-STORE-RQs at once, and expects a response to each", _pipelined),
        echo(),
        needs=_NEEDS,
        writes=True,
        note="A peer that grants a smaller window may answer in turn or refuse what is over it with 0213.",
    ),
    case(
        "storage-206",
        "A C-STORE-RQ with Move Originator AE Title and Message ID",
        "PS3.7 9.1.1.1, 9.3.1.1",
        for_storage(),
        Send("a C-STORE-RQ such as a C-MOVE causes", _with_originator),
        _stored("who caused it changes nothing"),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "storage-207",
        "A C-STORE-RQ that says to have no data set",
        "PS3.7 9.1.1.1: Data Set is mandatory; PS3.4 B.2.3",
        for_storage(),
        Send("a C-STORE-RQ with Command Data Set Type 0101H", _without_data),
        Expect(
            statuses(STORE_ID, ("C???", "A9??")),
            statuses(STORE_ID, OTHER_FAILURE),
            "abort 0/*",
            why="there is nothing to store",
        ),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "storage-208",
        "A data set whose last fragment is empty",
        "PS3.8 9.3.5.1, Annex E.2",
        for_storage(),
        Send("a C-STORE-RQ, its last fragment in a PDV of 2 bytes, that holds nothing", _ending_empty),
        _stored("that a fragment is the last one may turn out when nothing is left to send"),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "storage-209",
        "A SOP Instance UID padded with a space in the command",
        "PS3.5 9.1, 6.2",
        for_storage(),
        Send("a C-STORE-RQ with the UID padded by a space", _padded),
        Expect(
            statuses(STORE_ID, ("0000",)),
            statuses(STORE_ID, ("0117", "A9??", "C???")),
            why="padding is no part of a UID; the right one would be NUL",
        ),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "storage-210",
        "Two contexts for the same class, an instance on each",
        "PS3.8 9.3.2.2; PS3.7 9.1.1",
        propose("storage on two contexts", storage(), storage(IMPLICIT, id=_OTHER_CONTEXT)),
        store(lambda target: instance(target, "210")),
        store(
            lambda target: instance(target, "210", number=2),
            "a C-STORE-RQ on the other context",
            context_id=_OTHER_CONTEXT,
            message_id=5,
        ),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "storage-211",
        "C-ECHO between two instances",
        "PS3.7 9.1; PS3.4 A.4",
        for_storage(),
        store(lambda target: instance(target, "211")),
        Send("a C-ECHO-RQ with a C-STORE-RQ right behind it", lambda target: _echo_and_store(target)),
        Expect("C-ECHO-RSP 4 0000"),
        Expect("C-STORE-RSP 5 0000"),
        release(),
        needs=_NEEDS,
        writes=True,
        note="The second request comes before the first is answered, as TCP allows; both are to be answered in turn.",
    ),
    case(
        "storage-212",
        "Command and data set in one P-DATA-TF, each in two fragments",
        "PS3.8 9.3.5.1, Annex E",
        for_storage(),
        Send("a P-DATA-TF with a whole C-STORE-RQ in four PDVs", _in_one_pdu),
        _stored("PDVs are put into P-DATA-TFs as the sender likes"),
        echo(),
        needs=_NEEDS,
        writes=True,
        note="The last of its suite, since it ends DCMTK 3.6.7 and what is built on it.",
    ),
)


def _echo_and_store(target: Target) -> bytes:
    each = instance(target, "211", number=2)
    request = c_store_rq(5, each.sop_class, each.uid)
    return message(ECHO_CONTEXT, c_echo_rq(4)) + message_of(target, STORE_CONTEXT, request, each.encoded())
