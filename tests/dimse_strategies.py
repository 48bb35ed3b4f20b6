"""Hypothesis strategies for DIMSE messages, made from the element tables of `dimse.messages`."""

from typing import get_args, get_type_hints

from hypothesis import strategies as st

from dimse.enums import Priority
from dimse.messages import MESSAGES, CCancelRQ, Message, elements_of

numbers = st.integers(0, 0xFFFF)
uids = st.lists(st.integers(0, 10**18), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
_printable = st.text([chr(c) for c in range(0x20, 0x7F) if chr(c) != "\\"], min_size=1, max_size=16)
texts = _printable.filter(lambda text: text == text.strip())
tag_lists = st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=5).map(tuple)

_VALUES = {
    "US": numbers,
    "UI": uids,
    "AE": texts,
    "LO": texts,
    "AT": tag_lists,
}


def messages_of(message_class: type[Message]) -> st.SearchStrategy[Message]:
    """Complete messages of one class: whatever is mandatory is there."""
    hints = get_type_hints(message_class)
    fields = {}
    for name, element in elements_of(message_class).items():
        values = st.sampled_from(Priority) if name == "priority" else _VALUES[element.vr]
        may_be_none = type(None) in get_args(hints[name]) and element.usage != "M"
        fields[name] = st.none() | values if may_be_none else values
    if message_class is CCancelRQ:
        del fields["command_data_set_type"]
    return st.builds(message_class, **fields)


messages = st.sampled_from(MESSAGES).flatmap(messages_of)
