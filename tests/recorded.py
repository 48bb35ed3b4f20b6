"""An association request and its answer as a conversation that has already happened."""

from types import SimpleNamespace

from services.conformance.building import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    item,
    maximum_length,
    pdu,
    user_information,
)
from services.conformance.connection import Event, Exchange, Move
from services.conformance.conversation import Check, Conversation
from services.conformance.target import Target
from services.conformance.verdict import Finding

ACCEPTED = Event("accept")
NAME = item(0x10, APPLICATION_CONTEXT)


def answer(
    *items: bytes,
    version: int = 1,
    called: bytes = b"SERVER",
    calling: bytes = b"TESTER",
    reserved: bytes = bytes(32),
    filler: bytes = bytes(2),
) -> bytes:
    """An A-ASSOCIATE-AC of these items; as a rule those of `sound`."""
    body = version.to_bytes(2) + filler + called.ljust(16) + calling.ljust(16) + reserved
    return pdu(2, body + b"".join(items))


def result(context_id: int, value: int = 0, *syntaxes: bytes) -> bytes:
    """An answered context, with one transfer syntax where no other are given."""
    names = b"".join(item(0x40, each) for each in syntaxes or (IMPLICIT,))
    return item(0x21, bytes([context_id, 0, value, 0]) + names)


def sound(*contexts: bytes, sub_items: tuple[bytes, ...] = ()) -> bytes:
    """An A-ASSOCIATE-AC with nothing wrong about it; one accepted context, id 1, where no other are given."""
    user_data = user_information(maximum_length(16384), IMPLEMENTATION_CLASS, *sub_items)
    return answer(NAME, *(contexts or (result(1),)), user_data)


def conversation(sent: bytes, received: bytes) -> Conversation:
    """One connection on which this was sent and that came."""
    made = Conversation(Target(host="127.0.0.1", port=1, called_ae=b"SERVER"))
    exchanges = [Exchange(0.0, Move.OPENED), Exchange(0.1, Move.SENT, sent)]
    exchanges += [Exchange(0.2, Move.RECEIVED, received[:7]), Exchange(0.3, Move.RECEIVED, received[7:])]
    made.connections.append(SimpleNamespace(exchanges=exchanges))  # type: ignore[arg-type]
    return made


def looked_at(check: Check, sent: bytes, received: bytes, event: Event = ACCEPTED) -> Finding | None:
    """What a check finds in it."""
    return check(conversation(sent, received), event)
