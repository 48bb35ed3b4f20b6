"""Scripts about how an association begins: the conforming one, every rejection, aborts at each point."""

from services.conformance.accepted import FRAGMENT, Asked, Association
from services.conformance.answering import (
    COMMAND,
    accept,
    final,
    fragments,
    in_pdus,
    reject,
    whole_answer,
)
from services.conformance.building import abort, p_data, pdu, pdv
from services.conformance.connection import OVER, SILENCE
from services.conformance.conversation import Over
from services.conformance.script import Script, Topic, script
from services.conformance.scripts_steps import (
    Act,
    accepted,
    answer,
    ends,
    gives_up,
    released,
    reply,
    requested,
    serve_on,
    served,
    to_the_end,
)
from services.conformance.verdict import Finding, Verdict

CONFORMING = script(
    "conforming",
    Topic.CONFORMING,
    "Every request is answered well",
    "PS3.8 9.2, 9.3, Annexes D to F; PS3.7 6.3, 9.3, 10.3, Annex D.3.3",
    accepted(),
    to_the_end(),
    note="Everything the SCU sends is looked at: the request, every P-DATA-TF, every command set, the release.",
)

# -- A-ASSOCIATE-RJ (Table 9-21)

_RESULTS = {1: "permanent", 2: "transient"}
_REASONS = {
    (1, 1): "no-reason-given",
    (1, 2): "application-context-name-not-supported",
    (1, 3): "calling-AE-title-not-recognized",
    (1, 7): "called-AE-title-not-recognized",
    (2, 1): "no-reason-given, by the ACSE provider",
    (2, 2): "protocol-version-not-supported",
    (3, 1): "temporary-congestion",
    (3, 2): "local-limit-exceeded",
}
_AE_4 = "AE-4 closes the connection and sends nothing"


def _rejected(result: int, source: int, reason: int, text: str) -> Script:
    return script(
        f"reject-{result}-{source}-{reason}",
        Topic.REJECT,
        f"A-ASSOCIATE-RJ, {_RESULTS.get(result, 'a result that does not exist')}: {text}",
        "PS3.8 9.3.4, Table 9-21; 9.2: Evt4 in Sta5, AE-4",
        requested(),
        reply(f"an A-ASSOCIATE-RJ {result}/{source}/{reason}", reject(result, source, reason)),
        ends(_AE_4),
    )


_REJECTIONS = (
    *(
        _rejected(result, source, reason, text)
        for result in _RESULTS
        for (source, reason), text in _REASONS.items()
    ),
    _rejected(1, 1, 10, "a reserved reason"),
    _rejected(9, 9, 99, "codes that do not exist"),
    *(
        script(
            f"reject-of-{length}-bytes",
            Topic.REJECT,
            f"A-ASSOCIATE-RJ with PDU-length {length}",
            "PS3.8 9.3.4; 9.2: Evt19 in Sta5, AA-8",
            requested(),
            reply("such an A-ASSOCIATE-RJ", pdu(3, bytes([0, 1, 1, 1, 0, 0, 0, 0][:length]))),
            gives_up(
                "2/6", "closed", why="its PDU-length is fixed at 4; to take it for a rejection is human"
            ),
        )
        for length in (0, 8)
    ),
    script(
        "reject-after-accept",
        Topic.REJECT,
        "A-ASSOCIATE-RJ on an association that was accepted",
        "PS3.8 9.2: Evt4 in Sta6, AA-8",
        served(),
        reply("an A-ASSOCIATE-RJ 1/1/1", reject(1, 1, 1)),
        gives_up("2/2", why="an A-ASSOCIATE-RJ is unexpected in Sta6"),
    ),
    script(
        "reject-then-talk",
        Topic.REJECT,
        "A-ASSOCIATE-RJ, and an A-ASSOCIATE-AC behind it",
        "PS3.8 9.2: Evt4 in Sta5, AE-4; then there is no association",
        requested(),
        reply("both in one segment", lambda a: reject(2, 3, 1) + accept(a)),
        ends(_AE_4, unread=True),
    ),
)

# -- A-ABORT

_AA_3 = "AA-3 closes the connection: an A-ABORT is never answered"
_EVT16 = "PS3.8 9.3.8; 9.2: Evt16"
_KINDS = (
    ("user", "of the service user", abort(0, 0)),
    ("provider", "of the service provider", abort(2, 0)),
    ("reserved", "with a source and a reason that do not exist", abort(9, 99)),
)


async def _take_fragment(association: Association) -> None:
    """Wait until part of a data set, and not all of it, has come."""
    association.connection.shows_fragments = True
    event = await association.next(association.idle, fragments=True)
    association.connection.shows_fragments = False
    if event is FRAGMENT:
        return
    if event is SILENCE or event in OVER:
        association.fail("a request", event.text)
    what = "the SCU sent no data set of more than one P-DATA-TF"
    association.findings.append(Finding(Verdict.NOT_APPLICABLE, "", what))
    association.hold(event)
    await serve_on(association)
    raise Over


def in_data_set() -> tuple[Act, ...]:
    """Wait for the first P-DATA-TF of a data set that is longer."""
    return (Act("expects the first P-DATA-TF of a data set that needs several", _take_fragment),)


def _unfinished(association: Association, request: Asked) -> bytes:
    """The first half of a response's command set."""
    first = fragments(final(request), 20)[0]
    return p_data(pdv(request.context_id, COMMAND, first))


_ABORTS = (
    *(
        script(
            f"abort-{kind}-before-accept",
            Topic.ABORT,
            f"A-ABORT {text} instead of an A-ASSOCIATE-AC",
            f"{_EVT16} in Sta5, AA-3",
            requested(),
            reply("an A-ABORT", data),
            ends(_AA_3),
        )
        for kind, text, data in _KINDS
    ),
    *(
        script(
            f"abort-of-{length}-bytes",
            Topic.ABORT,
            f"A-ABORT with PDU-length {length}, instead of an A-ASSOCIATE-AC",
            "PS3.8 9.3.8; 9.2: Evt16 in Sta5, AA-3, or Evt19, AA-8",
            requested(),
            reply("such an A-ABORT", pdu(7, bytes(length))),
            ends(
                "an abort that cannot be read is still one; it may be taken for an invalid PDU", "abort 2/*"
            ),
        )
        for length in (0, 8)
    ),
    script(
        "abort-after-accept",
        Topic.ABORT,
        "A-ABORT right after the A-ASSOCIATE-AC",
        f"{_EVT16} in Sta6, AA-3",
        requested(),
        reply("an A-ASSOCIATE-AC and an A-ABORT in one segment", lambda a: accept(a) + abort(0, 0)),
        ends(_AA_3, crossing=True),
    ),
    *(
        script(
            f"abort-{kind}-after-request",
            Topic.ABORT,
            f"A-ABORT {text} instead of a response",
            f"{_EVT16} in Sta6, AA-3",
            served(),
            reply("an A-ABORT", data),
            ends(_AA_3),
        )
        for kind, text, data in _KINDS
    ),
    script(
        "abort-in-data-set",
        Topic.ABORT,
        "A-ABORT in the middle of a data set",
        f"{_EVT16} in Sta6, AA-3",
        accepted("an A-ASSOCIATE-AC with Maximum Length 4096", lambda a: accept(a, maximum=4096)),
        in_data_set(),
        reply("an A-ABORT", abort(0, 0)),
        ends(_AA_3, crossing=True),
    ),
    script(
        "abort-in-response",
        Topic.ABORT,
        "A-ABORT after the first fragment of a response",
        f"{_EVT16} in Sta6, AA-3",
        served(),
        answer("the first 20 bytes of the response's command set", _unfinished, final=False),
        reply("an A-ABORT", abort(2, 0)),
        ends(_AA_3),
    ),
    script(
        "abort-after-response",
        Topic.ABORT,
        "A-ABORT right after a response",
        f"{_EVT16} in Sta6 or Sta7, AA-3",
        served(),
        answer(
            "the response and an A-ABORT in one segment",
            lambda a, request: whole_answer(a, request) + abort(0, 0),
        ),
        ends(_AA_3, crossing=True),
    ),
    script(
        "abort-instead-of-release",
        Topic.ABORT,
        "A-ABORT instead of an A-RELEASE-RP",
        f"{_EVT16} in Sta7, AA-3",
        accepted(),
        released(),
        reply("an A-ABORT", abort(0, 0)),
        ends(_AA_3),
    ),
    script(
        "abort-then-talk",
        Topic.ABORT,
        "A-ABORT, and the response behind it",
        f"{_EVT16} in Sta6, AA-3; then there is no association",
        served(),
        answer(
            "an A-ABORT and the response in one segment",
            lambda a, request: abort(0, 0) + in_pdus(a, request.context_id, COMMAND, final(request)),
        ),
        ends(_AA_3, unread=True),
    ),
)

SCRIPTS: tuple[Script, ...] = (CONFORMING, *_REJECTIONS, *_ABORTS)
