"""What the script of the byte view is given."""

import base64
from typing import Any, NamedTuple

from raw_bytes import a_associate_rq
from services.trace.dissect import Context, dissect
from services.trace.fields import Dissection
from services.trace.html.views import SHOWN, SHOWN_AT_LEAST, SHOWN_OF_OTHERS, Views
from services.trace.reading import ReadMessage, ReadPDU, read_pdu
from trace_samples import CT_IMAGE, IMPLICIT_LE, R, established, pdus, rq, wire


class Shown(NamedTuple):
    raw: bytes
    total: int
    fields: list[tuple[Any, ...]]


def shown(views: Views, number: int | None) -> Shown:
    assert number is not None
    data = views.as_data()
    view = data["views"][number]
    numbers, strings = view["f"], data["strings"]
    fields = [
        (*numbers[at : at + 3], *(strings[n] for n in numbers[at + 3 : at + 9]))
        for at in range(0, len(numbers), 9)
    ]
    return Shown(base64.b64decode(view["b"]), view["t"], fields)


def data_pdu(length: int) -> Dissection:
    """A P-DATA-TF with one fragment, so long in all."""
    body = (length - 10).to_bytes(4) + b"\x01\x02" + bytes(length - 12)
    return dissect(read_pdu(b"\x04\0" + (length - 6).to_bytes(4) + body))


def test_every_field_of_a_pdu_is_there_in_order() -> None:
    dissection = dissect(read_pdu(wire(rq())))
    views = Views()
    found = shown(views, views.pdu(dissection))
    assert found.raw == dissection.raw
    assert found.total == len(dissection.raw)
    expected = [
        (depth, f.offset, f.length, f.name, f.value, f.meaning, f.clause, f.explanation, f.problem)
        for depth, f in dissection.walk()
    ]
    assert found.fields == expected


def test_what_is_equal_is_there_once() -> None:
    views = Views()
    first = views.pdu(dissect(read_pdu(wire(rq()))))
    size = len(views.as_data()["strings"])
    assert views.pdu(dissect(read_pdu(wire(rq())))) == first
    assert len(views.as_data()["views"]) == 1
    assert len(views.as_data()["strings"]) == size == len(set(views.as_data()["strings"]))


def test_equal_bytes_that_mean_something_else_are_not_the_same() -> None:
    views = Views()
    data = bytes.fromhex("08000500 0a000000") + b"ISO_IR 100"
    message = ReadMessage(3, b"", None, "", data, len(data), 1)
    implicit = views.data_set(message, Context(CT_IMAGE, IMPLICIT_LE))
    unknown = views.data_set(message, None)
    assert implicit != unknown
    assert shown(views, implicit).fields[0][3] == "(0008,0005) SpecificCharacterSet"
    assert [field[3] for field in shown(views, unknown).fields] == ["Data set"]
    unreadable = ReadPDU(data, None)
    assert views.pdu(dissect(unreadable)) not in (implicit, unknown)


def test_a_long_p_data_tf_is_cut_and_says_so() -> None:
    views = Views()
    found = shown(views, views.pdu(data_pdu(20_000)))
    assert (len(found.raw), found.total) == (SHOWN, 20_000)
    assert found.fields[-1][1:4] == (12, 19_988, "Fragment")


def test_fields_behind_the_cut_are_left_out() -> None:
    pdv = (102).to_bytes(4) + b"\x01\x00" + bytes(100)
    raw = b"\x04\0" + (106 * 100).to_bytes(4) + pdv * 100
    views = Views()
    found = shown(views, views.pdu(dissect(read_pdu(raw))))
    assert max(field[1] for field in found.fields) < SHOWN
    assert sum(field[3] == "PDV" for field in found.fields) == -(-(SHOWN - 6) // 106)


def test_of_an_association_request_more_is_shown() -> None:
    raw = wire(rq(contexts=dict.fromkeys(range(1, 256, 2), CT_IMAGE)))
    assert SHOWN < len(raw) < SHOWN_OF_OTHERS
    views = Views()
    assert shown(views, views.pdu(dissect(read_pdu(raw)))).raw == raw


def test_a_page_that_has_grown_large_shows_less() -> None:
    views = Views(largest=3000)
    first = views.pdu(data_pdu(2000))
    second = views.pdu(data_pdu(2002))
    assert len(shown(views, first).raw) == 2000
    cut = shown(views, second)
    assert (len(cut.raw), cut.total) == (SHOWN_AT_LEAST, 2002)


def test_what_was_not_kept_has_no_view() -> None:
    views = Views()
    assert views.pdu(Dissection(raw=b"", name="P-DATA-TF", summary="", fields=())) is None
    assert views.data_set(ReadMessage(1, b"", None, "", None, 0, 1), None) is None
    assert views.as_data()["views"] == []


def test_the_end_of_a_pdu_that_was_cut_before_is_counted() -> None:
    trace = established((R, wire_of_data(200_000)))
    kept = pdus(trace)[-1].dissection
    assert len(kept.raw) < 200_000
    views = Views()
    assert shown(views, views.pdu(kept)).total == 200_000


def wire_of_data(length: int) -> bytes:
    return b"\x04\0" + (length - 6).to_bytes(4) + (length - 10).to_bytes(4) + b"\x01\x00" + bytes(length - 12)


def test_text_of_the_wire_is_made_fit_to_be_read() -> None:
    views = Views()
    views.pdu(dissect(read_pdu(a_associate_rq(calling="\u00e4\x1b[31m\x00".encode("latin-1")))))
    assert not any(set(text) & set(map(chr, range(32))) for text in views.as_data()["strings"])
