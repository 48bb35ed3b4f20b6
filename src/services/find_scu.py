"""Query, SCU (PS3.4 C.4.1; PS3.7 9.1.2): ask a peer what it has.

contexts = [find_context("study")]
async with associate(host, port, ..., contexts=contexts) as association:
    async with aclosing(find(association, keys, level="STUDY")) as answers:
        async for answer in answers:
            ...
"""

import warnings
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from io import BytesIO
from types import MappingProxyType
from typing import Literal, TypeAlias

from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from dimse import status
from dimse.association import Association
from dimse.enums import Priority
from dimse.errors import DimseError
from dimse.messages import CFindRQ, Response
from dul.negotiation import ProposedContext
from dul.pdus import SOPClassExtendedNegotiationSubItem
from services.query.keys import PATIENT_ROOT, STUDY_ROOT, Model
from services.query.options import Options, negotiate
from services.sop_classes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

ModelName: TypeAlias = Literal["study", "patient"]

MODELS_BY_NAME: Mapping[ModelName, Model] = MappingProxyType({"study": STUDY_ROOT, "patient": PATIENT_ROOT})
"""The information models a query can be about."""


class FindFailed(DimseError):
    """The peer ended a C-FIND with a status that is no success; attributes as of `DimseError`."""


class InvalidAnswer(Exception):
    """The peer said that it found something, and what it sent with that cannot be read."""


def find_context(model: ModelName = "study") -> ProposedContext:
    """What an SCU proposes for C-FIND in an information model (PS3.4 C.6)."""
    return ProposedContext(MODELS_BY_NAME[model].find, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))


def find_extended(
    model: ModelName = "study",
    *,
    relational: bool = False,
    combined_date_time: bool = False,
    fuzzy: bool = False,
) -> tuple[SOPClassExtendedNegotiationSubItem, ...]:
    """The extended negotiation to propose (PS3.4 C.5.1.1); none where nothing is asked for.

    Args:
        model: whose SOP class it is for.
        relational: unique keys above the level may be missing.
        combined_date_time: a range of dates and one of times are one range of moments.
        fuzzy: names also match by how they sound.
    """
    information = bytes([relational, combined_date_time, fuzzy]).rstrip(b"\0")
    if not information:
        return ()
    return (SOPClassExtendedNegotiationSubItem(MODELS_BY_NAME[model].find, information),)


def agreed_options(association: Association, model: ModelName = "study") -> Options:
    """What the peer agreed to of `find_extended`; nothing where it did not answer (PS3.7 D.3.3.5)."""
    answered = association.negotiated.extended.get(MODELS_BY_NAME[model].find, b"")
    return negotiate(answered)[1]


async def find(
    association: Association,
    identifier: Dataset | bytes,
    *,
    model: ModelName = "study",
    level: str | None = None,
    timeout: float = 60.0,
    cancel_timeout: float = 10.0,
    priority: Priority = Priority.MEDIUM,
    on_response: Callable[[Response], None] | None = None,
) -> AsyncGenerator[Dataset, None]:
    """Invoke one C-FIND; yields each match as it comes, and holds the peer back while nobody asks for the next.

    Closed early (`contextlib.aclosing`) or cancelled, it sends a C-CANCEL and reads on until the final response, so
    that the association can be used again; where that does not come, it aborts the association.

    Args:
        association: with an accepted context for the model, see `find_context`.
        identifier: the keys; bytes are sent as they are and must be in the context's transfer syntax.
        model: the information model.
        level: Query/Retrieve Level to put into the identifier: PATIENT, STUDY, SERIES or IMAGE. None: it is there.
        timeout: seconds to wait for each response.
        cancel_timeout: seconds to wait for the final response after a C-CANCEL.
        priority: a wish, which most peers pass over.
        on_response: told each response; FF01H says that a key of the request is not supported for matching.

    Yields:
        The identifier of each pending response, decoded by its Specific Character Set (PS3.4 C.4.1.1.3.2).

    Raises:
        DimseError: the peer accepted no context for the model.
        FindFailed: the peer ended the query with a failure, or cancelled it unasked.
        InvalidAnswer: a match cannot be read.
        TimeoutError, AssociationEnded: see `Association.invoke_many`.
        ValueError: `level` was given for an identifier in bytes, or the identifier cannot be encoded.
    """
    sop_class = MODELS_BY_NAME[model].find
    context = association.context_for(sop_class)
    syntax = context.transfer_syntax
    replies = association.invoke_many(
        lambda message_id: CFindRQ(
            message_id=message_id, affected_sop_class_uid=sop_class, priority=priority
        ),
        context,
        _request(identifier, level, syntax),
        timeout=timeout,
        cancel_timeout=cancel_timeout,
    )
    async with aclosing(replies):
        async for response, data_set in replies:
            if on_response is not None:
                on_response(response)
            if not status.is_pending(response.status):
                _check_final(response)
                return
            yield _answer(data_set, syntax)


def encode_identifier(identifier: Dataset, transfer_syntax: str) -> bytes:
    """The bytes of an identifier.

    Raises:
        ValueError: a value cannot be encoded.
    """
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    buffer.is_little_endian = transfer_syntax != EXPLICIT_VR_BIG_ENDIAN
    try:
        write_dataset(buffer, identifier)
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"the identifier cannot be encoded: {error}") from error
    return buffer.getvalue()


def decode_identifier(data_set: bytes, transfer_syntax: str) -> Dataset:
    """An identifier from its bytes, each value decoded; a value that is not of its VR is kept as UN.

    Raises:
        InvalidAnswer: the bytes are no data set.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that are not quite right
        try:
            decoded = read_dataset(
                BytesIO(data_set),
                is_implicit_VR=transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN,
                is_little_endian=transfer_syntax != EXPLICIT_VR_BIG_ENDIAN,
            )
        except Exception as error:  # pydicom raises nearly anything over hostile bytes
            raise InvalidAnswer(f"a match of {len(data_set)} bytes is no data set: {error}") from error
        if not decoded and data_set:
            raise InvalidAnswer(f"a match of {len(data_set)} bytes is no data set")
        _decode_values(decoded)
    return decoded


def _decode_values(data_set: Dataset) -> None:
    """Have pydicom decode each value now: it would do so, and fail, when the value is looked at."""
    for tag in list(data_set.keys()):
        raw = data_set.get_item(tag)
        try:
            element = data_set[tag]
        except Exception:  # as above
            value = raw.value if isinstance(raw, RawDataElement) else b""
            data_set[tag] = DataElement(tag, "UN", value or b"")
            continue
        if element.VR == "SQ":
            for item in element.value:
                _decode_values(item)


def _request(identifier: Dataset | bytes, level: str | None, transfer_syntax: str) -> bytes:
    if isinstance(identifier, bytes):
        if level is not None:
            raise ValueError("level: an identifier in bytes has its Query/Retrieve Level already")
        return identifier
    if level is not None:
        identifier = Dataset(identifier)
        identifier.QueryRetrieveLevel = level
    return encode_identifier(identifier, transfer_syntax)


def _answer(data_set: bytes | None, transfer_syntax: str) -> Dataset:
    if data_set is None:
        raise InvalidAnswer("a pending response without an identifier (PS3.7 9.3.2.2)")
    return decode_identifier(data_set, transfer_syntax)


def _check_final(response: Response) -> None:
    """Success, and a warning, are fine."""
    code = response.status
    if status.category(code) in (status.StatusCategory.SUCCESS, status.StatusCategory.WARNING):
        return
    raise FindFailed(
        code, response.error_comment or "", offending_elements=tuple(response.offending_element or ())
    )
