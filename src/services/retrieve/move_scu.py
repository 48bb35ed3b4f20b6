"""Retrieve by C-MOVE, SCU (PS3.4 C.4.2; PS3.7 9.1.4): have a peer send instances to a third party, or to ourselves.

async with associate(host, port, ..., contexts=[move_context("study")]) as association:
    selection = Selection(Level.STUDY, {STUDY_INSTANCE_UID: ["1.2.3.4.5"]})
    async with aclosing(move(association, selection, "WORKSTATION")) as responses:
        async for told in responses:
            ...
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from dimse.association import Association
from dimse.enums import Priority
from dimse.messages import CMoveRQ
from dul.negotiation import ProposedContext
from services.retrieve.requesting import (
    MODELS_BY_NAME,
    Activity,
    ModelName,
    Told,
    encode_selection,
    invoke_retrieve,
)
from services.retrieve.selection import Selection
from services.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN


def move_context(model: ModelName = "study") -> ProposedContext:
    """What an SCU proposes for C-MOVE in an information model (PS3.4 C.6)."""
    return ProposedContext(MODELS_BY_NAME[model].move, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))


async def move(
    association: Association,
    selection: Selection,
    destination: str,
    *,
    model: ModelName = "study",
    timeout: float = 300.0,
    cancel_timeout: float = 10.0,
    priority: Priority = Priority.MEDIUM,
    activity: Activity | None = None,
) -> AsyncGenerator[Told, None]:
    """Invoke one C-MOVE; yields what each response says, the final one last. Its status may be a failure.

    Closed early (`contextlib.aclosing`) or cancelled, it sends a C-CANCEL and waits for the final response.

    Args:
        association: with an accepted context for the model, see `move_context`.
        selection: what to move; several unique keys are allowed at the level only.
        destination: the AE title to send to, which the peer has to know.
        model: the information model.
        timeout: seconds of silence after which the peer is given up; it may be silent while it sends elsewhere.
        cancel_timeout: seconds to wait for the final response after a C-CANCEL.
        priority: a wish, which most peers pass over.
        activity: touched by whoever receives the instances, where that is us.

    Raises:
        DimseError: the peer accepted no context for the model.
        TimeoutError, AssociationEnded: see `invoke_retrieve`.
        ValueError: the selection makes no sense in the model.
    """
    service = MODELS_BY_NAME[model]
    context = association.context_for(service.move)
    identifier = encode_selection(selection, service, context.transfer_syntax)
    responses = invoke_retrieve(
        association,
        lambda message_id: CMoveRQ(
            message_id=message_id,
            affected_sop_class_uid=service.move,
            move_destination=destination,
            priority=priority,
        ),
        context,
        identifier,
        timeout=timeout,
        cancel_timeout=cancel_timeout,
        activity=activity,
    )
    async with aclosing(responses):
        async for told in responses:
            yield told
