"""A trace for programs: every line is an object with the documented keys."""

import io
import json
from typing import Any

from dimse.messages import CFindRQ
from services.trace import json_lines
from services.trace.association import AssociationTrace
from services.trace.json_lines import JSONLines
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

COMMON = {"connection", "name", "kind", "at", "time", "steps", "problems", "notes"}
PDU = COMMON | {"number", "sender", "pdu", "summary", "length", "raw", "error", "messages"}
EVENT = COMMON | {"what", "side"}


def printed(trace: AssociationTrace, verbosity: int = 0) -> list[dict[str, Any]]:
    stream = io.StringIO()
    JSONLines(stream, verbosity).show(7, trace, trace.entries, is_new=True)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_echo() -> None:
    opened, request, answer, asked, *_, closed = printed(traced(*AN_ECHO, closed_by=R, started=1000.0))
    assert opened.keys() == closed.keys() == EVENT
    assert request.keys() == answer.keys() == PDU
    assert (opened["what"], opened["side"], opened["kind"]) == ("connection opened", "requestor", "event")
    assert (request["connection"], request["number"], request["sender"]) == (7, 1, "requestor")
    assert (request["at"], request["time"], request["kind"]) == (0.1, 1000.1, "pdu")
    assert request["pdu"] == "A-ASSOCIATE-RQ"
    assert bytes.fromhex(request["raw"]) == wire(rq())
    assert request["length"] == len(wire(rq()))
    assert request["steps"][0] == {
        "side": "requestor",
        "state": "Sta4",
        "event": "Evt2",
        "action": "AE-2",
        "next_state": "Sta5",
    }
    (found,) = asked["messages"]
    assert found["name"] == "C-ECHO-RQ"
    assert found["context"] == 1
    assert found["elements"]["message_id"] == 1
    assert found["data_set_length"] is None


def test_keys_that_are_asked_for() -> None:
    trace = established(
        (R, message(CFindRQ(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND), 5, b"\0" * 12))
    )
    plain, more, most = (printed(trace, verbosity)[-1] for verbosity in (0, 1, 2))
    assert "fields" not in plain
    fields = pdus(trace)[-1].dissection.walk()
    assert [(f["depth"], f["offset"], f["name"]) for f in more["fields"]] == [
        (depth, field.offset, field.name) for depth, field in fields
    ]
    assert "data_set" not in more["messages"][0]
    assert isinstance(most["messages"][0]["data_set"], list)


def test_every_key_is_documented() -> None:
    documented = json_lines.__doc__ or ""
    trace = established((R, ECHO_RQ), (A, b"\xff\xff"))
    trace.closed(None, 1.0)
    for entry in printed(trace, 2):
        for key in entry:
            assert f"`{key}`" in documented, key
        for found in [*entry.get("messages", []), *entry.get("fields", []), *entry["steps"]]:
            for key in found:
                assert f"`{key}`" in documented, key


def test_what_is_no_text() -> None:
    trace = AssociationTrace("lone \ud800 surrogate")
    trace.feed(R, b"\xff\xfe", 0.0)
    trace.feed(A, b"\xed\xa0\x80", 0.0)
    trace.closed(A, 1.0)
    assert printed(trace)[0]["name"] == "lone ? surrogate"
    assert printed(trace)[1]["raw"] == "fffe"
