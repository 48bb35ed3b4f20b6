"""The 28 actions against a second transcription of Tables 9-6 to 9-9."""

import re
from pathlib import Path

import pytest

from dul import actions
from dul.effects import Effect, Indicate, SendPDU
from dul.enums import Role, State
from dul.errors import InvalidPDU, PDUTooLong, UnrecognizedPDU
from dul.machine import UpperLayer
from dul.pdus import AAbort, AAssociateRJ, AReleaseRP, AReleaseRQ
from dul.primitives import AbortIndication, PAbortIndication, ReleaseIndication
from dul.reasons import AbortReason, RejectReason
from playbook import AC, PDATA, RQ

FIXTURE = Path(__file__).parents[2] / "fixtures" / "ps3_8" / "actions.txt"
LINE = re.compile(
    r"(?P<action>[A-Z]{2}-\d+)(?: \[(?P<condition>.+)\])?: (?P<effects>.+) -> (?P<state>Sta\d+)"
)

RJ = AAssociateRJ(1, RejectReason.NO_REASON_GIVEN)
ABORT = AAbort(AbortReason.SERVICE_USER)
PROVIDER_ABORT = AAbort(AbortReason.UNEXPECTED_PDU)
ARGUMENTS = {
    "AE-1": RQ, "AE-3": AC, "AE-4": RJ, "AE-6": RQ, "AE-7": AC, "AE-8": RJ,
    "DT-1": PDATA, "DT-2": PDATA, "AR-6": PDATA, "AR-7": PDATA,
    "AA-3": ABORT, "AA-7": RQ, "AA-8": PDATA,
}  # fmt: skip


def transcription() -> list[tuple[str, str | None, str, str]]:
    lines = [line for line in FIXTURE.read_text().splitlines() if line and not line.startswith("#")]
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches)
    return [match.group("action", "condition", "effects", "state") for match in matches if match]


def in_print(effect: Effect) -> str:
    match effect:
        case SendPDU(pdu):
            return f"SendPDU({pdu.pdu_type.name.replace('_', '-')})"
        case Indicate(primitive):
            return f"Indicate({type(primitive).__name__})"
    return type(effect).__name__


def run(action: str, ul: UpperLayer, argument: object) -> tuple[State, list[Effect]]:
    next_state = getattr(actions, action.replace("-", "_"))(ul, argument)
    return next_state, ul.take_effects()


@pytest.mark.parametrize(("action", "condition", "effects", "state"), transcription())
def test_action_does_what_the_tables_say(action, condition, effects, state):
    role = Role.REQUESTOR if condition == "requestor" else Role.ACCEPTOR
    ul = UpperLayer(role, refuse=(lambda rq: RJ) if condition == "not acceptable" else None)
    ul.request = RQ
    argument = PROVIDER_ABORT if condition == "service-provider initiated" else ARGUMENTS.get(action)
    next_state, done = run(action, ul, argument)
    assert [in_print(effect) for effect in done] == ([] if effects == "nothing" else effects.split())
    assert next_state.name == state


def test_the_transcription_has_all_28_actions():
    groups = {"AE": 8, "DT": 2, "AR": 10, "AA": 8}
    expected = {f"{group}-{number}" for group, last in groups.items() for number in range(1, last + 1)}
    assert {action for action, _, _, _ in transcription()} == expected


def test_only_ae_6_and_ar_8_choose_the_next_state():
    states: dict[str, set[str]] = {}
    for action, _, _, state in transcription():
        states.setdefault(action, set()).add(state)
    assert {action for action, choices in states.items() if len(choices) > 1} == {"AE-6", "AR-8"}


@pytest.mark.parametrize(
    ("action", "argument", "sent"),
    [
        ("AE-7", AC, AC),
        ("AE-8", RJ, RJ),
        ("DT-1", PDATA, PDATA),
        ("AR-1", None, AReleaseRQ()),
        ("AR-4", None, AReleaseRP()),
        ("AR-7", PDATA, PDATA),
        ("AR-9", None, AReleaseRP()),
        ("AA-1", PDATA, AAbort(AbortReason(0, 0))),
        ("AA-1", UnrecognizedPDU("47H"), AAbort(AbortReason(0, 0))),
        ("AA-7", RQ, AAbort(AbortReason(2, 2))),
        ("AA-7", InvalidPDU("length"), AAbort(AbortReason(2, 2))),
        ("AA-7", UnrecognizedPDU("47H"), AAbort(AbortReason(2, 1))),
        ("AA-8", RQ, AAbort(AbortReason(2, 2))),
        ("AA-8", UnrecognizedPDU("47H"), AAbort(AbortReason(2, 1))),
        ("AA-8", PDUTooLong("length"), AAbort(AbortReason(2, 6))),
        ("AA-8", InvalidPDU("odd", AbortReason(2, 5)), AAbort(AbortReason(2, 5))),
    ],
)
def test_what_is_sent(action, argument, sent):
    _, effects = run(action, UpperLayer(Role.ACCEPTOR), argument)
    assert [effect.pdu for effect in effects if isinstance(effect, SendPDU)] == [sent]


def test_ae_2_sends_what_ae_1_kept():
    ul = UpperLayer(Role.REQUESTOR)
    run("AE-1", ul, RQ)
    _, effects = run("AE-2", ul, None)
    assert effects == [SendPDU(RQ)]


@pytest.mark.parametrize("role", Role)
def test_ar_8_tells_that_it_is_a_collision(role):
    _, effects = run("AR-8", UpperLayer(role), AReleaseRQ())
    assert effects == [Indicate(ReleaseIndication(collision=True))]


@pytest.mark.parametrize("reason", [AbortReason(0, 0), AbortReason(1, 0), AbortReason(9, 3)])
def test_aa_3_whatever_is_not_the_service_provider_is_the_user(reason):
    _, effects = run("AA-3", UpperLayer(Role.ACCEPTOR), AAbort(reason))
    assert effects[0] == Indicate(AbortIndication(reason))


def test_causes_name_what_happened_and_where():
    ul = UpperLayer(Role.ACCEPTOR)
    ul.state = State.Sta6
    causes = [
        effect.primitive.cause
        for action, argument in (
            ("AA-3", PROVIDER_ABORT),
            ("AA-4", None),
            ("AA-8", AReleaseRP()),
            ("AA-8", InvalidPDU("PDV length 1 is below 2")),
        )
        for effect in run(action, ul, argument)[1]
        if isinstance(effect, Indicate) and isinstance(effect.primitive, PAbortIndication)
    ]
    assert causes == [
        "the peer aborted: unexpected PDU (source 2, reason 2)",
        "transport closed in Sta6, without a release or an abort",
        "A-RELEASE-RP PDU unexpected in Sta6",
        "PDV length 1 is below 2",
    ]
