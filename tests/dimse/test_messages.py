"""The element tables against two other copies of PS3.7, and the responses made from requests."""

import pytest
from msgspec import structs
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pynetdicom.dimse_messages import _COMMAND_SET_KEYWORDS

from dimse import messages
from dimse.enums import DATA_SET_FOLLOWS, NO_DATA_SET, CommandField, Priority
from dimse.messages import (
    MESSAGES,
    RESPONSES,
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    CFindRQ,
    CGetRQ,
    CMoveRQ,
    CStoreRQ,
    CStoreRSP,
    NActionRQ,
    NActionRSP,
    NCreateRQ,
    NDeleteRQ,
    NEventReportRQ,
    NGetRQ,
    NGetRSP,
    NSetRQ,
    RefusalRSP,
    elements_of,
    error_comment,
    response_to,
    sop_class_uid,
    sop_instance_uid,
)

CLASS, INSTANCE = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"

AFFECTED = {"affected_sop_class_uid": CLASS, "affected_sop_instance_uid": INSTANCE}
REQUESTED = {"requested_sop_class_uid": CLASS, "requested_sop_instance_uid": INSTANCE}

REQUESTS = [
    CStoreRQ(message_id=7, **AFFECTED),
    CFindRQ(message_id=7, affected_sop_class_uid=CLASS),
    CGetRQ(message_id=7, affected_sop_class_uid=CLASS),
    CMoveRQ(message_id=7, affected_sop_class_uid=CLASS, move_destination="THERE"),
    CEchoRQ(message_id=7, affected_sop_class_uid=CLASS),
    NEventReportRQ(message_id=7, event_type_id=1, **AFFECTED),
    NGetRQ(message_id=7, **REQUESTED),
    NSetRQ(message_id=7, **REQUESTED),
    NActionRQ(message_id=7, action_type_id=1, **REQUESTED),
    NCreateRQ(message_id=7, **AFFECTED),
    NDeleteRQ(message_id=7, **REQUESTED),
]


def fields_by_keyword(message_class):
    return {keyword_for_tag(e.tag): (name, e) for name, e in elements_of(message_class).items()}


@pytest.mark.parametrize("message_class", [*MESSAGES, RefusalRSP])
def test_fields_are_the_keywords_of_annex_e(message_class):
    for keyword, (name, element) in fields_by_keyword(message_class).items():
        assert keyword.lower() == name.replace("_", "")
        assert dictionary_VR(element.tag) == element.vr
        assert element.usage in "MCU"


@pytest.mark.parametrize("message_class", MESSAGES)
def test_every_element_of_the_message_is_a_field(message_class):
    theirs = set(_COMMAND_SET_KEYWORDS[message_class.command_field.label])
    assert theirs - {"CommandGroupLength", "CommandField"} <= set(fields_by_keyword(message_class))


@pytest.mark.parametrize("message_class", [*MESSAGES, RefusalRSP])
def test_every_field_has_an_element_and_tags_ascend(message_class):
    elements = elements_of(message_class)
    assert set(elements) == {field.name for field in structs.fields(message_class)}
    tags = [element.tag for element in elements.values()]
    assert tags == sorted(set(tags))


@pytest.mark.parametrize("message_class", MESSAGES)
def test_what_is_not_mandatory_may_be_left_out(message_class):
    elements = elements_of(message_class)
    for field in structs.fields(message_class):
        if elements[field.name].usage != "M":
            assert field.default is None


def test_a_class_for_every_command_field():
    assert sorted(m.command_field for m in MESSAGES) == sorted(CommandField)


@pytest.mark.parametrize("message_class", MESSAGES)
def test_is_response_is_the_response_bit(message_class):
    assert message_class.is_response is bool(message_class.command_field & 0x8000)


def test_messages_are_values():
    one = CEchoRQ(message_id=1, affected_sop_class_uid=CLASS)
    assert one == CEchoRQ(message_id=1, affected_sop_class_uid=CLASS)
    with pytest.raises(AttributeError):
        one.message_id = 2


@pytest.mark.parametrize("data_set_type", [0x0000, DATA_SET_FOLLOWS, 0x0100, 0x0102, 0x0202, 0xFFFF])
def test_every_data_set_type_but_0101_announces_a_data_set(data_set_type):
    assert CCancelRQ(message_id_being_responded_to=1, command_data_set_type=data_set_type).has_data_set


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_requests_announce_the_data_set_they_always_have(request_):
    always = isinstance(request_, CStoreRQ | CFindRQ | CGetRQ | CMoveRQ | NSetRQ)
    assert request_.has_data_set is always
    assert getattr(request_, "priority", Priority.MEDIUM) is Priority.MEDIUM


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_response_to_echoes_what_the_request_named(request_):
    response = response_to(request_, 0x0110)
    assert type(response) is RESPONSES[type(request_)]
    assert response.command_field == request_.command_field | 0x8000
    assert response.message_id_being_responded_to == 7
    assert response.status == 0x0110
    assert response.command_data_set_type == NO_DATA_SET
    assert response.affected_sop_class_uid == CLASS == sop_class_uid(request_)
    if "affected_sop_instance_uid" in elements_of(type(response)):
        assert response.affected_sop_instance_uid == INSTANCE == sop_instance_uid(request_)
    else:
        assert sop_instance_uid(request_) is None


def test_every_request_has_a_response():
    assert {type(request) for request in REQUESTS} == set(RESPONSES)


def test_response_to_a_request_without_uids():
    request = CStoreRQ(message_id=1, affected_sop_class_uid=None, affected_sop_instance_uid=None)
    assert response_to(request, 0x0120) == CStoreRSP(message_id_being_responded_to=1, status=0x0120)


def test_fields_given_win_over_those_of_the_request():
    request = NCreateRQ(message_id=1, affected_sop_class_uid=CLASS)
    assert response_to(request, 0, affected_sop_instance_uid="1.9").affected_sop_instance_uid == "1.9"


def test_response_to_takes_further_fields():
    response = response_to(REQUESTS[8], 0, action_type_id=1, command_data_set_type=DATA_SET_FOLLOWS)
    assert isinstance(response, NActionRSP)
    assert (response.action_type_id, response.has_data_set) == (1, True)
    assert isinstance(response_to(REQUESTS[6], 0x0107, attribute_identifier_list=(0x00100010,)), NGetRSP)


def test_response_to_refuses_a_field_the_response_does_not_have():
    with pytest.raises(TypeError):
        response_to(REQUESTS[4], 0, number_of_failed_suboperations=1)


def test_response_to_makes_the_error_comment_fit():
    response = response_to(REQUESTS[4], 0x0110, error_comment="é\\" + "x" * 100)
    assert isinstance(response, CEchoRSP)
    assert response.error_comment == "??" + "x" * 62
    assert response_to(REQUESTS[4], 0, error_comment=None).error_comment is None


@pytest.mark.parametrize(
    ("text", "comment"),
    [
        ("", ""),
        ("a plain one~", "a plain one~"),
        ("line\r\nbreak\t\0\x7f", "line??break???"),
        ("Jörg 山田 C:\\x", "J?rg ?? C:?x"),
        ("y" * 64, "y" * 64),
        ("y" * 65, "y" * 64),
    ],
)
def test_error_comment(text, comment):
    assert error_comment(text) == comment


def test_the_module_has_no_message_beside_the_listed():
    concrete = {
        c
        for c in vars(messages).values()
        if isinstance(c, type) and isinstance(vars(c).get("command_field"), CommandField)
    }
    assert concrete == set(MESSAGES)
