"""Scripts about operations: several responses, their counts, their order, and when they come."""

from services.conformance.accepted import Asked, Association
from services.conformance.answering import COMMAND, accept, agree, final, in_pdus, response, whole_answer
from services.conformance.building import (
    DATA,
    RELEASE_RP,
    window,
)
from services.conformance.connection import SILENCE
from services.conformance.conversation import Over
from services.conformance.script import Script, Topic, script
from services.conformance.scripts_responses import alone
from services.conformance.scripts_steps import (
    GOES_ON,
    WAITS,
    Act,
    React,
    accepted,
    answer,
    ends,
    gives_up,
    goes_on,
    keeps_still,
    released,
    reply,
    requested,
    serve_on,
    served,
    to_the_end,
)
from services.conformance.verdict import Finding, Verdict

# -- several responses


def _pending(association: Association, request: Asked, number: int) -> bytes:
    """Matches of a C-FIND, as many as told."""
    one = in_pdus(association, request.context_id, COMMAND, response(request, 0xFF00, data_set=DATA))
    one += in_pdus(association, request.context_id, 0, request.data_set or b"")
    return one * number


def _counted(
    name: str, title: str, *responses: tuple[int, tuple[int | None, int, int, int]], why: str
) -> Script:
    """Responses of a C-GET or C-MOVE with counts: status, and remaining, completed, failed, with warnings."""

    def make(association: Association, request: Asked) -> bytes:
        return b"".join(
            alone(request, response(request, status, counts=counts), association)
            for status, counts in responses
        )

    return script(
        f"counts-{name}",
        Topic.DIMSE,
        title,
        "PS3.4 C.4.2.1.6, C.4.3.1.3; PS3.7 9.1.3, 9.1.4",
        served(),
        answer("responses with such counts", make),
        goes_on("abort *", why=why),
        asks=("C-GET-RQ", "C-MOVE-RQ"),
    )


_LAST = 0x0000
_COUNTS = (
    _counted(
        "growing",
        "Remaining sub-operations that grow from 1 to 9",
        (0xFF00, (1, 0, 0, 0)),
        (0xFF00, (9, 1, 0, 0)),
        (_LAST, (None, 10, 0, 0)),
        why="the counts are for people: it waits for the final response",
    ),
    _counted(
        "final-remaining",
        "A final response with 5 remaining",
        (_LAST, (5, 0, 0, 0)),
        why="the status tells that it is over",
    ),
    _counted(
        "do-not-add-up",
        "Pending responses whose counts do not add up",
        (0xFF00, (3, 0, 0, 0)),
        (0xFF00, (7, 100, 5, 1)),
        (_LAST, (None, 1, 0, 0)),
        why="the counts are for people",
    ),
    _counted(
        "success-with-failures",
        "Success, with 3 failed sub-operations",
        (_LAST, (None, 0, 3, 0)),
        why="the operation is over, whatever is made of it",
    ),
    _counted(
        "more-than-there-are",
        "65535 of everything",
        (0xFF00, (65535, 65535, 65535, 65535)),
        (0xB000, (None, 65535, 65535, 65535)),
        why="the operation is over",
    ),
    script(
        "counts-missing",
        Topic.DIMSE,
        "Responses without counts",
        "PS3.7 9.3.3.2, 9.3.4.2",
        served(),
        answer(
            "a pending and a final response without counts",
            lambda a, r: alone(r, response(r, 0xFF00), a) + alone(r, response(r), a),
        ),
        goes_on("abort *", why="the operation is over"),
        asks=("C-GET-RQ", "C-MOVE-RQ"),
    ),
)

_FIND = (
    script(
        "find-many",
        Topic.DIMSE,
        "200 matches at once",
        "PS3.4 C.4.1.1.4; PS3.7 9.1.2",
        served(),
        answer(
            "200 pending responses and the final one", lambda a, r: _pending(a, r, 199) + whole_answer(a, r)
        ),
        goes_on(why="as many as match are sent; a C-CANCEL would be right too"),
        asks=("C-FIND-RQ",),
    ),
    script(
        "find-pending-after-final",
        Topic.DIMSE,
        "A match after the final response",
        "PS3.4 C.4.1.1.4; PS3.7 9.1.2",
        served(),
        answer(
            "the final response, and a pending one behind it",
            lambda a, r: alone(r, final(r), a) + _pending(a, r, 1),
        ),
        gives_up("0/0", "abort 2/*", GOES_ON, why="the operation was over; to pass over it is tolerated"),
        asks=("C-FIND-RQ",),
    ),
    script(
        "find-pending-without-identifier",
        Topic.DIMSE,
        "A pending response without an identifier",
        "PS3.7 9.1.2.1; PS3.4 C.4.1.1.3",
        served(),
        answer(
            "a pending response without a data set, and the final one",
            lambda a, r: alone(r, response(r, 0xFF00), a) + alone(r, final(r), a),
        ),
        goes_on("abort *", why="a match that says nothing; the final response ends the operation"),
        asks=("C-FIND-RQ",),
    ),
    script(
        "find-garbage-identifier",
        Topic.DIMSE,
        "A match that cannot be read",
        "PS3.5 7.1; PS3.4 C.4.1.1.3",
        served(),
        answer(
            "a pending response with 64 bytes FFH, and the final one",
            lambda a, r: (
                alone(r, response(r, 0xFF00, data_set=DATA), a)
                + in_pdus(a, r.context_id, 0, b"\xff" * 64)
                + alone(r, final(r), a)
            ),
        ),
        goes_on("abort *", why="one match is lost, not the association"),
        asks=("C-FIND-RQ",),
    ),
)

# -- when


def _windowed(association: Association) -> bytes:
    """Accept, with the window the SCU offered."""
    offered = [item.value for item in association.rq.sub_items(0x53)]
    invoked = int.from_bytes(offered[0][:2]) if offered else 1
    agree(association)
    association.agreed.window = invoked
    return accept(association, more=(window(invoked, 1),) if offered else ())


async def _take_several(association: Association) -> None:
    """Take requests until the SCU waits, and answer them last first; a single one at a time cannot be reversed."""
    if association.agreed.window == 1:
        what = "the SCU offered no asynchronous operations window"
        association.findings.append(Finding(Verdict.NOT_APPLICABLE, "", what))
        await serve_on(association)
        raise Over
    while True:
        event = await association.next(min(0.5, association.target.timeout))
        if association.request_of(event) is not None:
            continue
        if event is not SILENCE:
            association.hold(event)
        if not association.outstanding:
            break
        for request in reversed(list(association.outstanding.values())):
            association.answered(request.message_id)
            await association.connection.send(
                whole_answer(association, request), timeout=association.target.timeout
            )
        if event is not SILENCE:
            break
    await serve_on(association)


_TIMES = (
    script(
        "late-accept",
        Topic.TIME,
        "The A-ASSOCIATE-AC comes late",
        "PS3.8 9.1.4, 9.2: no timer runs in Sta5",
        requested(),
        keeps_still(lambda a: a.late, "the A-ASSOCIATE-AC"),
        reply("an A-ASSOCIATE-AC", accept),
        to_the_end(),
    ),
    script(
        "late-response",
        Topic.TIME,
        "Every response comes late",
        "PS3.7 9.1; the time-out is a local matter",
        served(),
        keeps_still(lambda a: a.late, "the response"),
        answer("the right response"),
        to_the_end(),
    ),
    script(
        "late-release",
        Topic.TIME,
        "The A-RELEASE-RP comes late",
        "PS3.8 9.1.4, 9.2: no timer runs in Sta7",
        accepted(),
        released(),
        keeps_still(lambda a: a.late, "the A-RELEASE-RP"),
        reply("an A-RELEASE-RP", RELEASE_RP),
        ends("AR-3 closes the connection"),
    ),
    script(
        "never-accepted",
        Topic.TIME,
        "The A-ASSOCIATE-AC never comes",
        "PS3.8 9.2: Evt15 in Sta5, AA-1; the time-out is a local matter",
        requested(),
        React("abort 0/*", "closed", "reset", WAITS, why="it gives up in time", within=lambda a: a.patience),
        waits=True,
        note="The standard sets no time-out: an SCU that waits longer than the tester is tolerated.",
    ),
    script(
        "never-answered",
        Topic.TIME,
        "The response never comes",
        "PS3.7 A.6; PS3.8 9.2: Evt15 in Sta6, AA-1; the time-out is a local matter",
        served(),
        React(
            "abort 0/*",
            "closed",
            "reset",
            "release",
            WAITS,
            why="it gives up in time",
            within=lambda a: a.patience,
        ),
        waits=True,
        note="The standard sets no time-out: an SCU that waits longer than the tester is tolerated.",
    ),
    script(
        "reversed-responses",
        Topic.TIME,
        "Responses in reverse order, within the asynchronous operations window",
        "PS3.7 D.3.3.3, 9.3: Message ID Being Responded To",
        accepted("an A-ASSOCIATE-AC with the window it offered", _windowed),
        Act("answers what is outstanding last first; expects an orderly release", _take_several),
    ),
)

SCRIPTS: tuple[Script, ...] = (*_COUNTS, *_FIND, *_TIMES)
