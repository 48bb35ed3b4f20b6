"""The identifier of a C-GET or C-MOVE request: which instances are wanted (PS3.4 C.4.2.1.4, C.4.3.1.3)."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from dimse.errors import DimseError
from dimse.operation import Operation
from services.query.identifiers import Element, UnreadableIdentifier, read_identifier
from services.query.keys import (
    MODELS,
    PATIENT_ID,
    QUERY_RETRIEVE_LEVEL,
    UNIQUE_KEYS,
    Level,
    Model,
    tag_name,
)
from services.query.requests import IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS, UNABLE_TO_PROCESS, QueryError
from services.query.wildcards import has_wildcards

MODELS_BY_SOP_CLASS: Mapping[str, Model] = {
    sop_class: model for model in MODELS.values() for sop_class in (model.get, model.move)
}
"""By the SOP classes of C-GET and C-MOVE."""

_UID_CHARACTERS = frozenset("0123456789.")
_LONGEST_UID = 64


class Selection(Struct, frozen=True):
    """What is to be retrieved.

    Attributes:
        level: of what the unique keys name.
        unique_keys: their values by tag, at least one each; several at the level only.
    """

    level: Level
    unique_keys: Mapping[int, Sequence[str]]


def negotiate_retrieve(sop_class_uid: str, information: bytes) -> bytes | None:
    """Answer the Service Class Application Information that a requestor proposes for C-GET or C-MOVE.

    The first byte asks for relational retrieval, which is agreed to; the second for enhanced multi-frame conversion,
    which is not (PS3.4 C.5.2.1, C.5.3.1).

    Returns:
        As many bytes as were proposed; None for another SOP class.
    """
    if sop_class_uid not in MODELS_BY_SOP_CLASS:
        return None
    return bytes([information[0] == 1, *bytes(len(information) - 1)]) if information else b""


def selection_of(operation: Operation) -> Selection:
    """Read the identifier of a C-GET or C-MOVE.

    Raises:
        DimseError: A900H, it does not fit the SOP class; C000H, it cannot be read.
    """
    context = operation.context
    agreed = operation.association.negotiated.extended.get(context.abstract_syntax, b"")
    try:
        return read_selection(
            operation.data_set,
            context.transfer_syntax,
            MODELS_BY_SOP_CLASS[context.abstract_syntax],
            relational=agreed[:1] == b"\1",
        )
    except QueryError as error:
        raise DimseError(error.status, error.comment, offending_elements=error.offending) from error


def read_selection(data: bytes, transfer_syntax: str, model: Model, *, relational: bool = False) -> Selection:
    """Read an identifier. What it holds beside the unique keys says nothing here and is passed over.

    Args:
        data: encoded.
        transfer_syntax: one of the uncompressed ones.
        model: of the SOP class.
        relational: the levels above need not be named (PS3.4 C.4.2.2.2, C.4.3.2.2).

    Raises:
        QueryError: it cannot be read; or a unique key is missing, empty, or has a value that names nothing.
    """
    try:
        elements = {element.tag: element for element in read_identifier(data, transfer_syntax)}
    except UnreadableIdentifier as error:
        raise QueryError(UNABLE_TO_PROCESS, f"the identifier cannot be read: {error}") from error
    level = _level(elements, model)
    keys: dict[int, tuple[str, ...]] = {}
    for each in (*model.above(level), level):
        tag = UNIQUE_KEYS[each]
        if each is not level and relational and not _text(elements.get(tag)):
            continue
        keys[tag] = _values(tag, elements.get(tag), several=each is level)
    return Selection(level, keys)


def _level(elements: Mapping[int, Element], model: Model) -> Level:
    text = _text(elements.get(QUERY_RETRIEVE_LEVEL))
    names = [level.value for level in model.levels]
    if text not in names:
        what = f"Query/Retrieve Level {text[:16]!r}" if text else "no Query/Retrieve Level"
        raise _refused(QUERY_RETRIEVE_LEVEL, f"{what}: it is one of {', '.join(names)}")
    return Level(text)


def _values(tag: int, element: Element | None, *, several: bool) -> tuple[str, ...]:
    text = _text(element)
    if not text:
        raise _refused(tag, f"{tag_name(tag)} is needed")
    values = tuple(dict.fromkeys(value.strip(" \0") for value in text.split("\\")))
    if len(values) > 1 and not several:
        raise _refused(tag, f"{tag_name(tag)}: one value is allowed above the level")
    for value in values:
        is_good = not has_wildcards(value) if tag == PATIENT_ID else _is_uid(value)
        if not value or not is_good:
            raise _refused(tag, f"{tag_name(tag)}: each value has to name one")
    return values


def _is_uid(text: str) -> bool:
    return len(text) <= _LONGEST_UID and _UID_CHARACTERS.issuperset(text)


def _text(element: Element | None) -> str:
    return element.text.strip(" \0") if element is not None else ""


def _refused(tag: int, comment: str) -> QueryError:
    return QueryError(IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS, comment, (tag,))
