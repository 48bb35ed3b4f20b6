"""The numbers are those of PS3.7 Annex E."""

import pytest
from pynetdicom.dimse_messages import _MESSAGE_TYPES

from dimse.enums import RESPONSE_BIT, CommandField


def test_every_message_is_there():
    assert {int(field) for field in CommandField} == set(_MESSAGE_TYPES)


@pytest.mark.parametrize("field", CommandField)
def test_label_is_the_name_in_the_standard(field):
    assert field.label == _MESSAGE_TYPES[field][0]


@pytest.mark.parametrize("field", [f for f in CommandField if f.name.endswith("_RSP")])
def test_a_response_is_its_request_with_the_response_bit(field):
    assert CommandField(field & ~RESPONSE_BIT).name == field.name.replace("_RSP", "_RQ")
