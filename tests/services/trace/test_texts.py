"""The table of explanations."""

import re

import pytest

from dimse.messages import MESSAGES, elements_of
from dul.enums import ItemType, PDUType
from services.trace import texts
from services.trace.texts import (
    ITEM_NAMES,
    PDU_CLAUSES,
    PDU_NAMES,
    Text,
    text_of,
    text_of_command_element,
    text_of_item,
)


def test_every_pdu_and_item_has_a_name_and_a_text() -> None:
    assert PDU_NAMES.keys() == PDU_CLAUSES.keys() == set(PDUType)
    assert ITEM_NAMES.keys() == set(ItemType)
    for kind in ItemType:
        assert text_of_item(kind) != text_of_item(0x7F)
    assert text_of_item(0x7F).clause == "PS3.8 9.3.1"


def test_every_command_element_of_a_message_has_a_text() -> None:
    unknown = text_of_command_element(0x7777)
    for message in MESSAGES:
        for element in elements_of(message).values():
            assert text_of_command_element(element.tag) != unknown, f"{element.tag:04X}"


def test_what_a_name_means_depends_on_where_it_stands() -> None:
    assert text_of("Source").clause == "PS3.8 9.3.4"
    assert text_of("Source", 3).clause == "PS3.8 9.3.4"
    assert text_of("Source", 7).clause == "PS3.8 9.3.8"
    assert text_of("SOP-class-UID", 0x56).clause == "PS3.7 D.3.3.5"
    assert text_of("no such field", 7) == Text("", "")


def all_texts() -> list[Text]:
    tables = (texts._FIELDS, texts._FIELDS_OF, texts._ITEMS)
    return [text for table in tables for text in table.values()]


@pytest.mark.parametrize("text", all_texts())
def test_every_text_is_a_sentence_or_two(text: Text) -> None:
    assert re.fullmatch(r"PS3\.[578] [A-F0-9.]+", text.clause)
    assert text.explanation[0].isupper() or text.explanation[0].isdigit()
    assert text.explanation.endswith(".")
    assert len(text.explanation) < 260
