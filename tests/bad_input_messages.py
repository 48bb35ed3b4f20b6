"""The cases of `tests/properties/test_bad_input.py` about P-DATA and commands: 83 to 116. See `bad_input`."""

import struct

from bad_input import (
    ACCEPTED,
    ASSOCIATE,
    ECHO,
    ECHOED,
    FIND,
    FOUND,
    STORE,
    STORED,
    Case,
    Stage,
    Step,
    gates_close,
    gates_open,
    instance_is_dropped,
    time_runs_out,
)
from raw_bytes import (
    CT_IMAGE,
    DATA,
    IMPLICIT,
    NO_DATA,
    STUDY_ROOT_FIND,
    VERIFICATION,
    RawPDU,
    c_cancel_rq,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    command,
    context,
    element,
    message,
    messages_of,
    p_data,
    pdu,
    pdv,
    proposing,
    response,
    ui,
    us,
    window,
)

LONGEST = 131072
"""What we announce."""


def _served(number: int, what: str, *steps: Step, answers: tuple[str, ...] = (ECHOED,)) -> Case:
    """Answered like this, and then the association still serves."""
    return Case(number, what, (ASSOCIATE, *steps, ECHO), (ACCEPTED, *answers, ECHOED))


def _aborted(number: int, what: str, data: bytes, answer: str) -> Case:
    return Case(number, what, (ASSOCIATE, data), (ACCEPTED, f"abort {answer}"), "closing")


def _in_twos(context_id: int, kind: int, data: bytes) -> list[bytes]:
    """PDVs of two bytes each."""
    starts = range(0, len(data), 2)
    return [pdv(context_id, kind | 2 * (start == starts[-1]), data[start : start + 2]) for start in starts]


ECHO_COMMAND = c_echo_rq(7)

# -- 4.3 P-DATA and message assembly

P_DATA = [
    _served(83, "a command in one PDV", ECHO),
    _served(84, "a command in PDVs of 2 bytes", b"".join(map(p_data, _in_twos(1, 1, ECHO_COMMAND)))),
    _served(84, "... all in one P-DATA-TF", p_data(*_in_twos(1, 1, ECHO_COMMAND))),
    _served(
        85,
        "command and data in one P-DATA-TF",
        p_data(pdv(3, 3, c_store_rq(8)), pdv(3, 2, b"an instance.")),
        answers=(STORED,),
    ),
    _served(
        85,
        "two commands in one P-DATA-TF",
        p_data(pdv(1, 3, ECHO_COMMAND), pdv(1, 3, c_echo_rq(6))),
        answers=(ECHOED, "8030 6 0000"),
    ),
    _served(86, "an empty last command fragment", p_data(pdv(1, 1, ECHO_COMMAND), pdv(1, 3, b""))),
    _served(86, "an empty last data fragment", message(3, c_store_rq(8), b"data", b""), answers=(STORED,)),
    _served(86, "an empty data set", message(3, c_store_rq(8), b""), answers=(STORED,)),
    _aborted(87, "odd fragments", message(3, c_store_rq(8), b"odd", b"length."), "2/6"),
    _served(88, "bits 2 to 7 of the control header", p_data(pdv(1, 0xFF, ECHO_COMMAND))),
    _aborted(89, "PDV of 0 bytes", p_data(pdv(1, 3, b"", length=0)), "2/6"),
    _aborted(89, "PDV of 1 byte", p_data(pdv(1, 3, b"", length=1)), "2/6"),
    _aborted(89, "PDV longer than its P-DATA-TF", p_data(pdv(1, 3, ECHO_COMMAND, length=999)), "2/6"),
    *(
        _aborted(89, f"{n} bytes after the last PDV", p_data(pdv(1, 3, ECHO_COMMAND) + bytes(n)), "2/6")
        for n in range(1, 6)
    ),
    _aborted(89, "P-DATA-TF of 0 bytes", p_data(), "2/6"),
    _aborted(90, "P-DATA-TF one byte too long", pdu(4, b"", length=LONGEST + 1), "2/6"),
    _served(
        91,
        "P-DATA-TF as long as may be",
        message(3, c_store_rq(8), bytes(LONGEST - 6)),
        answers=(STORED,),
    ),
    *(
        _aborted(92, f"context id {n}, {why}", p_data(pdv(n, 3, ECHO_COMMAND)), "2/6")
        for n, why in {0: "even", 2: "even", 9: "never proposed", 7: "refused"}.items()
    ),
    _aborted(93, "another context in a command", p_data(pdv(1, 1, b"\0\0"), pdv(3, 3, b"\0\0")), "2/5"),
    _aborted(
        93, "another context in a data set", p_data(pdv(3, 3, c_store_rq(1)), pdv(1, 2, b"data")), "2/5"
    ),
    _aborted(94, "data first", p_data(pdv(3, 2, b"data")), "2/5"),
    Case(
        95,
        "a command inside a data set",
        (ASSOCIATE, p_data(pdv(3, 3, c_store_rq(1)), pdv(3, 0, b"half"), pdv(3, 3, c_store_rq(2)))),
        (ACCEPTED, "abort 2/5"),
        "closing",
        instance_is_dropped,
    ),
    _aborted(96, "a data set nobody announced", p_data(pdv(1, 3, ECHO_COMMAND), pdv(1, 2, b"data")), "2/5"),
    Case(
        96,
        "an announced data set that does not come",
        (ASSOCIATE, message(3, c_store_rq(1)), time_runs_out),
        (ACCEPTED, "abort 0/0"),
        "closing",
        instance_is_dropped,
    ),
]

# -- 4.4 commands


def _explicit(number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 0, number, vr, len(value)) + value


def _big_endian(number: int, value: bytes) -> bytes:
    return struct.pack(">HHI", 0, number, len(value)) + value


_ECHO_ELEMENTS = (
    ui(0x0002, VERIFICATION),
    us(0x0100, 0x0030),
    us(0x0110, 7),
    us(0x0800, NO_DATA),
)
_EXPLICIT_ECHO = (
    _explicit(0x0002, b"UI", VERIFICATION + b"\0")
    + _explicit(0x0100, b"US", b"\x30\0")
    + _explicit(0x0110, b"US", b"\7\0")
    + _explicit(0x0800, b"US", b"\1\1")
)
_BIG_ENDIAN_ECHO = (
    _big_endian(0x0002, VERIFICATION + b"\0")
    + _big_endian(0x0100, b"\0\x30")
    + _big_endian(0x0110, b"\0\7")
    + _big_endian(0x0800, b"\1\1")
)


def _store_elements(*, sop_class: tuple[bytes, ...] = (), priority: tuple[bytes, ...] = ()) -> bytes:
    return command(
        *sop_class,
        us(0x0100, 0x0001),
        us(0x0110, 8),
        *priority,
        us(0x0800, DATA),
        ui(0x1000, b"2.25.7"),
    )


def _response_echoes_its_request(_: Stage, sent: list[RawPDU]) -> None:
    answers = {message.field: message for message in messages_of(sent)}
    echoed, stored, found = answers[0x8030], answers[0x8001], answers[0x8020]
    assert echoed.uid(0x0002) == VERIFICATION
    assert stored.uid(0x0002) == CT_IMAGE
    assert stored.uid(0x1000) == b"2.25.7"
    assert found.uid(0x0002) == STUDY_ROOT_FIND
    assert (echoed.context_id, stored.context_id, found.context_id) == (1, 3, 5)


def _uids_are_padded_with_nul(_: Stage, sent: list[RawPDU]) -> None:
    (answer,) = messages_of(sent)[:1]
    assert answer.elements[0x0002] == VERIFICATION + b"\0"


def _echo_with(sop_class: bytes) -> bytes:
    return message(
        1, command(element(0x0002, sop_class), us(0x0100, 0x0030), us(0x0110, 7), us(0x0800, NO_DATA))
    )


ASSOCIATE_ASYNCHRONOUSLY = proposing(
    context(1, VERIFICATION, IMPLICIT),
    context(3, CT_IMAGE, IMPLICIT),
    context(5, STUDY_ROOT_FIND, IMPLICIT),
    sub_items=(window(8, 8),),
)
_ACCEPTED_ASYNCHRONOUSLY = "accept 1=implicit 3=implicit 5=implicit 53=8/8"
_FIND_AGAIN = message(5, c_find_rq(10), b"identifier")
_FOUND_AGAIN = ("8020 10 FF00+", "8020 10 FF00+", "8020 10 0000")
_UNKNOWN = (us(0x0100, 0x0FFE), us(0x0110, 5))

COMMANDS = [
    _aborted(98, "a command in Explicit VR", message(1, _EXPLICIT_ECHO), "0/0"),
    _aborted(98, "a command in big endian", message(1, _BIG_ENDIAN_ECHO), "0/0"),
    _served(99, "no group length", message(1, b"".join(_ECHO_ELEMENTS))),
    *(
        _served(
            99,
            f"group length {n}",
            message(1, element(0, struct.pack("<I", n)) + b"".join(_ECHO_ELEMENTS)),
        )
        for n in (0, 2, 99999, 0xFFFFFFFF)
    ),
    _aborted(100, "elements in another order", message(1, command(*_ECHO_ELEMENTS[::-1])), "0/0"),
    _aborted(
        100,
        "an element twice",
        message(1, command(ui(0x0002, CT_IMAGE), *_ECHO_ELEMENTS)),
        "0/0",
    ),
    _served(
        101,
        "unknown and retired elements",
        message(
            1,
            command(
                element(0x0001, b"\0\0\0\0"),
                *_ECHO_ELEMENTS[:3],
                element(0x0200, b"RETIRED "),
                _ECHO_ELEMENTS[3],
                element(0x5110, b"ALSO"),
            ),
        ),
    ),
    _served(
        102,
        "an unknown Command Field",
        message(1, command(*_UNKNOWN, us(0x0800, NO_DATA))),
        answers=("8FFE 5 0211",),
    ),
    _served(
        102,
        "... with a data set, which is passed over",
        message(3, command(*_UNKNOWN, us(0x0800, DATA)), b"data", b"more"),
        answers=("8FFE 5 0211",),
    ),
    _aborted(
        102,
        "... without a Message ID",
        message(1, command(us(0x0100, 0x0FFE), us(0x0800, NO_DATA))),
        "0/0",
    ),
    _aborted(103, "no Message ID", message(1, command(*_ECHO_ELEMENTS[:2], _ECHO_ELEMENTS[3])), "0/0"),
    _served(
        104, "C-STORE without a SOP class", message(3, _store_elements(), b"data"), answers=("8001 8 0120",)
    ),
    _served(
        104,
        "C-STORE with an empty SOP class",
        message(3, _store_elements(sop_class=(ui(0x0002, b""),)), b"data"),
        answers=("8001 8 0120",),
    ),
    _served(
        105,
        "another SOP class than the context's",
        message(1, c_echo_rq(7, CT_IMAGE)),
        answers=("8030 7 0122",),
    ),
    _served(
        105,
        "... of a C-STORE, whose data set is passed over",
        message(3, c_store_rq(8, VERIFICATION), b"data", b"more"),
        answers=("8001 8 0122",),
    ),
    _served(
        106,
        "C-FIND on a storage context",
        message(3, c_find_rq(9, CT_IMAGE), b"data"),
        answers=("8020 9 0211",),
    ),
    _served(
        107,
        "N-GET on Verification",
        message(
            1,
            command(
                ui(0x0003, VERIFICATION),
                us(0x0100, 0x0110),
                us(0x0110, 5),
                us(0x0800, NO_DATA),
                ui(0x1001, b"2.25.7"),
            ),
        ),
        answers=("8110 5 0211",),
    ),
    Case(
        108,
        "responses echo their requests",
        (ASSOCIATE, ECHO, STORE, FIND),
        (ACCEPTED, ECHOED, STORED, *FOUND),
        check=_response_echoes_its_request,
    ),
    _served(
        109,
        "requests while one is outstanding, window 1/1: in order",
        gates_close,
        FIND + _FIND_AGAIN + STORE,
        gates_open,
        answers=(*FOUND, *_FOUND_AGAIN, STORED),
    ),
    Case(
        110,
        "a Message ID outstanding twice",
        (ASSOCIATE_ASYNCHRONOUSLY, gates_close, FIND, FIND, gates_open),
        (_ACCEPTED_ASYNCHRONOUSLY, "8020 9 0210", *FOUND),
    ),
    _served(111, "C-CANCEL of nothing", message(5, c_cancel_rq(99)), answers=()),
    _served(111, "C-CANCEL of what is finished", FIND, message(5, c_cancel_rq(9)), answers=FOUND),
    _served(
        112,
        "C-CANCEL on another context: honoured",
        gates_close,
        FIND,
        message(1, c_cancel_rq(9)),
        answers=("8020 9 FE00",),
    ),
    _aborted(113, "a response nobody asked for", message(3, response(0x8001, 1)), "0/0"),
    _aborted(
        113, "... with a data set", message(5, response(0x8020, 1, 0xFF00, data_set=DATA), b"data"), "0/0"
    ),
    _served(
        114,
        "no Priority",
        message(3, _store_elements(sop_class=(ui(0x0002, CT_IMAGE),)), b"data"),
        answers=(STORED,),
    ),
    _served(
        114,
        "Priority 7",
        message(3, _store_elements(sop_class=(ui(0x0002, CT_IMAGE),), priority=(us(0x0700, 7),)), b"data"),
        answers=(STORED,),
    ),
    Case(
        115,
        "a UID padded with NUL",
        (ASSOCIATE, _echo_with(VERIFICATION + b"\0")),
        (ACCEPTED, ECHOED),
        check=_uids_are_padded_with_nul,
    ),
    _served(115, "a UID padded with a space", _echo_with(VERIFICATION + b" ")),
    _aborted(115, "a UID not padded at all, so an odd fragment", _echo_with(VERIFICATION), "2/6"),
    _aborted(
        116,
        "a command set of 1 MiB",
        b"".join(p_data(pdv(1, 1, bytes(16384))) for _ in range(64)),
        "0/0",
    ),
]
