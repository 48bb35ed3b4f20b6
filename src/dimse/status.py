"""Status codes of responses and the class each belongs to (PS3.7 Annex C; PS3.4 B.2.3, C.4).

Codes 01xxH and 02xxH mean the same in every service. Axxx, Bxxx and Cxxx get their meaning from the service
class, so that one number stands under several names here.
"""

from enum import Enum


class StatusCategory(Enum):
    """Status Class (PS3.7 C.1 to C.5)."""

    SUCCESS = "Success"
    PENDING = "Pending"
    CANCEL = "Cancel"
    WARNING = "Warning"
    FAILURE = "Failure"


SUCCESS = 0x0000
CANCEL = 0xFE00
PENDING = 0xFF00
PENDING_WARNING = 0xFF01  # C-FIND: an optional key was not supported

# Warnings and failures of every service (PS3.7 C.4, C.5)
REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED = 0x0001
NO_SUCH_ATTRIBUTE = 0x0105
INVALID_ATTRIBUTE_VALUE = 0x0106
ATTRIBUTE_LIST_ERROR = 0x0107
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
NO_SUCH_ARGUMENT = 0x0114
INVALID_ARGUMENT_VALUE = 0x0115
ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
INVALID_SOP_INSTANCE = 0x0117
NO_SUCH_SOP_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION = 0x0123
NOT_AUTHORIZED = 0x0124
DUPLICATE_INVOCATION = 0x0210
UNRECOGNIZED_OPERATION = 0x0211
MISTYPED_ARGUMENT = 0x0212
RESOURCE_LIMITATION = 0x0213

# Storage (PS3.4 B.2.3)
OUT_OF_RESOURCES = 0xA700  # also of C-FIND
DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000
COERCION_OF_DATA_ELEMENTS = 0xB000
ELEMENTS_DISCARDED = 0xB006
DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING = 0xB007

# Query and retrieve (PS3.4 C.4.1.1.4, C.4.2.1.5, C.4.3.1.4)
IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS = 0xA900
UNABLE_TO_PROCESS = 0xC000
UNABLE_TO_CALCULATE_NUMBER_OF_MATCHES = 0xA701
UNABLE_TO_PERFORM_SUBOPERATIONS = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
SUBOPERATIONS_COMPLETE_WITH_FAILURES = 0xB000

_WARNINGS = frozenset(
    {REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, ATTRIBUTE_LIST_ERROR, ATTRIBUTE_VALUE_OUT_OF_RANGE}
)

_MEANINGS = {
    PENDING_WARNING: "an optional key was not supported",
    REQUESTED_OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: "requested optional attributes are not supported",
    NO_SUCH_ATTRIBUTE: "no such attribute",
    INVALID_ATTRIBUTE_VALUE: "invalid attribute value",
    ATTRIBUTE_LIST_ERROR: "attribute list error",
    PROCESSING_FAILURE: "processing failure",
    DUPLICATE_SOP_INSTANCE: "duplicate SOP instance",
    NO_SUCH_SOP_INSTANCE: "no such SOP instance",
    NO_SUCH_EVENT_TYPE: "no such event type",
    NO_SUCH_ARGUMENT: "no such argument",
    INVALID_ARGUMENT_VALUE: "invalid argument value",
    ATTRIBUTE_VALUE_OUT_OF_RANGE: "attribute value out of range",
    INVALID_SOP_INSTANCE: "invalid SOP instance",
    NO_SUCH_SOP_CLASS: "no such SOP class",
    CLASS_INSTANCE_CONFLICT: "class-instance conflict",
    MISSING_ATTRIBUTE: "missing attribute",
    MISSING_ATTRIBUTE_VALUE: "missing attribute value",
    SOP_CLASS_NOT_SUPPORTED: "refused: SOP class not supported",
    NO_SUCH_ACTION: "no such action",
    NOT_AUTHORIZED: "refused: not authorized",
    DUPLICATE_INVOCATION: "duplicate invocation",
    UNRECOGNIZED_OPERATION: "unrecognized operation",
    MISTYPED_ARGUMENT: "mistyped argument",
    RESOURCE_LIMITATION: "resource limitation",
    OUT_OF_RESOURCES: "refused: out of resources",
    UNABLE_TO_CALCULATE_NUMBER_OF_MATCHES: "out of resources: unable to calculate number of matches",
    UNABLE_TO_PERFORM_SUBOPERATIONS: "out of resources: unable to perform sub-operations",
    MOVE_DESTINATION_UNKNOWN: "move destination unknown",
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS: "data set or identifier does not match SOP class",
    COERCION_OF_DATA_ELEMENTS: "data elements coerced, or sub-operations complete with failures",
    ELEMENTS_DISCARDED: "elements discarded",
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING: "data set does not match SOP class",
    CANNOT_UNDERSTAND: "cannot understand, or unable to process",
}

_WITHOUT_DETAIL = {  # the codes of which PS3.4 leaves the last digits to the implementation
    0xA700: 0xFF00,
    0xA900: 0xFF00,
    0xC000: 0xF000,
}


def category(status: int) -> StatusCategory:
    """The class of a status by the general rules of PS3.7 Annex C, whatever the service.

    A code outside every range counts as a failure: nothing says that the operation was performed.
    """
    if status == SUCCESS:
        return StatusCategory.SUCCESS
    if is_pending(status):
        return StatusCategory.PENDING
    if status == CANCEL:
        return StatusCategory.CANCEL
    if status & 0xF000 == 0xB000 or status in _WARNINGS:
        return StatusCategory.WARNING
    return StatusCategory.FAILURE


def is_pending(status: int) -> bool:
    """True where further responses follow (PS3.7 C.3)."""
    return status in (PENDING, PENDING_WARNING)


def describe(status: int) -> str:
    """Class, meaning and number of a status for a person, such as `Failure: processing failure (0110H)`."""
    what = category(status).value
    meaning = _MEANINGS.get(status)
    if meaning is None:
        for code, mask in _WITHOUT_DETAIL.items():
            if status & mask == code:
                meaning = _MEANINGS[code]
    return f"{what}: {meaning} ({status:04X}H)" if meaning else f"{what} ({status:04X}H)"
