"""What a terminal shows of a trace: a line for each PDU, in a pipe as it is."""

import io

import pytest

from dimse.messages import CFindRQ
from dul.pdus import PDV, AAbort, PDataTF
from dul.reasons import AbortReason
from services.trace.association import AssociationTrace
from services.trace.terminal import Terminal, lines, transitions
from trace_samples import (
    AN_ECHO,
    ECHO_RQ,
    STUDY_ROOT_FIND,
    A,
    R,
    established,
    message,
    pdus,
    rq,
    traced,
    wire,
)


def shown(trace: AssociationTrace, verbosity: int = 0, **options: bool) -> list[str]:
    stream = io.StringIO()
    Terminal(stream, verbosity, **options).show(1, trace, trace.entries, is_new=True)
    return stream.getvalue().splitlines()


def test_a_line_for_each() -> None:
    trace = traced(*AN_ECHO, closed_by=R, started=0.0)
    heading, opened, *middle, closed = shown(trace)
    assert heading == "Connection 1: requestor -> acceptor, 1970-01-01 00:00:00.000000 UTC"
    assert opened.startswith("1     0.000000 -- connection opened by the requestor ")
    assert closed.startswith("1     0.700000 -- connection closed by the requestor ")
    assert closed.endswith(" acceptor Sta13 + Evt17 -> AR-5 -> Sta1")
    assert [line.split()[2:4] for line in middle] == [
        ["->", "A-ASSOCIATE-RQ"],
        ["<-", "A-ASSOCIATE-AC"],
        ["->", "P-DATA-TF"],
        ["<-", "P-DATA-TF"],
        ["->", "A-RELEASE-RQ"],
        ["<-", "A-RELEASE-RP"],
    ]
    assert middle[0].endswith(" requestor Sta4 + Evt2 -> AE-2 -> Sta5 | acceptor Sta2 + Evt6 -> AE-6 -> Sta3")
    for line, entry in zip(middle, pdus(trace), strict=True):
        assert entry.dissection.summary in line


def test_steps_of_one_end_in_a_row_are_chained() -> None:
    trace = established((R, AN_ECHO[4][1]), (A, AN_ECHO[4][1]))
    assert transitions(trace.entries[-1].steps) == (
        "acceptor Sta6 + Evt11 -> AR-1 -> Sta7 + Evt12 -> AR-8 -> Sta10 | requestor Sta7 + Evt12 -> AR-8 -> Sta9"
    )


def test_problems_and_notes_have_lines_of_their_own() -> None:
    trace = established((R, rq()), (A, AAbort(AbortReason.NOT_SPECIFIED)))
    found = [line[4:].strip() for line in shown(trace)[5:]]
    problem = next(line for line in found if line.startswith("! "))
    assert problem.startswith("! a second A-ASSOCIATE-RQ")
    assert "PS3.8" in problem
    assert any(line.startswith("i sent by AA-8, for A-ASSOCIATE-RQ in Sta6") for line in found)


def test_without_numbers() -> None:
    assert shown(traced(*AN_ECHO), numbered=False)[1].startswith("  0.000000 -- ")


def test_every_field() -> None:
    trace = traced((R, rq()))
    found = shown(trace, 1)[3:]
    (entry,) = pdus(trace)
    fields = list(entry.dissection.walk())
    assert len(found) == len(fields) + len(entry.dissection.problems)
    for (_, field), line in zip(fields, (line for line in found if "!" not in line[:25]), strict=True):
        assert f"{field.offset:06x}" in line
        assert field.name in line
        assert field.clause in line
    assert "01 " in found[0] or "01 " in found[1]


def test_messages_and_data_sets() -> None:
    data_set = bytes.fromhex("0800520006000000") + b"STUDY " + bytes.fromhex("1000100004000000") + b"DOE "
    find = message(CFindRQ(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND), 5, data_set)
    trace = established((R, find))
    fields = "\n".join(shown(trace, 1))
    assert "= C-FIND-RQ complete, on context 5, in 2 fragments, with a data set of 26 bytes" in fields
    with_data_sets = shown(trace, 2)
    after = "\n".join(
        with_data_sets[with_data_sets.index(next(x for x in with_data_sets if "= C-FIND" in x)) :]
    )
    assert "STUDY" in after
    assert "DOE" in after


def test_a_problem_of_a_field_stands_at_the_field() -> None:
    trace = established((R, bytes.fromhex("050000000000")))
    for verbosity in (0, 1):
        found = [line for line in shown(trace, verbosity) if "! PDU-length 0" in line]
        assert len(found) == 1
        assert found[0].index("!") > (15 if verbosity else 10)


def test_a_command_in_pieces_is_shown_whole() -> None:
    whole = ECHO_RQ.pdvs[0].data
    pieces = [PDataTF((PDV(1, 1, whole[:30]),)), PDataTF((PDV(1, 3, whole[30:]),))]
    trace = established(*[(R, piece) for piece in pieces])
    assert "CommandField" not in "\n".join(shown(trace, 1))
    assert "\n".join(shown(trace, 2)).count(" (0000,0100) CommandField") == 1
    assert "\n".join(shown(established((R, ECHO_RQ)), 2)).count(" (0000,0100) CommandField") == 1


def test_a_data_set_of_which_nothing_is_known() -> None:
    find = message(CFindRQ(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND), 5, b"abcd")
    trace = traced((R, find), midway=True)
    assert "its transfer syntax is not known" in "\n".join(shown(trace, 2))


def test_what_comes_from_the_wire_drives_no_terminal() -> None:
    hostile = PDataTF((PDV(1, 3, b"\x1b[2J\n\r\x9b\x07" * 3),))
    request = wire(rq()).replace(b"CALLING ", b"\x1b[31m\n\r ").replace(b"2.25.1", b"\x1b]0;x\x07")
    trace = AssociationTrace("evil\x1b[2J\nname")
    for sender, data in ((R, request), (R, wire(hostile)), (A, b"\xff\x1b[2J\n\x9b")):
        trace.feed(sender, data, 0.0)
    trace.closed(A, 1.0)
    for verbosity in (0, 1, 2):
        text = "\n".join(shown(trace, verbosity))
        assert not {c for c in text if (c < " " and c != "\n") or "\x7f" <= c <= "\x9f"}
        assert len(text.splitlines()) == len(text.split("\n"))


def test_nothing_is_wrapped_in_a_pipe_and_each_entry_is_flushed() -> None:
    class Pipe(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed = len(self.getvalue())

    stream = Pipe()
    terminal = Terminal(stream)
    trace = traced()
    for sender, pdu in AN_ECHO:
        before = len(stream.getvalue())
        terminal.show(1, trace, trace.feed(sender, wire(pdu), 0.1))
        assert stream.flushed == len(stream.getvalue()) > before
    assert len(stream.getvalue().splitlines()) == len(AN_ECHO)
    assert max(map(len, stream.getvalue().splitlines())) > 120
    assert "\x1b" not in stream.getvalue()


def test_colours_on_a_terminal_and_no_line_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Screen()
    trace = traced((R, rq()), (R, ECHO_RQ))
    Terminal(stream, 1).show(1, trace, trace.entries)
    text = stream.getvalue()
    assert "\x1b[" in text
    plain = "\n".join(
        "".join(s.text for s in line) for entry in trace.entries for line in lines(entry, {}, 1)
    )
    assert len(text.splitlines()) == len(plain.splitlines())
