from dul.enums import (
    ContextResult,
    Event,
    ItemType,
    PDUType,
    RejectResult,
    State,
    UserIdentityType,
)


def test_thirteen_states_by_their_names():
    assert [(state.name, state.value) for state in State] == [(f"Sta{n}", n) for n in range(1, 14)]


def test_nineteen_events_by_their_names():
    assert [(event.name, event.value) for event in Event] == [(f"Evt{n}", n) for n in range(1, 20)]


def test_pdu_types_are_those_of_ps3_8_9_3():
    assert {t.name: t.value for t in PDUType} == {
        "A_ASSOCIATE_RQ": 1,
        "A_ASSOCIATE_AC": 2,
        "A_ASSOCIATE_RJ": 3,
        "P_DATA_TF": 4,
        "A_RELEASE_RQ": 5,
        "A_RELEASE_RP": 6,
        "A_ABORT": 7,
    }


def test_item_types_are_those_of_ps3_8_and_ps3_7():
    assert [t.value for t in ItemType] == [0x10, 0x20, 0x21, 0x30, 0x40, 0x50, *range(0x51, 0x5A)]


def test_results_and_identity_types():
    assert [(r.value, r.name) for r in ContextResult] == [
        (0, "ACCEPTANCE"),
        (1, "USER_REJECTION"),
        (2, "NO_REASON"),
        (3, "ABSTRACT_SYNTAX_NOT_SUPPORTED"),
        (4, "TRANSFER_SYNTAXES_NOT_SUPPORTED"),
    ]
    assert [(r.value, r.name) for r in RejectResult] == [(1, "PERMANENT"), (2, "TRANSIENT")]
    assert [(t.value, t.name) for t in UserIdentityType] == [
        (1, "USERNAME"),
        (2, "USERNAME_AND_PASSCODE"),
        (3, "KERBEROS_SERVICE_TICKET"),
        (4, "SAML_ASSERTION"),
        (5, "JSON_WEB_TOKEN"),
    ]
