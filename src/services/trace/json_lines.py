"""A trace as JSON lines: one object for each entry, for programs.

Every object has:

* `connection`: its number, from 1; `name`: of the connection;
* `kind`: "pdu" or "event";
* `at`: seconds since the connection opened; `time`: seconds since 1970, null where that is not known;
* `steps`: transitions that go with it: `side`, `state`, `event`, `action`, `next_state`;
* `problems`: what the standard forbids about it; `notes`: what helps to understand it.

A PDU has too:

* `number`: from 1, both directions together; `sender`: "requestor" or "acceptor"; `pdu`: its name;
* `summary`; `length`: of the whole PDU in bytes; `raw`: its bytes in hexadecimal;
* `error`: why it cannot be decoded, empty where it can;
* `messages`: those it completed: `context`, `name`, `elements` (of the command set, by keyword), `error`,
  `fragments`, `data_set_length` (null where there is none);
* with verbosity 1 `fields`: `offset`, `length`, `depth`, `name`, `value`, `meaning`, `clause`, `explanation`,
  `problem`, in the order of their bytes;
* with verbosity 2 each message's `data_set`: its fields in the same way, null where there is none.

An event has `what` and `side`, null where nobody in particular did it.
"""

from typing import Any, TextIO

import msgspec

from dimse.messages import Message
from services.trace.association import AssociationTrace, Entry, TracedPDU
from services.trace.dissect_data_set import dissect_data_set
from services.trace.fields import Field
from services.trace.inference import Step
from services.trace.reading import ReadMessage

_DATA_SET_SHOWN = 1 << 16


class JSONLines:
    """Prints a trace.

    Args:
        stream: where to; flushed after each line.
        verbosity: how much of each PDU, as above.
    """

    def __init__(self, stream: TextIO, verbosity: int = 0) -> None:
        self._stream = stream
        self._verbosity = verbosity

    def show(
        self, number: int, trace: AssociationTrace, entries: list[Entry], *, is_new: bool = False
    ) -> None:
        """Print entries of a trace."""
        for entry in entries:
            value = as_object(number, trace, entry, self._verbosity)
            print(msgspec.json.encode(value).decode(), file=self._stream, flush=True)


def as_object(number: int, trace: AssociationTrace, entry: Entry, verbosity: int = 0) -> dict[str, Any]:
    """One entry as what is printed of it."""
    common = {
        "connection": number,
        "name": _text(trace.name),
        "kind": "pdu" if isinstance(entry, TracedPDU) else "event",
        "at": round(entry.at, 6),
        "time": None if trace.started is None else round(trace.started + entry.at, 6),
        "steps": [_step(step) for step in entry.steps],
        "problems": [_text(problem) for problem in entry.problems],
        "notes": [_text(note) for note in entry.notes],
    }
    if not isinstance(entry, TracedPDU):
        return common | {"what": entry.what, "side": None if entry.side is None else entry.side.value}
    dissection = entry.dissection
    found = common | {
        "number": entry.number,
        "sender": entry.sender.value,
        "pdu": _text(dissection.name),
        "summary": _text(dissection.summary),
        "length": len(dissection.raw),
        "raw": dissection.raw.hex(),
        "error": _text(dissection.error),
        "messages": [_message(message, trace, verbosity) for message in entry.messages],
    }
    if verbosity:
        found["fields"] = _fields(dissection.fields)
    return found


def _step(step: Step) -> dict[str, str]:
    there = step.transition
    return {
        "side": step.side.value,
        "state": there.state.name,
        "event": there.event.name,
        "action": there.action_name,
        "next_state": there.next_state.name,
    }


def _message(read: ReadMessage, trace: AssociationTrace, verbosity: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "context": read.context_id,
        "name": None if read.message is None else getattr(read.message.command_field, "label", None),
        "elements": {} if read.message is None else _elements(read.message),
        "error": _text(read.error),
        "fragments": read.fragments,
        "data_set_length": None if read.data_set is None else read.data_set_length,
    }
    if verbosity > 1:
        context = trace.contexts.get(read.context_id)
        found["data_set"] = None
        if read.data_set is not None and context is not None:
            fields = dissect_data_set(read.data_set, context.transfer_syntax, 0, _DATA_SET_SHOWN)
            found["data_set"] = _fields(fields)
    return found


def _elements(message: Message) -> dict[str, Any]:
    values = {name: getattr(message, name) for name in message.__struct_fields__}
    return {
        name: _text(value) if isinstance(value, str) else value
        for name, value in values.items()
        if value is not None
    }


def _fields(fields: tuple[Field, ...]) -> list[dict[str, Any]]:
    return [
        {
            "offset": field.offset,
            "length": field.length,
            "depth": depth,
            "name": _text(field.name),
            "value": _text(field.value),
            "meaning": _text(field.meaning),
            "clause": field.clause,
            "explanation": _text(field.explanation),
            "problem": _text(field.problem),
        }
        for top in fields
        for depth, field in top.walk()
    ]


def _text(text: str) -> str:
    """A text that JSON can carry: a lone surrogate is no character."""
    return text.encode("utf-8", "replace").decode()
