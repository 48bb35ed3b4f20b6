"""Retrieve by C-GET, SCU (PS3.4 C.4.3; PS3.7 9.1.3): instances come back on the association that asks for them.

    contexts = plan_contexts(["1.2.840.10008.5.1.4.1.1.2"])[0]
    async with associate(host, port, ..., contexts=contexts, services=[storage_for(contexts, handler)]) as association:
        async with aclosing(get(association, selection)) as responses:
            async for told in responses:
                ...

What to propose. An association has room for 128 presentation contexts (PS3.8 9.3.2.2), and the 192 storage SOP classes
in all their transfer syntaxes would want thousands. In one context with several transfer syntaxes the peer chooses one,
and then it cannot send what it holds in another. So a transfer syntax gets a context of its own as long as there is
room, the common ones first; the others share the last context of the SOP class. What failed for want of a context is
got on further associations, each of which proposes what comes next in the list. To know the SOP classes before helps
most: with up to two of them, all is proposed at once.
"""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from functools import cache

from dimse import status
from dimse.association import Association
from dimse.enums import Priority
from dimse.errors import DimseError
from dimse.messages import CGetRQ
from dul.negotiation import MAXIMUM_CONTEXTS, ProposedContext, SupportedContext
from services.retrieve.requesting import (
    MODELS_BY_NAME,
    Activity,
    ModelName,
    Told,
    encode_selection,
    invoke_retrieve,
)
from services.retrieve.selection import Selection
from services.sop_classes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    RLE_LOSSLESS,
    storage_sop_classes,
    storage_transfer_syntaxes,
)
from services.storage import Handler, Storage

_ROOM = MAXIMUM_CONTEXTS - 1  # one context is for the C-GET itself
_FEWEST = 4  # contexts of a SOP class: three for what is not compressed, one shared by all that is

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_PIXELS = "1.2.840.10008.1.2.4."

_COMMON_SOP_CLASSES = tuple(
    _STORAGE + tail
    for tail in (
        "2", "4", "1.1", "1", "6.1", "7", "12.1", "20", "128", "1.2", "3.1", "2.1", "4.1", "1.1.1", "1.2.1",
        "11.1", "88.11", "88.22", "88.33", "88.59", "88.67", "104.1", "481.1", "481.2", "481.3", "481.5",
        "66.4", "13.1.3", "12.2", "130", "77.1.4",
    )
)  # fmt: skip
_COMMON_COMPRESSED = tuple(
    _PIXELS + tail
    for tail in (
        "70", "50", "90", "91", "80", "51", "81", "57", "201", "202", "203", "102", "103", "100"
    )
)  # fmt: skip


def plan_contexts(
    sop_classes: Collection[str] = (), *, model: ModelName = "study"
) -> tuple[tuple[ProposedContext, ...], ...]:
    """The presentation contexts of each association, in the order in which the associations are worth trying.

    Args:
        sop_classes: those that are expected; none for all, the common ones first.
        model: of the C-GET.

    Returns:
        At least one association; each has the context of the C-GET and at most 127 of storage.
    """
    wanted = tuple(dict.fromkeys(sop_classes))
    return _plan(wanted, model)


@cache
def _plan(sop_classes: tuple[str, ...], model: ModelName) -> tuple[tuple[ProposedContext, ...], ...]:
    known = bool(sop_classes)
    classes = sop_classes or tuple(dict.fromkeys((*_COMMON_SOP_CLASSES, *storage_sop_classes())))
    syntaxes = _syntaxes()
    at_most = _ROOM // _FEWEST
    portions = [classes[start : start + at_most] for start in range(0, len(classes), at_most)]
    first = ProposedContext(MODELS_BY_NAME[model].get, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))
    associations: list[tuple[ProposedContext, ...]] = []
    offsets = dict.fromkeys(range(len(portions)), 0)
    while offsets:
        for number in list(offsets):
            portion, offset = portions[number], offsets[number]
            groups, offsets[number] = _next_groups(syntaxes, offset, _ROOM // len(portion))
            contexts = [
                ProposedContext(sop_class, group, scu_role=False, scp_role=True)
                for group in groups
                for sop_class in portion
            ]
            associations.append((first, *contexts))
            if offsets[number] >= len(syntaxes):
                del offsets[number]
        if not known:
            break  # each class was proposed once; more would be many associations for nothing
    return tuple(associations)


def _next_groups(syntaxes: Sequence[str], offset: int, room: int) -> tuple[list[tuple[str, ...]], int]:
    """The transfer syntaxes of the next contexts of a SOP class, and where the ones after them begin.

    All but the last context have one each; the last one has all the rest.
    """
    rest = syntaxes[offset:]
    if len(rest) <= room:
        return [(syntax,) for syntax in rest], len(syntaxes)
    singles = [(syntax,) for syntax in rest[: room - 1]]
    return [*singles, tuple(rest[room - 1 :])], offset + room - 1


@cache
def _syntaxes() -> tuple[str, ...]:
    """Every transfer syntax of storage, the common ones first."""
    first = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
    known = storage_transfer_syntaxes()
    common = (*first, *_COMMON_COMPRESSED[:5], RLE_LOSSLESS, *_COMMON_COMPRESSED[5:])
    return tuple(dict.fromkeys(syntax for syntax in (*common, *known) if syntax in known))


def storage_for(contexts: Sequence[ProposedContext], handler: Handler) -> Storage:
    """The storage SCP that takes what comes back, in the contexts that are proposed for it and in no others.

    Args:
        contexts: those of one association of `plan_contexts`.
        handler: one call for each C-STORE.
    """
    supported: dict[str, SupportedContext] = {}
    for context in contexts:
        if context.scp_role:
            before = supported.get(context.abstract_syntax)
            syntaxes = (*(before.transfer_syntaxes if before else ()), *context.transfer_syntaxes)
            supported[context.abstract_syntax] = SupportedContext(syntaxes, scu_role=True)
    return Storage(handler, supported)


async def get(
    association: Association,
    selection: Selection,
    *,
    model: ModelName = "study",
    timeout: float = 60.0,
    cancel_timeout: float = 10.0,
    priority: Priority = Priority.MEDIUM,
    activity: Activity | None = None,
) -> AsyncGenerator[Told, None]:
    """Invoke one C-GET; yields what each response says, the final one last. Its status may be a failure.

    The instances go to the handler of `storage_for`. Closed early (`contextlib.aclosing`) or cancelled, it sends a
    C-CANCEL, takes what still comes, and waits for the final response.

    Args:
        association: with the contexts of `plan_contexts`.
        selection: what to get; several unique keys are allowed at the level only.
        model: the information model.
        timeout: seconds without a response and without `activity` after which the peer is given up.
        cancel_timeout: seconds to wait for the final response after a C-CANCEL.
        priority: a wish, which most peers pass over.
        activity: touched by the handler.

    Raises:
        DimseError: the peer accepted no context for the model, or none in which we may be the SCP of storage.
        TimeoutError, AssociationEnded: see `invoke_retrieve`.
        ValueError: the selection makes no sense in the model.
    """
    service = MODELS_BY_NAME[model]
    context = association.context_for(service.get)
    if not any(each.as_scp for each in association.negotiated.contexts.values()):
        raise DimseError(
            status.SOP_CLASS_NOT_SUPPORTED,
            "the peer accepted no storage SOP class with us as its SCP (role selection, PS3.7 D.3.3.4), "
            "so that nothing could come",
        )
    identifier = encode_selection(selection, service, context.transfer_syntax)
    responses = invoke_retrieve(
        association,
        lambda message_id: CGetRQ(
            message_id=message_id, affected_sop_class_uid=service.get, priority=priority
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
