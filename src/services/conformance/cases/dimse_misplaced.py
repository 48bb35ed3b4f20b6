"""Operations where they do not belong: cases 105 to 107 (PS3.7 Annex C; PS3.8 7.1.1.13)."""

from collections.abc import Callable, Iterator

from services.conformance.building import (
    CT_IMAGE,
    DATA,
    NO_DATA,
    STUDY_ROOT_FIND,
    VERIFICATION,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    command,
    element,
    message,
    ui,
    us,
)
from services.conformance.case import Case, case
from services.conformance.cases.dimse_steps import (
    ECHO,
    FIND,
    STORE,
    ask,
    echo_message,
    identifier,
    no_instance,
)
from services.conformance.steps import Bytes, associate, echo
from services.conformance.target import Target

PATIENT_ROOT_FIND = b"1.2.840.10008.5.1.4.1.2.1.1"


def _another_class() -> Iterator[Case]:
    rule = "0122H, SOP class not supported: on a context goes the SOP class that was negotiated for it"
    yield case(
        "dimse-105a",
        "C-ECHO-RQ with another SOP class than the context's",
        "PS3.7 9.1.5.1, Annex C; PS3.8 7.1.1.13",
        associate(),
        ask(
            "a C-ECHO-RQ for CT Image Storage on the context for Verification",
            echo_message(c_echo_rq(7, CT_IMAGE)),
            "C-ECHO-RSP 7 0122",
            "C-ECHO-RSP 7 01??",
            "C-ECHO-RSP 7 0211",
            "abort 0/0",
            why=rule,
        ),
        echo(6),
        needs=ECHO,
    )
    yield case(
        "dimse-105b",
        "C-STORE-RQ with another SOP class than the context's",
        "PS3.7 9.1.1.1, Annex C; PS3.4 B.2.3",
        associate("echo", "store"),
        ask(
            "a C-STORE-RQ for Verification on a context for storage, and its data set in two fragments",
            lambda t: message(3, c_store_rq(8, VERIFICATION, t.uid(8)), *_in_two(no_instance(t))),
            "C-STORE-RSP 8 0122",
            "C-STORE-RSP 8 A9??",
            "C-STORE-RSP 8 C???",
            "C-STORE-RSP 8 01??",
            "abort 0/0",
            why=rule,
        ),
        echo(),
        needs=STORE,
        writes=True,
    )
    yield case(
        "dimse-105c",
        "C-FIND-RQ with another SOP class than the context's",
        "PS3.7 9.1.2.1, Annex C",
        associate("echo", "find"),
        ask(
            "a C-FIND-RQ for Patient Root on the context for Study Root, and its identifier",
            lambda t: message(5, c_find_rq(9, PATIENT_ROOT_FIND), identifier(t)),
            "C-FIND-RSP 9 0122",
            "C-FIND-RSP 9 A9??",
            "C-FIND-RSP 9 C???",
            "C-FIND-RSP 9 01??",
            "abort 0/0",
            why=rule,
        ),
        echo(),
        needs=FIND,
    )


def _in_two(data: bytes) -> tuple[bytes, bytes]:
    return data[:20], data[20:]


def _another_service() -> Iterator[Case]:
    rule = "0211H, unrecognized operation: the SOP class has no such operation (PS3.7 Annex C)"
    ways: dict[str, tuple[str, str, Bytes, str]] = {
        "a": ("C-FIND-RQ on a context for storage", "store", _on_store(0x0020), "C-FIND-RSP 9"),
        "b": ("C-MOVE-RQ on a context for storage", "store", _on_store(0x0021), "C-MOVE-RSP 9"),
        "c": ("C-GET-RQ on a context for storage", "store", _on_store(0x0010), "C-GET-RSP 9"),
        "d": ("C-ECHO-RQ on a context for storage", "store", _on_store(0x0030), "C-ECHO-RSP 9"),
        "e": ("C-STORE-RQ on the context for Verification", "echo", _on_echo(0x0001), "C-STORE-RSP 9"),
        "f": ("C-FIND-RQ on the context for Verification", "echo", _on_echo(0x0020), "C-FIND-RSP 9"),
        "g": ("C-STORE-RQ on a context for C-FIND", "find", _on_find(0x0001), "C-STORE-RSP 9"),
        "h": ("C-MOVE-RQ on a context for C-FIND", "find", _on_find(0x0021), "C-MOVE-RSP 9"),
    }
    needs = {"echo": ECHO, "store": STORE, "find": FIND}
    for letter, (title, where, data, answer) in ways.items():
        yield case(
            f"dimse-106{letter}",
            title,
            "PS3.7 Annex C; PS3.4 A.4, B.3, C.4",
            associate("echo", where) if where != "echo" else associate(),
            ask("it", data, f"{answer} 0211", f"{answer} 01??", f"{answer} [AC]???", "abort 0/0", why=rule),
            echo(),
            needs=needs[where],
            writes=letter in "eg",  # a peer that goes by the command alone stores what it gets
            note="it is refused: with which status, or by an abort, is tolerated.",
        )


def _request(field: int, sop_class: bytes, instance: bytes) -> bytes:
    return command(
        ui(0x0002, sop_class),
        us(0x0100, field),
        us(0x0110, 9),
        *([element(0x0600, b"NOWHERE ")] if field == 0x0021 else []),
        *([us(0x0700, 0)] if field != 0x0030 else []),
        us(0x0800, NO_DATA if field == 0x0030 else DATA),
        *([ui(0x1000, instance)] if field == 0x0001 else []),
    )


def _on_store(field: int) -> Callable[[Target], bytes]:
    def make(target: Target) -> bytes:
        request = _request(field, target.storage_class, target.uid(8))
        return message(3, request, *(() if field == 0x0030 else (identifier(target),)))

    return make


def _on_echo(field: int) -> Callable[[Target], bytes]:
    return lambda t: message(1, _request(field, VERIFICATION, t.uid(8)), identifier(t))


def _on_find(field: int) -> Callable[[Target], bytes]:
    return lambda t: message(5, _request(field, STUDY_ROOT_FIND, t.uid(8)), identifier(t))


def _n_services() -> Iterator[Case]:
    rule = "0211H, unrecognized operation: Verification has C-ECHO and nothing else (PS3.4 A.4)"
    requested = (ui(0x0003, VERIFICATION),)
    instance = ui(0x1001, b"2.25.7")
    ways: dict[str, tuple[int, str, tuple[bytes, ...], tuple[bytes, ...], bool]] = {
        "a": (0x0110, "N-GET", requested, (instance,), False),
        "b": (0x0120, "N-SET", requested, (instance,), True),
        "c": (0x0130, "N-ACTION", requested, (instance, us(0x1008, 1)), False),
        "d": (0x0140, "N-CREATE", (ui(0x0002, VERIFICATION),), (ui(0x1000, b"2.25.7"),), False),
        "e": (0x0150, "N-DELETE", requested, (instance,), False),
        "f": (
            0x0100,
            "N-EVENT-REPORT",
            (ui(0x0002, VERIFICATION),),
            (ui(0x1000, b"2.25.7"), us(0x1002, 1)),
            False,
        ),
    }
    for letter, (field, name, first, last, has_data) in ways.items():
        number = us(0x0800, DATA if has_data else NO_DATA)
        request = command(*first, us(0x0100, field), us(0x0110, 5), number, *last)
        yield case(
            f"dimse-107{letter}",
            f"{name}-RQ on the context for Verification",
            "PS3.7 10.1, Annex C; PS3.4 A.4",
            associate(),
            ask(
                "it",
                echo_message(request, *((element(0x0010, b"NOBODY", group=0x0010),) if has_data else ())),
                f"{name}-RSP 5 0211",
                f"{name}-RSP 5 01??",
                "abort 0/0",
                why=rule,
            ),
            echo(),
            needs=ECHO,
            note="it is refused: with which status, or by an abort, is tolerated.",
        )


CASES: tuple[Case, ...] = (*_another_class(), *_another_service(), *_n_services())
