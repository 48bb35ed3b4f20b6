"""Scripts about the presentation contexts of an A-ASSOCIATE-AC: refused, never proposed, missing, ambiguous."""

from services.conformance.accepted import Association
from services.conformance.answering import accept, accepting, agree, answered_context, refusing
from services.conformance.building import IMPLICIT, item
from services.conformance.script import Script, Topic, script
from services.conformance.scripts_steps import GOES_ON, Make, React, accepted, gives_up, reply, requested
from services.conformance.steps import UNKNOWN_SYNTAX

_TOPIC = Topic.NEGOTIATION
STOPS = "release|abort 0/*"
"""Pattern: the SCU ends an association that it cannot use."""


def _refused(result: int, text: str) -> Script:
    def make(association: Association) -> bytes:
        agree(association, none=True)
        return accept(association, contexts=refusing(association, result))

    return script(
        f"accept-refused-{result}",
        _TOPIC,
        f"Every presentation context refused: {text}",
        "PS3.8 9.3.3.2; PS3.7 D.3.2",
        requested(),
        reply("an A-ASSOCIATE-AC that refuses every context", make),
        React(
            STOPS,
            "abort 2/*",
            why="nothing can be said on a refused context: it releases or aborts (PS3.8 9.3.3.2)",
        ),
    )


def wrongly_accepted(
    name: str,
    title: str,
    clause: str,
    make: Make,
    why: str,
    *tolerated: str,
    reason: str = "2/6",
    note: str = "",
) -> Script:
    """An answer that an SCU must abort."""
    return script(
        f"accept-{name}",
        _TOPIC,
        title,
        clause,
        requested(),
        reply("such an A-ASSOCIATE-AC", make),
        gives_up(reason, "abort 0/*", *tolerated, why=why),
        note=note,
    )


# -- contexts


def _never_offered(association: Association) -> bytes:
    agree(association, none=True)
    contexts = [answered_context(c.id, 0, UNKNOWN_SYNTAX) for c in association.rq.contexts]
    return accept(association, contexts=contexts)


def _unknown_context(association: Association) -> bytes:
    agree(association)
    taken = {c.id for c in association.rq.contexts}
    free = next((number for number in range(255, 0, -2) if number not in taken), 255)
    return accept(association, contexts=[*accepting(association), answered_context(free, 0, IMPLICIT)])


def _missing_context(association: Association) -> bytes:
    agree(association, {c.id for c in association.rq.contexts[:1]})
    return accept(association, contexts=accepting(association)[1:])


def _no_context(association: Association) -> bytes:
    agree(association, none=True)
    return accept(association, contexts=[])


def _context_twice(association: Association) -> bytes:
    association.agreed.spoilt = True
    agree(association)
    return accept(association, contexts=[*accepting(association), *accepting(association)[:1]])


def _even_context(association: Association) -> bytes:
    agree(association)
    return accept(association, contexts=[*accepting(association), answered_context(2, 0, IMPLICIT)])


def _unknown_result(association: Association) -> bytes:
    agree(association, none=True)
    return accept(association, contexts=refusing(association, 0xEE))


def _without_syntax(association: Association) -> bytes:
    association.agreed.spoilt = True
    agree(association)
    return accept(association, contexts=[answered_context(c.id, 0) for c in association.rq.contexts])


def _two_syntaxes(association: Association) -> bytes:
    association.agreed.spoilt = True
    agree(association)
    contexts = [answered_context(c.id, 0, *(c.transfer_syntaxes() * 2)[:2]) for c in association.rq.contexts]
    return accept(association, contexts=contexts)


def _proposed_item(association: Association) -> bytes:
    """The contexts come back as they were proposed: items 20H instead of 21H."""
    agree(association, none=True)
    contexts = [item(0x20, each.value) for each in association.rq.items if each.kind == 0x20]
    return accept(association, contexts=contexts)


SCRIPTS: tuple[Script, ...] = (
    _refused(1, "user-rejection"),
    _refused(2, "no-reason"),
    _refused(3, "abstract-syntax-not-supported"),
    _refused(4, "transfer-syntaxes-not-supported"),
    script(
        "accept-result-unknown",
        _TOPIC,
        "Every presentation context answered with a result that does not exist",
        "PS3.8 9.3.3.2, Table 9-18",
        requested(),
        reply("an A-ASSOCIATE-AC with the result EEH", _unknown_result),
        React(
            f"{STOPS}|abort 2/6", "abort 2/*", why="what is not acceptance is refusal, or an invalid value"
        ),
    ),
    wrongly_accepted(
        "syntax-never-offered",
        "Every presentation context accepted with a transfer syntax that was not offered",
        "PS3.8 9.3.3.2; PS3.7 D.3.2",
        _never_offered,
        "the transfer syntax must be one of those offered: such a context cannot be used",
        "release",
    ),
    script(
        "accept-context-unknown",
        _TOPIC,
        "A presentation context accepted that nobody proposed, beside the others",
        "PS3.8 9.3.3.2, 7.1.1.13",
        accepted("such an A-ASSOCIATE-AC", _unknown_context),
        gives_up(
            "2/6",
            "abort 0/*",
            GOES_ON,
            why="an answer to no question; to use the other contexts is tolerated",
        ),
    ),
    script(
        "accept-context-missing",
        _TOPIC,
        "The first presentation context is not answered",
        "PS3.8 9.3.3.2",
        requested(),
        reply("such an A-ASSOCIATE-AC", _missing_context),
        React(
            f"{STOPS}|abort 2/6|{GOES_ON}",
            "abort 2/*",
            why="a context without an answer is not accepted; the others may be used",
        ),
    ),
    wrongly_accepted(
        "no-context",
        "No presentation context is answered",
        "PS3.8 9.3.3, 9.3.3.2",
        _no_context,
        "each context proposed must be answered, and there is none to use",
        "release",
    ),
    script(
        "accept-context-twice",
        _TOPIC,
        "A presentation context is answered twice",
        "PS3.8 9.3.3.2, 7.1.1.13",
        accepted("such an A-ASSOCIATE-AC", _context_twice),
        gives_up(
            "2/6",
            "abort 0/*",
            GOES_ON,
            why="one answer for each context; that both are the same is no excuse",
        ),
    ),
    script(
        "accept-context-even",
        _TOPIC,
        "A presentation context with an even id is accepted, beside the others",
        "PS3.8 9.3.3.2",
        accepted("such an A-ASSOCIATE-AC", _even_context),
        gives_up("2/6", "abort 0/*", GOES_ON, why="ids are odd; to use the other contexts is tolerated"),
    ),
    script(
        "accept-without-syntax",
        _TOPIC,
        "Every presentation context accepted without a transfer syntax",
        "PS3.8 9.3.3.2",
        requested(),
        reply("such an A-ASSOCIATE-AC", _without_syntax),
        gives_up("2/6", "abort 0/*", "release", why="which transfer syntax holds is not said"),
    ),
    script(
        "accept-two-syntaxes",
        _TOPIC,
        "Every presentation context accepted with two transfer syntaxes",
        "PS3.8 9.3.3.2",
        requested(),
        reply("such an A-ASSOCIATE-AC", _two_syntaxes),
        gives_up(
            "2/6",
            "abort 0/*",
            "release",
            GOES_ON,
            why="exactly one must be there; which one holds is not said",
        ),
    ),
    wrongly_accepted(
        "proposed-items",
        "The presentation contexts come back as items 20H",
        "PS3.8 9.3.3, 9.3.3.2",
        _proposed_item,
        "an answer is an item 21H; these answer nothing",
        "release",
    ),
)
