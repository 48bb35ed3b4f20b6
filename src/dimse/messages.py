"""The command sets of the DIMSE messages as values (PS3.7 9.3, 10.3, Annex E).

A class is a message, a field is an element; each field carries tag, VR and usage of its element, so that
a class reads like its table in the standard. Fields are named by the keywords of Annex E. Whether what
stands in them is sound is not judged here: what a peer left out or left empty is None, even where
the standard requires it, and the service that performs the request answers that. Knows no bytes.
"""

from typing import Annotated, Any, ClassVar, TypeAlias, get_type_hints

from msgspec import Struct

from dimse.enums import DATA_SET_FOLLOWS, NO_DATA_SET, CommandField, Priority

M, C, U = "M", "C", "U"
"""Usage of an element: mandatory, conditional, user option (PS3.7 9.1, 10.1)."""

MAXIMUM_ERROR_COMMENT = 64
"""Characters of an Error Comment (VR LO, PS3.5 6.2)."""


class Element(Struct, frozen=True, gc=False):
    """A command element: element number in group 0000, VR, usage."""

    tag: int
    vr: str
    usage: str


class _CommandSet(Struct, frozen=True, gc=False, kw_only=True):
    """What every command set has; its class says the Command Field (0000,0100)."""

    is_response: ClassVar[bool] = False

    command_data_set_type: Annotated[int, Element(0x0800, "US", M)] = NO_DATA_SET

    @property
    def has_data_set(self) -> bool:
        """True where a data set follows: any Command Data Set Type but 0101H says so."""
        return self.command_data_set_type != NO_DATA_SET


class Request(_CommandSet, frozen=True, kw_only=True):
    """Base of the requests that are answered."""

    command_field: ClassVar[CommandField]

    message_id: Annotated[int, Element(0x0110, "US", M)]


class Response(_CommandSet, frozen=True, kw_only=True):
    """Base of the responses; beside the status, what Annex C lets come with it."""

    command_field: ClassVar[CommandField]
    is_response: ClassVar[bool] = True

    affected_sop_class_uid: Annotated[str | None, Element(0x0002, "UI", U)] = None
    message_id_being_responded_to: Annotated[int, Element(0x0120, "US", M)]
    status: Annotated[int, Element(0x0900, "US", M)]
    offending_element: Annotated[tuple[int, ...] | None, Element(0x0901, "AT", C)] = None
    error_comment: Annotated[str | None, Element(0x0902, "LO", C)] = None
    error_id: Annotated[int | None, Element(0x0903, "US", C)] = None


# -- DIMSE-C


class CStoreRQ(Request, frozen=True, kw_only=True):
    """C-STORE-RQ (PS3.7 9.3.1.1)."""

    command_field = CommandField.C_STORE_RQ

    affected_sop_class_uid: Annotated[str | None, Element(0x0002, "UI", M)]
    priority: Annotated[Priority, Element(0x0700, "US", M)] = Priority.MEDIUM
    command_data_set_type: Annotated[int, Element(0x0800, "US", M)] = DATA_SET_FOLLOWS
    affected_sop_instance_uid: Annotated[str | None, Element(0x1000, "UI", M)]
    move_originator_application_entity_title: Annotated[str | None, Element(0x1030, "AE", U)] = None
    move_originator_message_id: Annotated[int | None, Element(0x1031, "US", U)] = None


class CStoreRSP(Response, frozen=True, kw_only=True):
    """C-STORE-RSP (PS3.7 9.3.1.2)."""

    command_field = CommandField.C_STORE_RSP

    affected_sop_instance_uid: Annotated[str | None, Element(0x1000, "UI", U)] = None


class CFindRQ(Request, frozen=True, kw_only=True):
    """C-FIND-RQ (PS3.7 9.3.2.1)."""

    command_field = CommandField.C_FIND_RQ

    affected_sop_class_uid: Annotated[str | None, Element(0x0002, "UI", M)]
    priority: Annotated[Priority, Element(0x0700, "US", M)] = Priority.MEDIUM
    command_data_set_type: Annotated[int, Element(0x0800, "US", M)] = DATA_SET_FOLLOWS


class CFindRSP(Response, frozen=True, kw_only=True):
    """C-FIND-RSP (PS3.7 9.3.2.2); its data set, while pending, is the Identifier."""

    command_field = CommandField.C_FIND_RSP


class SubOperationsRSP(Response, frozen=True, kw_only=True):
    """What C-GET-RSP and C-MOVE-RSP tell of their C-STORE sub-operations."""

    number_of_remaining_suboperations: Annotated[int | None, Element(0x1020, "US", C)] = None
    number_of_completed_suboperations: Annotated[int | None, Element(0x1021, "US", C)] = None
    number_of_failed_suboperations: Annotated[int | None, Element(0x1022, "US", C)] = None
    number_of_warning_suboperations: Annotated[int | None, Element(0x1023, "US", C)] = None


class CGetRQ(Request, frozen=True, kw_only=True):
    """C-GET-RQ (PS3.7 9.3.3.1)."""

    command_field = CommandField.C_GET_RQ

    affected_sop_class_uid: Annotated[str | None, Element(0x0002, "UI", M)]
    priority: Annotated[Priority, Element(0x0700, "US", M)] = Priority.MEDIUM
    command_data_set_type: Annotated[int, Element(0x0800, "US", M)] = DATA_SET_FOLLOWS


class CGetRSP(SubOperationsRSP, frozen=True, kw_only=True):
    """C-GET-RSP (PS3.7 9.3.3.2)."""

    command_field = CommandField.C_GET_RSP


class CMoveRQ(Request, frozen=True, kw_only=True):
    """C-MOVE-RQ (PS3.7 9.3.4.1)."""

    command_field = CommandField.C_MOVE_RQ

    affected_sop_class_uid: Annotated[str | None, Element(0x0002, "UI", M)]
    move_destination: Annotated[str | None, Element(0x0600, "AE", M)]
    priority: Annotated[Priority, Element(0x0700, "US", M)] = Priority.MEDIUM
    command_data_set_type: Annotated[int, Element(0x0800, "US", M)] = DATA_SET_FOLLOWS


class CMoveRSP(SubOperationsRSP, frozen=True, kw_only=True):
    """C-MOVE-RSP (PS3.7 9.3.4.2)."""

    command_field = CommandField.C_MOVE_RSP


class CEchoRQ(Request, frozen=True, kw_only=True):
    """C-ECHO-RQ (PS3.7 9.3.5.1)."""

    command_field = CommandField.C_ECHO_RQ

    affected_sop_class_uid: Annotated[str | None, Element(0x0002, "UI", M)]


class CEchoRSP(Response, frozen=True, kw_only=True):
    """C-ECHO-RSP (PS3.7 9.3.5.2)."""

    command_field = CommandField.C_ECHO_RSP


class CCancelRQ(_CommandSet, frozen=True, kw_only=True):
    """C-CANCEL-RQ (PS3.7 9.3.2.3, 9.3.3.3, 9.3.4.3): no Message ID, no data set, never answered itself."""

    command_field: ClassVar[CommandField] = CommandField.C_CANCEL_RQ

    message_id_being_responded_to: Annotated[int, Element(0x0120, "US", M)]


# -- DIMSE-N


class NResponse(Response, frozen=True, kw_only=True):
    """What the DIMSE-N responses have in common (PS3.7 10.3, Annex C)."""

    affected_sop_instance_uid: Annotated[str | None, Element(0x1000, "UI", U)] = None
    attribute_identifier_list: Annotated[tuple[int, ...] | None, Element(0x1005, "AT", C)] = None


class NEventReportRQ(Request, frozen=True, kw_only=True):
    """N-EVENT-REPORT-RQ (PS3.7 10.3.1.1); its data set, if any, is the Event Information."""

    command_field = CommandField.N_EVENT_REPORT_RQ

    affected_sop_class_uid: Annotated[str | None, Element(0x0002, "UI", M)]
    affected_sop_instance_uid: Annotated[str | None, Element(0x1000, "UI", M)]
    event_type_id: Annotated[int | None, Element(0x1002, "US", M)]


class NEventReportRSP(NResponse, frozen=True, kw_only=True):
    """N-EVENT-REPORT-RSP (PS3.7 10.3.1.2)."""

    command_field = CommandField.N_EVENT_REPORT_RSP

    event_type_id: Annotated[int | None, Element(0x1002, "US", C)] = None


class NGetRQ(Request, frozen=True, kw_only=True):
    """N-GET-RQ (PS3.7 10.3.2.1)."""

    command_field = CommandField.N_GET_RQ

    requested_sop_class_uid: Annotated[str | None, Element(0x0003, "UI", M)]
    requested_sop_instance_uid: Annotated[str | None, Element(0x1001, "UI", M)]
    attribute_identifier_list: Annotated[tuple[int, ...] | None, Element(0x1005, "AT", U)] = None


class NGetRSP(NResponse, frozen=True, kw_only=True):
    """N-GET-RSP (PS3.7 10.3.2.2)."""

    command_field = CommandField.N_GET_RSP


class NSetRQ(Request, frozen=True, kw_only=True):
    """N-SET-RQ (PS3.7 10.3.3.1); its data set is the Modification List."""

    command_field = CommandField.N_SET_RQ

    requested_sop_class_uid: Annotated[str | None, Element(0x0003, "UI", M)]
    command_data_set_type: Annotated[int, Element(0x0800, "US", M)] = DATA_SET_FOLLOWS
    requested_sop_instance_uid: Annotated[str | None, Element(0x1001, "UI", M)]


class NSetRSP(NResponse, frozen=True, kw_only=True):
    """N-SET-RSP (PS3.7 10.3.3.2)."""

    command_field = CommandField.N_SET_RSP


class NActionRQ(Request, frozen=True, kw_only=True):
    """N-ACTION-RQ (PS3.7 10.3.4.1); its data set, if any, is the Action Information."""

    command_field = CommandField.N_ACTION_RQ

    requested_sop_class_uid: Annotated[str | None, Element(0x0003, "UI", M)]
    requested_sop_instance_uid: Annotated[str | None, Element(0x1001, "UI", M)]
    action_type_id: Annotated[int | None, Element(0x1008, "US", M)]


class NActionRSP(NResponse, frozen=True, kw_only=True):
    """N-ACTION-RSP (PS3.7 10.3.4.2)."""

    command_field = CommandField.N_ACTION_RSP

    action_type_id: Annotated[int | None, Element(0x1008, "US", C)] = None


class NCreateRQ(Request, frozen=True, kw_only=True):
    """N-CREATE-RQ (PS3.7 10.3.5.1); its data set, if any, is the Attribute List."""

    command_field = CommandField.N_CREATE_RQ

    affected_sop_class_uid: Annotated[str | None, Element(0x0002, "UI", M)]
    affected_sop_instance_uid: Annotated[str | None, Element(0x1000, "UI", U)] = None


class NCreateRSP(NResponse, frozen=True, kw_only=True):
    """N-CREATE-RSP (PS3.7 10.3.5.2)."""

    command_field = CommandField.N_CREATE_RSP


class NDeleteRQ(Request, frozen=True, kw_only=True):
    """N-DELETE-RQ (PS3.7 10.3.6.1)."""

    command_field = CommandField.N_DELETE_RQ

    requested_sop_class_uid: Annotated[str | None, Element(0x0003, "UI", M)]
    requested_sop_instance_uid: Annotated[str | None, Element(0x1001, "UI", M)]


class NDeleteRSP(NResponse, frozen=True, kw_only=True):
    """N-DELETE-RSP (PS3.7 10.3.6.2)."""

    command_field = CommandField.N_DELETE_RSP


class RefusalRSP(_CommandSet, frozen=True, kw_only=True):
    """Answers a request whose command set could not be read; only ever sent.

    Its Command Field is that of the request with the response bit, whether the standard knows it or not.
    """

    is_response: ClassVar[bool] = True

    command_field: Annotated[int, Element(0x0100, "US", M)]
    message_id_being_responded_to: Annotated[int, Element(0x0120, "US", M)]
    status: Annotated[int, Element(0x0900, "US", M)]
    error_comment: Annotated[str | None, Element(0x0902, "LO", C)] = None


Message: TypeAlias = Request | Response | CCancelRQ | RefusalRSP

RESPONSES: dict[type[Request], type[Response]] = {
    CStoreRQ: CStoreRSP,
    CFindRQ: CFindRSP,
    CGetRQ: CGetRSP,
    CMoveRQ: CMoveRSP,
    CEchoRQ: CEchoRSP,
    NEventReportRQ: NEventReportRSP,
    NGetRQ: NGetRSP,
    NSetRQ: NSetRSP,
    NActionRQ: NActionRSP,
    NCreateRQ: NCreateRSP,
    NDeleteRQ: NDeleteRSP,
}
"""The response of each request."""

MESSAGES: tuple[type[Request] | type[Response] | type[CCancelRQ], ...] = (
    *RESPONSES.keys(),
    *RESPONSES.values(),
    CCancelRQ,
)
"""Every message that can be received."""

_HAS_INSTANCE = frozenset({CStoreRSP, *(rsp for rsp in RESPONSES.values() if issubclass(rsp, NResponse))})


def elements_of(message_class: type[Message]) -> dict[str, Element]:
    """The elements of a message by field, in the ascending order of their tags.

    (0000,0000) and, where the class itself says it, (0000,0100) are no fields and not among them.
    """
    hints = get_type_hints(message_class, include_extras=True)
    found = [
        (name, element)
        for name, hint in hints.items()
        for element in getattr(hint, "__metadata__", ())
        if isinstance(element, Element)
    ]
    return dict(sorted(found, key=lambda item: item[1].tag))


def response_to(request: Request, status: int, **fields: Any) -> Response:
    """The response to a request: Message ID and SOP Class and Instance UIDs are those of the request.

    Args:
        request: what is answered.
        status: 0000H to FFFFH.
        fields: further fields of the response; they win over what was taken from the request. An
            `error_comment` is made fit with `error_comment`.

    Raises:
        TypeError: the response has no such field.
    """
    response_class = RESPONSES[type(request)]
    echoed: dict[str, Any] = {"affected_sop_class_uid": sop_class_uid(request)}
    if response_class in _HAS_INSTANCE:
        echoed["affected_sop_instance_uid"] = sop_instance_uid(request)
    if comment := fields.get("error_comment"):
        fields["error_comment"] = error_comment(comment)
    return response_class(
        message_id_being_responded_to=request.message_id, status=status, **(echoed | fields)
    )


def sop_class_uid(request: Request) -> str | None:
    """Affected or Requested SOP Class UID of a request; None where the peer left it out."""
    uid: str | None = getattr(request, "affected_sop_class_uid", None)
    return uid or getattr(request, "requested_sop_class_uid", None)


def sop_instance_uid(request: Request) -> str | None:
    """Affected or Requested SOP Instance UID of a request; None where it has none."""
    uid: str | None = getattr(request, "affected_sop_instance_uid", None)
    return uid or getattr(request, "requested_sop_instance_uid", None)


def error_comment(text: str) -> str:
    """A text fit for an Error Comment: printable ASCII without backslash, at most 64 characters."""
    return "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in text[:MAXIMUM_ERROR_COMMENT])
