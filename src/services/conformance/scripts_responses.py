"""Scripts about single responses: of which status, to which request, of what form."""

from dimse.enums import CommandField
from services.conformance.accepted import Asked, Association
from services.conformance.answering import COMMAND, accept, final, in_pdus, response, whole_answer
from services.conformance.building import (
    CT_IMAGE,
    DATA,
    c_echo_rq,
    c_store_rq,
    command,
    element,
    us,
)
from services.conformance.script import Script, Topic, script
from services.conformance.scripts_association import in_data_set
from services.conformance.scripts_steps import (
    GOES_ON,
    WAITS,
    MakeAnswer,
    React,
    accepted,
    answer,
    gives_up,
    goes_on,
    reply,
    served,
    to_the_end,
)

_STOPS = "abort 0/*"

# -- status


def _status(status: int, text: str, *asks: str) -> Script:
    def make(association: Association, request: Asked) -> bytes:
        return whole_answer(association, request, status)

    return script(
        f"status-{status:04X}",
        Topic.STATUS,
        f"Status {status:04X}: {text}",
        "PS3.7 Annex C; PS3.4",
        served(),
        answer(f"a response with status {status:04X}", make),
        goes_on(_STOPS, why="the operation is over, the association is not"),
        asks=asks,
    )


def _early_failure(association: Association) -> bytes:
    """A failure for the request whose data set is on its way."""
    request = association.begun()
    if request is None:
        association.inconclusive("a request that can be answered", "a command set without a Command Field")
    association.answered_early(request.message_id)
    return in_pdus(association, request.context_id, COMMAND, response(request, 0xA700))


_STATUSES = (
    _status(0x0110, "processing failure"),
    _status(0x0122, "SOP class not supported"),
    _status(0x0124, "not authorized"),
    _status(0x0211, "unrecognized operation"),
    _status(0xA700, "out of resources"),
    _status(0xA801, "move destination unknown", "C-MOVE-RQ"),
    _status(0xA900, "data set does not match SOP class", "C-STORE-RQ", "C-FIND-RQ", "C-GET-RQ", "C-MOVE-RQ"),
    _status(0xB000, "warning: coercion of data elements", "C-STORE-RQ", "C-GET-RQ", "C-MOVE-RQ"),
    _status(0xC000, "cannot understand"),
    _status(0xFE00, "cancelled, though nobody cancelled"),
    _status(0x4321, "a status that does not exist"),
    script(
        "status-pending-alone",
        Topic.STATUS,
        "Status FF00, pending, for an operation that has no pending responses; then the final one",
        "PS3.7 9.1.1, 9.1.5: one response",
        served(),
        answer(
            "a response with status FF00",
            lambda a, r: in_pdus(a, r.context_id, COMMAND, response(r, 0xFF00)),
            final=False,
        ),
        React(
            f"{WAITS}|abort 0/0",
            "abort *",
            "release",
            why="a pending operation is not over: it waits, or aborts",
            within=lambda a: a.late,
        ),
        asks=("C-ECHO-RQ", "C-STORE-RQ"),
    ),
    script(
        "status-early-failure",
        Topic.STATUS,
        "Status A700 while the data set is still being sent",
        "PS3.7 9.1.1: a failure may be answered early",
        accepted("an A-ASSOCIATE-AC with Maximum Length 4096", lambda a: accept(a, maximum=4096)),
        in_data_set(),
        reply("a response with status A700", lambda a: _early_failure(a)),
        to_the_end(),
        note="The SCU may finish the data set or abort; it must not begin another message within it.",
    ),
)


# -- to which request


def _wrong(
    name: str,
    title: str,
    clause: str,
    make: MakeAnswer,
    why: str,
    *tolerated: str,
    asks: tuple[str, ...] = (),
    final: bool = False,
    note: str = "",
) -> Script:
    """A response an SCU cannot take for its own."""
    return script(
        f"response-{name}",
        Topic.DIMSE,
        title,
        clause,
        served(),
        answer(title[0].lower() + title[1:], make, final=final),
        gives_up("0/0", "abort 2/*", WAITS, "release", *tolerated, why=why),
        asks=asks,
        note=note or _NOT_ITS_OWN,
    )


_NOT_ITS_OWN = (
    "An SCU that waits on for its response, or takes the operation for failed and releases, is tolerated: that it "
    "must abort is our reading of PS3.7 A.6. One that goes on to its next request has taken the response for its own."
)


def alone(request: Asked, command_set: bytes, association: Association) -> bytes:
    """A command set as a message without a data set, on the context of a request."""
    return in_pdus(association, request.context_id, COMMAND, command_set)


def _without_message_id(association: Association, request: Asked) -> bytes:
    body = command(us(0x0100, request.field | 0x8000), us(0x0800, 0x0101), us(0x0900, 0))
    return alone(request, body, association)


def _explicit(association: Association, request: Asked) -> bytes:
    """The command set in Explicit VR Little Endian."""

    def explicit(number: int, vr: bytes, value: bytes) -> bytes:
        return b"\0\0" + number.to_bytes(2, "little") + vr + len(value).to_bytes(2, "little") + value

    body = b"".join(
        explicit(number, b"US", value.to_bytes(2, "little"))
        for number, value in (
            (0x0100, request.field | 0x8000),
            (0x0120, request.message_id),
            (0x0800, 0x0101),
            (0x0900, 0),
        )
    )
    return alone(request, explicit(0, b"UL", len(body).to_bytes(4, "little")) + body, association)


def _wrong_group_length(association: Association, request: Asked) -> bytes:
    right = final(request)
    return alone(request, element(0, (len(right) + 100).to_bytes(4, "little")) + right[12:], association)


def _unknown_elements(association: Association, request: Asked) -> bytes:
    more = (element(0x0902, b"A COMMENT "), element(0x5010, b"RETIRED "))
    return alone(request, response(request, more=more), association)


def _data_set_missing(association: Association, request: Asked) -> bytes:
    return alone(request, response(request, 0, data_set=DATA), association)


_OTHER = {
    CommandField.C_ECHO_RQ: CommandField.C_STORE_RSP,
}

_RESPONSES = (
    _wrong(
        "message-id-wrong",
        "The response with the request's Message ID plus 1",
        "PS3.7 9.3: Message ID Being Responded To",
        lambda a, r: alone(r, response(r, message_id=(r.message_id + 1) & 0xFFFF), a),
        "it answers a request that nobody made",
    ),
    _wrong(
        "message-id-missing",
        "The response without a Message ID Being Responded To",
        "PS3.7 9.3",
        _without_message_id,
        "nothing tells what it answers",
    ),
    _wrong(
        "status-missing",
        "The response without a Status",
        "PS3.7 9.3, Annex C",
        lambda a, r: alone(r, response(r, None), a),
        "it says nothing",
    ),
    _wrong(
        "of-another-kind",
        "The response of another operation, with the right Message ID",
        "PS3.7 9.3, E.1",
        lambda a, r: alone(
            r, response(r, field=_OTHER.get(CommandField(r.field), CommandField.C_ECHO_RSP)), a
        ),
        "its Command Field answers no such request",
    ),
    _wrong(
        "field-unknown",
        "A message with Command Field 8FFEH",
        "PS3.7 E.1",
        lambda a, r: alone(r, response(r, field=0x8FFE), a),
        "there is no such message",
    ),
    _wrong(
        "explicit", "The response's command set in Explicit VR", "PS3.7 6.3.1", _explicit, "it cannot be read"
    ),
    _wrong(
        "garbage",
        "A command set of 100 bytes FFH",
        "PS3.7 6.3.1",
        lambda a, r: alone(r, b"\xff" * 100, a),
        "it cannot be read",
    ),
    script(
        "response-data-set-missing",
        Topic.DIMSE,
        "The response announces a data set, which never comes",
        "PS3.7 9.3, E.1; PS3.8 E.1",
        served(),
        answer(
            "the response with a Command Data Set Type that announces one", _data_set_missing, final=False
        ),
        React(
            f"abort 0/0|{WAITS}",
            "abort *",
            within=lambda a: a.late,
            hopeless=True,
            why="the message is not complete, so the operation is not over; or there can be no such data set",
        ),
    ),
    script(
        "response-unasked",
        Topic.DIMSE,
        "A response to nothing, and then the right one",
        "PS3.7 9.3",
        served(),
        answer(
            "a C-ECHO-RSP with a Message ID that is not in use",
            lambda a, r: alone(r, response(r, message_id=(r.message_id + 7) & 0xFFFF, field=0x8030), a),
            final=False,
        ),
        answer("the right response"),
        gives_up("0/0", "abort 2/*", GOES_ON, why="nobody asked; to pass over it is tolerated"),
    ),
    script(
        "response-twice",
        Topic.DIMSE,
        "The right response twice",
        "PS3.7 9.3",
        served(),
        answer("the right response twice", lambda a, r: whole_answer(a, r) * 2),
        React(
            "abort 0/0|release",
            "abort *",
            GOES_ON,
            why="the operation was over; to pass over it is tolerated",
            crossing=False,
        ),
    ),
    script(
        "response-group-length-wrong",
        Topic.DIMSE,
        "The response with a Command Group Length that is 88 too large",
        "PS3.7 6.3.1, E.1",
        served(),
        answer("the response with such a Command Group Length", _wrong_group_length),
        goes_on("abort *", why="its elements can be read all the same"),
    ),
    script(
        "response-unknown-elements",
        Topic.DIMSE,
        "The response with an Error Comment and a retired element",
        "PS3.7 6.3.1, Annexes C and E",
        served(),
        answer("such a response", _unknown_elements),
        goes_on(why="elements that are not known are passed over"),
    ),
    script(
        "request-from-acceptor",
        Topic.DIMSE,
        "A C-ECHO-RQ from the acceptor, which took no SCU role; then the right response",
        "PS3.7 A.2, D.3.3.4: roles",
        served(),
        answer("a C-ECHO-RQ", lambda a, r: alone(r, c_echo_rq(77, r.sop_class), a), final=False),
        answer("the right response"),
        React(
            f"abort 0/*|C-ECHO-RSP 77 *|{GOES_ON}",
            "abort 2/*",
            why="the acceptor is no SCU here: refused, aborted, or passed over",
        ),
    ),
    script(
        "store-from-acceptor",
        Topic.DIMSE,
        "A C-STORE-RQ from the acceptor on a context it has no role for",
        "PS3.7 D.3.3.4: roles",
        served(),
        answer(
            "a C-STORE-RQ and its data set",
            lambda a, r: (
                alone(r, c_store_rq(78, r.sop_class or CT_IMAGE), a)
                + in_pdus(a, r.context_id, 0, element(0x0016, CT_IMAGE + b"\0", group=8))
            ),
            final=False,
        ),
        answer("the right response"),
        React(
            f"abort 0/*|C-STORE-RSP 78 [!0]*|C-STORE-RSP 78 0[12]*|{GOES_ON}",
            "abort 2/*",
            why="an instance nobody asked for is not taken: refused, aborted, or passed over",
        ),
    ),
)

SCRIPTS: tuple[Script, ...] = (*_STATUSES, *_RESPONSES)
