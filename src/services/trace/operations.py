"""Which operations are under way on a traced association, and what of DIMSE a message breaks (PS3.7 9, 10).

Judges messages by those before them: a response needs its request, a request its context, its role and its place
in the window. Knows nothing of states: whether a P-DATA-TF may be sent at all is `services.trace.inference`'s.
"""

from collections.abc import Iterator

from msgspec import Struct

from dimse.enums import RESPONSE_BIT, CommandField
from dimse.messages import (
    CCancelRQ,
    CFindRQ,
    CGetRQ,
    CMoveRQ,
    Message,
    NEventReportRQ,
    Request,
    Response,
    sop_class_uid,
    sop_instance_uid,
)
from dimse.status import StatusCategory, category
from services.printable import printable
from services.trace.agreement import Agreement
from services.trace.fields import Side
from services.trace.names import uid_name
from services.trace.reading import ReadMessage

_CLAUSES = {
    CommandField.C_STORE_RQ: "PS3.7 9.3.1",
    CommandField.C_FIND_RQ: "PS3.7 9.3.2",
    CommandField.C_GET_RQ: "PS3.7 9.3.3",
    CommandField.C_MOVE_RQ: "PS3.7 9.3.4",
    CommandField.C_ECHO_RQ: "PS3.7 9.3.5",
    CommandField.N_EVENT_REPORT_RQ: "PS3.7 10.3.1",
    CommandField.N_GET_RQ: "PS3.7 10.3.2",
    CommandField.N_SET_RQ: "PS3.7 10.3.3",
    CommandField.N_ACTION_RQ: "PS3.7 10.3.4",
    CommandField.N_CREATE_RQ: "PS3.7 10.3.5",
    CommandField.N_DELETE_RQ: "PS3.7 10.3.6",
}

_WITH_DATA_SET = {
    CommandField.C_STORE_RQ: True,
    CommandField.C_FIND_RQ: True,
    CommandField.C_GET_RQ: True,
    CommandField.C_MOVE_RQ: True,
    CommandField.C_ECHO_RQ: False,
    CommandField.N_GET_RQ: False,
    CommandField.N_SET_RQ: True,
    CommandField.N_DELETE_RQ: False,
    CommandField.C_STORE_RSP: False,
    CommandField.C_ECHO_RSP: False,
    CommandField.N_DELETE_RSP: False,
}
"""Whether a data set must follow, or must not; what is not here may have one."""

_C_SERVICES = frozenset(field for field in _CLAUSES if field < CommandField.N_EVENT_REPORT_RQ)
_ANSWERED_IN_PARTS = (CFindRQ, CGetRQ, CMoveRQ)


class _Outstanding(Struct):
    """A request, and the context it came on."""

    request: Request
    context_id: int


class Operations:
    """The operations of both sides.

    Attributes:
        agreement: what was negotiated; None where that was not seen, and then nothing that depends on it is judged.
    """

    def __init__(self) -> None:
        self.agreement: Agreement | None = None
        self._outstanding: dict[Side, dict[int, _Outstanding]] = {side: {} for side in Side}
        self._answered_early: dict[Side, int | None] = dict.fromkeys(Side)

    def outstanding(self, side: Side) -> list[str]:
        """What this side invoked and the other has not answered in full, such as "C-FIND-RQ 3"."""
        return [
            f"{each.request.command_field.label} {message_id}"
            for message_id, each in self._outstanding[side].items()
        ]

    def message(self, sender: Side, read: ReadMessage, begun: Message | None) -> tuple[list[str], list[str]]:
        """Take a message.

        Args:
            sender: who sent it.
            read: the message.
            begun: one of the other side whose data set is still on its way: it can be answered already.

        Returns:
            What is forbidden about it, and what is good to know.
        """
        message = read.message
        if message is None:
            return [f"a message that cannot be read: {printable(read.error)} (PS3.7 6.3.1)"], []
        problems: list[str] = []
        notes: list[str] = []
        if read.error:
            problems.append(printable(read.error))
        if isinstance(message, Request):
            problems += self._request(sender, message, read)
        elif isinstance(message, Response):
            notes += self._elsewhere(sender, message, read.context_id)
            problems += self._response(sender, message, read, begun)
        elif isinstance(message, CCancelRQ):
            notes += self._cancel(sender, message)
        return problems, notes

    # -- requests

    def _request(self, sender: Side, request: Request, read: ReadMessage) -> Iterator[str]:
        field = request.command_field
        clause = _CLAUSES[field]
        label = f"{field.label} {request.message_id}"
        mine = self._outstanding[sender]
        if request.message_id in mine:
            before = mine[request.message_id].request.command_field.label
            yield f"{label}: its Message ID is that of a {before} still outstanding ({clause}.1)"
        yield from _data_set_of_request(label, request, read, clause)
        yield from self._context(sender, label, request, read.context_id)
        early, self._answered_early[sender] = self._answered_early[sender], None
        if early == request.message_id:
            return
        mine[request.message_id] = _Outstanding(request, read.context_id)
        if self.agreement is not None:
            most = self.agreement.window[sender]
            if most and len(mine) > most:
                yield (
                    f"{label}: {len(mine)} operations outstanding where the window is {most} "
                    f"({'none was negotiated; ' if most == 1 else ''}PS3.7 D.3.3.3)"
                )

    def _context(self, sender: Side, label: str, request: Request, context_id: int) -> Iterator[str]:
        context = self.agreement.contexts.get(context_id) if self.agreement is not None else None
        if self.agreement is None or context is None or not context.abstract_syntax:
            return
        abstract_syntax = context.abstract_syntax
        sop_class = sop_class_uid(request)
        if sop_class and sop_class != abstract_syntax and not _covers(abstract_syntax, request):
            yield (
                f"{label}: SOP Class {printable(sop_class)} on context {context_id} of "
                f"{printable(abstract_syntax)} ({_CLAUSES[request.command_field]}.1, D.1)"
            )
        # Operations are invoked by the SCU, notifications by the SCP.
        scu = sender.peer if isinstance(request, NEventReportRQ) else sender
        if not self.agreement.may_be_scu(scu, abstract_syntax):
            role = "SCP" if isinstance(request, NEventReportRQ) else "SCU"
            yield f"{label}: the {sender.value} is not {role} of {printable(abstract_syntax)} (PS3.7 D.3.3.4)"

    # -- responses

    def _response(
        self, sender: Side, response: Response, read: ReadMessage, begun: Message | None
    ) -> Iterator[str]:
        field = response.command_field
        message_id = response.message_id_being_responded_to
        label = f"{field.label} {message_id}"
        yield from _data_set_of_response(label, response, read)
        answered = self._outstanding[sender.peer].get(message_id)
        if answered is not None:
            request = answered.request
        elif isinstance(begun, Request) and begun.message_id == message_id:
            request = begun
        else:
            if self.agreement is not None:
                yield f"{label} answers no request: none with that Message ID is outstanding (PS3.7 9.1, 10.1)"
            return
        if field != request.command_field | RESPONSE_BIT:
            yield f"{label} answers a {request.command_field.label} (PS3.7 9.1, 10.1)"
        clause = f"{_CLAUSES[request.command_field]}.2"
        yield from _echoed(label, request, response, clause)
        is_last = category(response.status) is not StatusCategory.PENDING
        if not is_last and not isinstance(request, _ANSWERED_IN_PARTS):
            yield f"{label}: pending, which only C-FIND, C-GET and C-MOVE have ({clause})"
        if is_last and answered is not None:
            del self._outstanding[sender.peer][message_id]
        elif is_last:
            self._answered_early[sender.peer] = message_id  # a failure may come before the data set has ended

    def _elsewhere(self, sender: Side, response: Response, context_id: int) -> Iterator[str]:
        """Everybody answers on the context of the request; the standard takes it for granted and does not say it."""
        message_id = response.message_id_being_responded_to
        asked = self._outstanding[sender.peer].get(message_id)
        if asked is not None and asked.context_id != context_id:
            label = f"{response.command_field.label} {message_id}"
            yield f"{label} on context {context_id}: its request came on {asked.context_id}"

    def _cancel(self, sender: Side, cancel: CCancelRQ) -> Iterator[str]:
        message_id = cancel.message_id_being_responded_to
        found = self._outstanding[sender].get(message_id)
        if found is None:
            yield f"C-CANCEL-RQ {message_id} finds no such operation under way: it came too late, and is ignored"
        elif not isinstance(found.request, _ANSWERED_IN_PARTS):
            yield f"C-CANCEL-RQ {message_id}: a {found.request.command_field.label} cannot be cancelled"


def _covers(abstract_syntax: str, request: Request) -> bool:
    """Whether a context may carry a request of another SOP class than its own."""
    if request.command_field in _C_SERVICES:
        return False
    # A Meta SOP Class stands for a group (PS3.4 H.3.2); the UPS classes work on one instance (PS3.4 CC.3.1).
    return "Meta SOP Class" in uid_name(abstract_syntax) or abstract_syntax.startswith(
        "1.2.840.10008.5.1.4.34.6."
    )


def _data_set_of_request(label: str, request: Request, read: ReadMessage, clause: str) -> Iterator[str]:
    due = _WITH_DATA_SET.get(request.command_field)
    has = read.data_set is not None
    if due is True and not has:
        yield f"{label} has no data set and must have one ({clause}.1)"
    elif due is False and has:
        yield f"{label} has a data set and must have none ({clause}.1)"


def _data_set_of_response(label: str, response: Response, read: ReadMessage) -> Iterator[str]:
    has = read.data_set is not None
    field = response.command_field
    clause = f"{_CLAUSES[CommandField(field & ~RESPONSE_BIT)]}.2"
    status = f"{label} with status {response.status:04X}H"
    kind = category(response.status)
    pending = kind is StatusCategory.PENDING
    if field is CommandField.C_FIND_RSP:
        if pending and not has:
            yield f"{status} has no Identifier: each match has one ({clause}; PS3.4 C.4.1.1.3)"
        elif has and not pending:
            yield f"{status} has an Identifier: only a pending one has ({clause}; PS3.4 C.4.1.1.3)"
    elif field in (CommandField.C_GET_RSP, CommandField.C_MOVE_RSP):
        if has and (pending or kind is StatusCategory.SUCCESS):
            yield f"{status} has an Identifier: only where sub-operations failed there is one ({clause})"
    elif has and _WITH_DATA_SET.get(field) is False:
        yield f"{status} has a data set and must have none ({clause})"


def _echoed(label: str, request: Request, response: Response, clause: str) -> Iterator[str]:
    pairs = (
        ("Class", sop_class_uid(request), response.affected_sop_class_uid),
        ("Instance", sop_instance_uid(request), getattr(response, "affected_sop_instance_uid", None)),
    )
    for what, asked, answered in pairs:
        if asked and answered and asked != answered:
            yield (
                f"{label}: Affected SOP {what} UID {printable(answered)} is not the request's, "
                f"{printable(asked)} ({clause})"
            )
