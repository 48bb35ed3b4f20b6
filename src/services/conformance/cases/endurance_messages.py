"""Much on one association: cases 97 and 117, and beyond."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from services.conformance.building import (
    NO_DATA,
    VERIFICATION,
    c_cancel_rq,
    c_echo_rq,
    c_find_rq,
    command,
    message,
    p_data,
    pdv,
    ui,
    us,
)
from services.conformance.case import Case, case
from services.conformance.cases.dimse_checks import answers_its_request
from services.conformance.cases.dimse_steps import (
    ECHO,
    ECHO_RQ,
    ECHOED,
    FIND,
    FOUND,
    MAY_BE_KEPT,
    STORE,
    STORED,
    echo_if,
    echo_message,
    identifier,
    in_pieces,
    long_echo_rq,
    no_instance,
    packed,
    peers_maximum,
    store_rq,
)
from services.conformance.conversation import Conversation
from services.conformance.steps import (
    ECHO_CONTEXT,
    FIND_CONTEXT,
    STORE_CONTEXT,
    Do,
    Expect,
    associate,
    echo,
    release,
)
from services.conformance.target import Target

FRAGMENTS = 20_000
LARGE = 4 << 20
_UNFRAGMENTED = 16384
"""Bytes of a P-DATA-TF to a peer that announces no limit, or a larger one."""


def _patiently(target: Target) -> float:
    """How long a peer may take over something large, in seconds."""
    return target.timeout + 25.0


def send_much(title: str, what: Callable[[Conversation], bytes]) -> Do:
    """Send a lot, with more time for the peer to take it than for anything else."""

    async def run(conversation: Conversation) -> None:
        await conversation.connection.send(what(conversation), timeout=_patiently(conversation.target))

    return Do(f"sends {title}", run)


# -- 97: very many fragments


def _fragments() -> Iterator[Case]:
    rule = "served, or given up for a limit on fragments; the standard knows no number that is too many"
    clause = "PS3.8 E.1; a local limit"
    command_set = long_echo_rq(2 * FRAGMENTS)
    pieces = in_pieces(ECHO_CONTEXT, 1, command_set)
    ways: dict[str, tuple[str, Callable[[Conversation], bytes]]] = {
        "a": (
            f"Command in {FRAGMENTS} fragments of 2 bytes, each in a P-DATA-TF",
            lambda _: b"".join(map(p_data, pieces)),
        ),
        "b": (
            f"Command in {FRAGMENTS} fragments of 2 bytes, as many as may be in each P-DATA-TF",
            lambda conversation: packed(pieces, _longest(conversation)),
        ),
        "c": (
            f"Command after {FRAGMENTS} empty fragments",
            lambda _: p_data(pdv(1, 1, b"")) * FRAGMENTS + p_data(pdv(1, 3, ECHO_RQ)),
        ),
    }
    for letter, (title, make) in ways.items():
        yield case(
            f"endurance-97{letter}",
            title,
            clause,
            associate(),
            send_much("a C-ECHO-RQ", make),
            Expect(ECHOED, "abort 0/*", "abort 2/*", within=_patiently, why=rule),
            echo_if(ECHOED),
            needs=ECHO,
        )
    yield case(
        "endurance-97d",
        f"Data set in {FRAGMENTS} fragments of 2 bytes, each in a P-DATA-TF",
        clause,
        associate("echo", "store"),
        send_much("a C-STORE-RQ and its data set", partial(_store, length=2 * FRAGMENTS, longest=_tiny)),
        Expect(STORED, "abort 0/*", "abort 2/*", within=_patiently, why=rule),
        echo_if(STORED),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )
    yield case(
        "endurance-97e",
        f"Identifier in {FRAGMENTS} fragments of 2 bytes, each in a P-DATA-TF",
        clause,
        associate("echo", "find"),
        send_much("a C-FIND-RQ and its identifier", _find_in_pieces),
        Expect(FOUND, "C-FIND-RSP 9 [AC]???", "abort 0/*", "abort 2/*", within=_patiently, why=rule),
        echo_if("C-FIND-RSP *"),
        needs=FIND,
        note="an identifier of 40,000 bytes may be refused for its size.",
    )


def _longest(conversation: Conversation) -> int:
    return min(peers_maximum(conversation) or _UNFRAGMENTED, _UNFRAGMENTED)


def _announced(conversation: Conversation) -> int:
    return min(peers_maximum(conversation) or LARGE, LARGE)


def _tiny(_: Conversation) -> int:
    return 8


def _small(_: Conversation) -> int:
    return 128


def _store(conversation: Conversation, length: int, longest: Callable[[Conversation], int]) -> bytes:
    """A C-STORE with a data set of that length, in P-DATA-TFs of `longest` bytes with one PDV each."""
    target = conversation.target
    size = (longest(conversation) & ~1) - 6
    pieces = in_pieces(STORE_CONTEXT, 0, no_instance(target, length), size)
    return message(STORE_CONTEXT, store_rq(target)) + b"".join(map(p_data, pieces))


def _find_in_pieces(conversation: Conversation) -> bytes:
    pieces = in_pieces(FIND_CONTEXT, 0, identifier(conversation.target, 2 * FRAGMENTS))
    return message(FIND_CONTEXT, c_find_rq(9)) + b"".join(map(p_data, pieces))


# -- 117: very many messages


def _echoes() -> Iterator[Case]:
    yield case(
        "endurance-117a",
        "1000 C-ECHOs on one association",
        "PS3.4 A.4; PS3.7 9.3.5",
        associate(),
        _in_turn(range(1, 1001)),
        release(),
        needs=ECHO,
    )
    yield case(
        "endurance-117b",
        "200 C-ECHOs whose Message IDs run over 65535",
        "PS3.7 9.3.5, E.1: Message ID is a US",
        associate(),
        _in_turn([number & 0xFFFF for number in range(65436, 65636)]),
        release(),
        needs=ECHO,
    )
    yield case(
        "endurance-205",
        "300 C-ECHO-RQs at once, window 1",
        "PS3.7 D.3.3.3; PS3.8 E.1",
        associate(),
        send_much("300 C-ECHO-RQs", lambda _: b"".join(echo_message(c_echo_rq(n)) for n in range(300))),
        _all_answered(range(300)),
        needs=ECHO,
        note="a window of 1 does not allow the second before the first is answered: an abort is tolerated.",
    )


def _in_turn(numbers: Sequence[int]) -> Do:
    """Ask for a C-ECHO with each of these Message IDs; the first answer is looked at closely, as are some others."""

    async def run(conversation: Conversation) -> None:
        for position, number in enumerate(numbers):
            await conversation.connection.send(
                echo_message(c_echo_rq(number)), timeout=conversation.target.timeout
            )
            await conversation.expect(
                f"C-ECHO-RSP {number} 0000",
                why="each is answered, with its Message ID",
                check=answers_its_request if position in (0, len(numbers) - 1) else None,
            )

    return Do(f"{len(numbers)} times sends a C-ECHO-RQ and expects its C-ECHO-RSP 0000", run)


def _all_answered(numbers: range) -> Do:
    async def run(conversation: Conversation) -> None:
        for number in numbers:
            await conversation.expect(
                f"C-ECHO-RSP {number} 0000",
                "abort 0/*",
                "abort 2/*",
                why="answered in their order, all of them",
            )

    return Do(
        f"expects {len(numbers)} C-ECHO-RSPs, in the order of their requests (tolerated: an abort)", run
    )


# -- much that is refused or ignored


def _refusals() -> Iterator[Case]:
    yield case(
        "endurance-206a",
        "1000 C-CANCEL-RQs that find nothing, on a context for C-FIND",
        "PS3.7 9.3.2.3",
        associate("echo", "find"),
        send_much("the C-CANCEL-RQs", lambda _: b"".join(message(5, c_cancel_rq(n)) for n in range(1000))),
        echo(),
        needs=FIND,
    )
    yield case(
        "endurance-206b",
        "200 unknown operations on one association",
        "PS3.7 Annex C",
        associate(),
        Do(
            "200 times sends a request with Command Field 0FFEH and expects 0211H (tolerated: an abort)",
            _unknown,
        ),
        echo(),
        needs=ECHO,
    )


async def _unknown(conversation: Conversation) -> None:
    for number in range(1, 201):
        request = command(
            ui(0x0002, VERIFICATION), us(0x0100, 0x0FFE), us(0x0110, number), us(0x0800, NO_DATA)
        )
        await conversation.connection.send(echo_message(request), timeout=conversation.target.timeout)
        await conversation.expect(
            f"8FFEH {number} 0211",
            "abort 0/0",
            why="each is refused, and costs the association nothing (Annex C)",
        )


# -- large


def _large() -> Iterator[Case]:
    rule = "a data set may be of any length (PS3.8 E.1)"
    ways = {
        "a": (f"Data set of {LARGE >> 20} MiB in P-DATA-TFs as long as announced", LARGE, _announced),
        "b": ("Data set of 1 MiB in P-DATA-TFs of 128 bytes", LARGE >> 2, _small),
    }
    for letter, (title, length, longest) in ways.items():
        yield case(
            f"endurance-203{letter}",
            title,
            "PS3.8 E.1, D.1",
            associate("echo", "store"),
            send_much("a C-STORE-RQ and its data set", partial(_store, length=length, longest=longest)),
            Expect(STORED, within=_patiently, why=rule, check=answers_its_request),
            echo(),
            needs=STORE,
            writes=True,
            note=MAY_BE_KEPT,
        )
    yield case(
        "endurance-203c",
        "Ten data sets of 256 KiB on one association",
        "PS3.8 E.1",
        associate("echo", "store"),
        Do("ten times sends a C-STORE-RQ with its data set and expects its C-STORE-RSP", _ten_stores),
        echo(),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )


async def _ten_stores(conversation: Conversation) -> None:
    for _ in range(10):
        data = _store(conversation, 256 << 10, _longest)
        await conversation.connection.send(data, timeout=_patiently(conversation.target))
        await conversation.expect(STORED, within=_patiently(conversation.target), why="each is answered")


CASES: tuple[Case, ...] = (*_fragments(), *_echoes(), *_refusals(), *_large())
