"""C-MOVEs to destinations that fail: not there, unwilling, failing on the way (PS3.4 C.4.2.1.5, C.4.2.3)."""

from collections.abc import Awaitable, Callable, Iterator

from msgspec import Struct

from services.conformance.case import Case, case
from services.conformance.cases.retrieve_move import move, to_us
from services.conformance.cases.retrieve_study import (
    IN_SERIES,
    series,
    uids,
)
from services.conformance.conversation import Conversation
from services.conformance.move_listener import Behaviour, Deed, MoveListener, listening
from services.conformance.retrieving import (
    Counts,
    judge_failed_list,
    judge_final,
    judge_pending,
)
from services.conformance.steps import Do, echo
from services.conformance.target import Service, Target

_NEEDS = (Service.STORAGE, Service.MOVE)

# -- 141: the destination fails


class _Faulty(Struct, frozen=True, kw_only=True):
    """A destination that does not take the series as it should; `done` instances are a success all the same."""

    name: str
    what: str
    behaviour: Behaviour | None
    done: int = 0
    warning: int = 0
    final: tuple[str, ...] = ("A702",)
    tolerated: tuple[str, ...] = ("B000", "A7??", "C???", "01??")
    note: str = ""


_SOME = ("B000",)
_SOME_TOLERATED = ("A7??", "C???", "0000")
_TRIES_AGAIN = "A peer may associate with the destination again and send what is left: success is tolerated."

_FAULTY = (
    _Faulty(name="141a", what="where nobody listens", behaviour=None),
    _Faulty(name="141b", what="that rejects the association", behaviour=Behaviour(rejects=True)),
    _Faulty(name="141c", what="that accepts no presentation context", behaviour=Behaviour(refuses=True)),
    _Faulty(
        name="141d",
        what="that aborts instead of answering the second instance",
        behaviour=Behaviour(deed=Deed.ABORT, at=1),
        done=1,
        final=_SOME,
        tolerated=_SOME_TOLERATED,
        note=_TRIES_AGAIN,
    ),
    _Faulty(
        name="141e", what="that answers each instance with A700", behaviour=Behaviour(statuses=(0xA700,))
    ),
    _Faulty(
        name="141f",
        what="that answers one instance of three with C000",
        behaviour=Behaviour(statuses=(0, 0xC000, 0)),
        done=2,
        final=_SOME,
        tolerated=("A7??", "C???"),
    ),
    _Faulty(
        name="141g",
        what="that answers each instance with a warning",
        behaviour=Behaviour(statuses=(0xB000,)),
        warning=IN_SERIES,
        final=_SOME,
        tolerated=("0000",),
    ),
    _Faulty(
        name="141h",
        what="that closes the connection instead of answering the first instance",
        behaviour=Behaviour(deed=Deed.CLOSE),
        tolerated=("0000", "B000", "A7??", "C???", "01??"),
        note=_TRIES_AGAIN,
    ),
    _Faulty(
        name="141i",
        what="that takes half a second for each answer",
        behaviour=Behaviour(delay=0.5),
        done=IN_SERIES,
        final=("0000",),
        tolerated=(),
    ),
)


def _to_faulty(each: _Faulty) -> Callable[[Conversation], Awaitable[None]]:
    async def run(conversation: Conversation) -> None:
        target = conversation.target
        keys = series(target)
        if each.behaviour is None:
            seen = await move(conversation, b"SERIES", keys, final=each.final, tolerated=each.tolerated)
            bad = uids(target)[:IN_SERIES]
        else:
            async with listening(conversation, each.behaviour) as listener:
                seen = await move(conversation, b"SERIES", keys, final=each.final, tolerated=each.tolerated)
                bad = _not_taken(target, listener, each)
        judge_pending(conversation, seen, IN_SERIES)
        if not seen.final.text.endswith("0000"):
            failed = IN_SERIES - each.done - each.warning
            judge_final(conversation, seen, Counts(None, each.done, failed, each.warning))
            judge_failed_list(conversation, seen, bad)

    return run


def _not_taken(target: Target, listener: MoveListener, each: _Faulty) -> list[bytes]:
    """What must be in the Failed SOP Instance UID List."""
    behaviour = each.behaviour
    assert behaviour is not None
    good = set()
    for number, came in enumerate(listener.stored):
        status = behaviour.statuses[min(number, len(behaviour.statuses) - 1)]
        broken = behaviour.deed is not None and number >= behaviour.at
        if not broken and status >> 12 in (0x0, 0xB):
            good.add(came.sop_instance)
    return [uid for uid in uids(target)[:IN_SERIES] if uid not in good]


def _faulty() -> Iterator[Case]:
    for each in _FAULTY:
        yield case(
            f"retrieve-{each.name}",
            f"C-MOVE to a destination {each.what}",
            "PS3.4 C.4.2.1.4.2, C.4.2.1.5 to C.4.2.1.9, C.4.2.3",
            *to_us(
                Do(
                    f"has a series moved to a destination {each.what}, and looks at the counts and the final response",
                    _to_faulty(each),
                ),
                echo(),
            ),
            needs=_NEEDS,
            writes=True,
            note=each.note,
        )


CASES: tuple[Case, ...] = tuple(_faulty())
