"""What is held of a long trace is bounded, and what is held still fits together."""

from dul.pdus import PDV, PDataTF
from services.trace.fields import Dissection, Field
from services.trace.keeping import Keeper
from services.trace.reading import ReadMessage
from trace_samples import ECHO_RQ, rq, wire


def p_data(size: int) -> Dissection:
    raw = wire(PDataTF((PDV(1, 3, b"\1" * 20), PDV(1, 2, b"\2" * size))))
    fields = (
        Field(offset=0, length=6, name="header"),
        Field(
            offset=6,
            length=len(raw) - 6,
            name="variable",
            children=(
                Field(offset=6, length=26, name="first"),
                Field(
                    offset=32,
                    length=len(raw) - 32,
                    name="second",
                    children=(
                        Field(offset=32, length=6, name="its header"),
                        Field(offset=38, length=len(raw) - 38, name="its data"),
                    ),
                ),
            ),
        ),
    )
    pdu = PDataTF((PDV(1, 3, b"\1" * 20), PDV(1, 2, b"\2" * size)))
    return Dissection(raw=raw, name="P-DATA-TF", summary="two PDVs", fields=fields, pdu=pdu)


def leaves(dissection: Dissection) -> list[tuple[int, int]]:
    return [(field.offset, field.end) for _, field in dissection.walk() if not field.children]


def test_what_is_short_stays() -> None:
    dissection = p_data(10)
    message = ReadMessage(1, b"command", None, "", b"data", 4, 2)
    assert Keeper().keep(dissection, (message,)) == (dissection, (message,), "")


def test_what_is_long_is_cut_with_its_fields() -> None:
    kept, _, note = Keeper(per_pdu=64).keep(p_data(1000), ())
    assert kept.raw == p_data(1000).raw[:64]
    assert note == "of this PDU's 1038 bytes the first 64 are kept"
    assert leaves(kept) == [(0, 6), (6, 32), (32, 38), (38, 64)]
    assert isinstance(kept.pdu, PDataTF)
    assert sum(len(pdv.data) for pdv in kept.pdu.pdvs) == 64
    in_the_first, _, _ = Keeper(per_pdu=20).keep(p_data(1000), ())
    assert leaves(in_the_first) == [(0, 6), (6, 20)]


def test_a_long_data_set_is_cut() -> None:
    message = ReadMessage(1, b"command", None, "", bytes(100), 5000, 2)
    _, (kept,), note = Keeper(per_pdu=64).keep(p_data(1), (message,))
    assert kept.data_set == bytes(64)
    assert kept.data_set_length == 5000
    assert "of each data set the first 64 bytes are kept" in note


def test_in_all() -> None:
    keeper = Keeper(in_all=20_000)
    message = ReadMessage(1, b"command", None, "", bytes(100), 100, 2)
    kept = [keeper.keep(p_data(1000), (message,)) for _ in range(20)]
    assert kept[0][0].raw != b""
    last, (last_message,), note = kept[-1]
    assert (last.raw, last.fields, last.pdu) == (b"", (), None)
    assert last.summary == "two PDVs"
    assert last_message.data_set == b""
    assert note == "its 1038 bytes are not kept: the trace has grown too long"
    assert sum(len(dissection.raw) for dissection, _, _ in kept) < 20_000


def test_what_is_no_data_is_always_kept() -> None:
    keeper = Keeper(per_pdu=10, in_all=10)
    raw = wire(rq())
    dissection = Dissection(raw=raw, name="A-ASSOCIATE-RQ", summary="", fields=(), pdu=rq())
    assert keeper.keep(dissection, ()) == (dissection, (), "")
    assert keeper.keep(dissection, ()) == (dissection, (), "")


def test_an_echo_fits() -> None:
    raw = wire(ECHO_RQ)
    dissection = Dissection(raw=raw, name="P-DATA-TF", summary="", fields=(), pdu=ECHO_RQ)
    assert Keeper().keep(dissection, ())[0] is dissection
