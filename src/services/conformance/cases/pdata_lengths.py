"""Lengths and context ids of P-DATA-TFs and PDVs: cases 89 to 92, and beyond (PS3.8 9.3.5, D.1)."""

import struct
from collections.abc import Callable, Iterator

from services.conformance.building import c_find_rq, message, p_data, pdu, pdv
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
    SendAgreed,
    aborted_perhaps_after,
    echo_if,
    identifier,
    long_echo_rq,
    no_instance,
    peers_maximum,
    store_rq,
)
from services.conformance.conversation import Conversation
from services.conformance.steps import (
    ECHO_CONTEXT,
    FIND_CONTEXT,
    REFUSED_CONTEXT,
    STORE_CONTEXT,
    Expect,
    Send,
    aborted,
    associate,
    echo,
)
from services.conformance.target import Target

WITHOUT_LIMIT = 131072
"""Sent as the longest P-DATA-TF to a peer that announces no limit."""

LONGEST_BY_ECHO = 200_000
"""A longer P-DATA-TF cannot be filled by a C-ECHO-RQ without a command set that is unreasonable in itself."""

LONGEST = 4 << 20
"""A longer P-DATA-TF is not sent, whatever the peer announces."""

# -- 89: lengths that do not add up


def _bad_lengths() -> Iterator[Case]:
    good = pdv(1, 3, ECHO_RQ)
    faults = {
        "89a": ("PDV with item-length 0", p_data(pdv(1, 3, b"", length=0))),
        "89b": ("PDV with item-length 1", p_data(pdv(1, 3, b"", length=1))),
        "89c": ("PDV longer than its P-DATA-TF", p_data(pdv(1, 3, ECHO_RQ, length=len(ECHO_RQ) + 4))),
        "89d": ("PDV with item-length FFFFFFFFH", p_data(pdv(1, 3, ECHO_RQ, length=0xFFFFFFFF))),
        "89e": ("P-DATA-TF of 0 bytes", p_data()),
        **{
            f"89{'fghij'[count - 1]}": (
                f"P-DATA-TF with {count} byte{'s' * (count > 1)} after its last PDV",
                p_data(good + bytes(count)),
            )
            for count in range(1, 6)
        },
        "89k": ("PDV of length 0 after a whole C-ECHO-RQ", p_data(good, pdv(1, 3, b"", length=0))),
        "89l": ("PDV beyond the end after a whole C-ECHO-RQ", p_data(good, pdv(1, 3, b"", length=10))),
        "89m": ("PDV with an item-length in little endian", p_data(_little_endian(ECHO_RQ))),
        "89n": ("P-DATA-TF of 5 bytes, too short for a PDV", pdu(4, bytes(5))),
    }
    rule = "PDVs fill their P-DATA-TF exactly, with 2 bytes or more each"
    note = (
        "an invalid PDU is the service provider's to find, which aborts as such (AA-8, source 2): an abort of the "
        "service user (0/0) says something else."
    )
    for number, (title, data) in faults.items():
        after_a_request = number in ("89k", "89l")
        yield case(
            f"pdata-{number}",
            title,
            "PS3.8 9.3.5.1, 9.2: Evt19 in Sta6, AA-8",
            associate(),
            Send("the P-DATA-TF", data),
            aborted_perhaps_after(ECHOED, "2/6", rule) if after_a_request else aborted("2/6", rule),
            note=note,
        )


def _little_endian(command_set: bytes) -> bytes:
    return struct.pack("<I", len(command_set) + 2) + pdv(1, 3, command_set)[4:]


# -- 90: longer than announced; 91: as long as announced


def _limit(conversation: Conversation) -> int:
    """What may be sent in a P-DATA-TF."""
    announced = peers_maximum(conversation) or WITHOUT_LIMIT
    if announced > LONGEST:
        conversation.not_applicable(f"the peer announced {announced} bytes: more than is sent in any case")
    return announced


def _exceeded(conversation: Conversation) -> int:
    """What may be sent in a P-DATA-TF, and is to be exceeded."""
    if peers_maximum(conversation) == 0:
        conversation.not_applicable("the peer announced no limit")
    return _limit(conversation)


def echo_of(length: int, conversation: Conversation) -> bytes:
    """One P-DATA-TF of `length` bytes with one C-ECHO-RQ, in fragments of 2 bytes but for the last."""
    if length > LONGEST_BY_ECHO:
        conversation.not_applicable(f"a C-ECHO-RQ cannot fill {length} bytes")
    count = length // 8
    command_set = long_echo_rq(length - 6 * count)
    pieces = [pdv(ECHO_CONTEXT, 1, command_set[2 * n : 2 * n + 2]) for n in range(count - 1)]
    return p_data(*pieces, pdv(ECHO_CONTEXT, 3, command_set[2 * (count - 1) :]))


def _longest_echo(conversation: Conversation) -> bytes:
    return echo_of(_limit(conversation) & ~1, conversation)


def _too_long_echo(by: int) -> Callable[[Conversation], bytes]:
    return lambda conversation: echo_of(_exceeded(conversation) + by, conversation)


def _store_of(length: int, target: Target) -> bytes:
    data = pdv(STORE_CONTEXT, 2, no_instance(target, (length & ~1) - 6))
    return message(STORE_CONTEXT, store_rq(target)) + p_data(data)


def _longest_store(conversation: Conversation) -> bytes:
    return _store_of(_limit(conversation), conversation.target)


def _too_long_store(conversation: Conversation) -> bytes:
    return _store_of(2 * _exceeded(conversation), conversation.target)


def _find_of(length: int, target: Target) -> bytes:
    data = pdv(FIND_CONTEXT, 2, identifier(target, (length & ~1) - 6))
    return message(FIND_CONTEXT, c_find_rq(9)) + p_data(data)


def _longest_find(conversation: Conversation) -> bytes:
    return _find_of(_limit(conversation), conversation.target)


def _too_long_find(conversation: Conversation) -> bytes:
    return _find_of(_exceeded(conversation) + 2, conversation.target)


def _header_of_too_long(length: int) -> bytes:
    return pdu(4, pdv(ECHO_CONTEXT, 3, ECHO_RQ), length=length)


def _too_long() -> Iterator[Case]:
    rule = "no P-DATA-TF may be longer than the receiver announced (PS3.8 D.1)"
    clause = "PS3.8 D.1, 9.2: Evt19 in Sta6, AA-8"
    note = "the standard calls it an error of the sender's and names no answer; to serve it is tolerated."
    for letter, by in {"a": 1, "b": 2}.items():
        yield case(
            f"pdata-90{letter}",
            f"P-DATA-TF {by} byte{'s' * (by > 1)} longer than announced",
            clause,
            associate(),
            SendAgreed(f"a whole C-ECHO-RQ in a P-DATA-TF that is {by} too long", _too_long_echo(by)),
            aborted("2/6", rule, ECHOED),
            echo_if(ECHOED),
            needs=ECHO,
            note=note,
        )
    yield case(
        "pdata-90c",
        "P-DATA-TF 2 bytes longer than announced, with a whole identifier",
        clause,
        associate("echo", "find"),
        SendAgreed("a C-FIND-RQ with its identifier in a P-DATA-TF that is 2 too long", _too_long_find),
        aborted("2/6", rule, FOUND),
        echo_if(FOUND),
        needs=FIND,
        note=note,
    )
    yield case(
        "pdata-90d",
        "P-DATA-TF twice as long as announced, with a whole data set",
        clause,
        associate("echo", "store"),
        SendAgreed("a C-STORE-RQ with its data set in a P-DATA-TF that is twice too long", _too_long_store),
        aborted("2/6", rule, STORED),
        echo_if(STORED),
        needs=STORE,
        writes=True,
        note=f"{note} {MAY_BE_KEPT}",
    )
    for letter, length in {"e": 0xFFFFFFFF, "f": 0x7FFFFFFF, "g": 0x10000000}.items():
        yield case(
            f"pdata-90{letter}",
            f"P-DATA-TF with PDU-length {length:08X}H, of which little follows",
            clause,
            associate(),
            Send("its header and 88 bytes", _header_of_too_long(length)),
            aborted("2/6", f"{rule}: the header alone shows it"),
            note="a peer that announces no limit takes on what it is sent, but not 256 MiB in one PDU.",
        )


def _as_long_as_may_be() -> Iterator[Case]:
    rule = "what was announced is accepted (PS3.8 D.1)"
    yield case(
        "pdata-91a",
        "P-DATA-TF exactly as long as announced, full of fragments of 2 bytes",
        "PS3.8 D.1, E.1",
        associate(),
        SendAgreed("a C-ECHO-RQ in a P-DATA-TF as long as may be", _longest_echo),
        Expect(ECHOED, why=rule, check=answers_its_request),
        echo(6),
        needs=ECHO,
    )
    yield case(
        "pdata-91b",
        "Data set in a P-DATA-TF exactly as long as announced",
        "PS3.8 D.1",
        associate("echo", "store"),
        SendAgreed("a C-STORE-RQ with its data set in a P-DATA-TF as long as may be", _longest_store),
        Expect(STORED, why=rule, check=answers_its_request),
        echo(),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )
    yield case(
        "pdata-91c",
        "Identifier in a P-DATA-TF exactly as long as announced",
        "PS3.8 D.1",
        associate("echo", "find"),
        SendAgreed("a C-FIND-RQ with its identifier in a P-DATA-TF as long as may be", _longest_find),
        Expect(FOUND, why=rule, check=answers_its_request),
        echo(),
        needs=FIND,
    )


# -- 92: contexts


def _contexts() -> Iterator[Case]:
    rule = "a PDV names a presentation context that was accepted, by an odd id (PS3.8 9.3.5.1, 7.1.1.13)"
    for letter, (number, why) in {
        "a": (0, "is 0"),
        "b": (2, "is even"),
        "c": (254, "is even"),
        "d": (13, "was never proposed"),
        "e": (255, "was never proposed"),
        "f": (REFUSED_CONTEXT, "was refused"),
    }.items():
        yield case(
            f"pdata-92{letter}",
            f"C-ECHO-RQ on presentation context {number}, which {why}",
            "PS3.8 9.3.5.1, 7.1.1.13",
            associate("echo", "refused"),
            Send(f"a C-ECHO-RQ on context {number}", p_data(pdv(number, 3, ECHO_RQ))),
            aborted("2/6", rule, "abort 0/0"),
        )
    yield case(
        "pdata-92g",
        "C-ECHO-RQ in two fragments on a context that was refused",
        "PS3.8 9.3.5.1, 7.1.1.13",
        associate("echo", "refused"),
        Send(
            f"a C-ECHO-RQ on context {REFUSED_CONTEXT}",
            p_data(pdv(REFUSED_CONTEXT, 1, ECHO_RQ[:40])) + p_data(pdv(REFUSED_CONTEXT, 3, ECHO_RQ[40:])),
        ),
        aborted("2/6", rule, "abort 0/0"),
    )
    yield case(
        "pdata-92h",
        "A whole C-ECHO-RQ and then a PDV on a context never proposed, in one P-DATA-TF",
        "PS3.8 9.3.5.1, 7.1.1.13",
        associate(),
        Send("the P-DATA-TF", p_data(pdv(1, 3, ECHO_RQ), pdv(13, 3, ECHO_RQ))),
        aborted_perhaps_after(ECHOED, "2/6", rule, "abort 0/0"),
    )


CASES: tuple[Case, ...] = (*_bad_lengths(), *_too_long(), *_as_long_as_may_be(), *_contexts())
