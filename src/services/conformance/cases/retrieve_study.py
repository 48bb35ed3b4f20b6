"""The study that the retrieve cases ask for: stored once in a run, four instances in two series."""

from collections.abc import Sequence

from services.conformance.conversation import Conversation
from services.conformance.data_sets import (
    SERIES_UID,
    SOP_INSTANCE_UID,
    STUDY_UID,
    Elements,
    Instance,
    instance,
)
from services.conformance.querying import delivers_once
from services.conformance.steps import Do, Step, close, reconnect, release
from services.conformance.storing import for_storage
from services.conformance.target import Target

_CASE = "147"
IN_SERIES, IN_STUDY = 3, 4
"""How many instances the first series and the study have."""


def instances(target: Target) -> list[Instance]:
    """The three of the first series, then the one of the second."""
    first = [instance(target, _CASE, number=number) for number in range(1, IN_SERIES + 1)]
    return [*first, instance(target, _CASE, series=2)]


def uids(target: Target) -> list[bytes]:
    """Their SOP Instance UIDs."""
    return [each.uid for each in instances(target)]


def study(target: Target) -> Elements:
    """The keys of the study."""
    return {STUDY_UID: instances(target)[0].study}


def series(target: Target) -> Elements:
    """The keys of the first series."""
    first = instances(target)[0]
    return {STUDY_UID: first.study, SERIES_UID: first.series}


def images(target: Target, chosen: Sequence[bytes]) -> Elements:
    """The keys of instances of the first series."""
    return {**series(target), SOP_INSTANCE_UID: b"\\".join(chosen)}


def stored() -> tuple[Step, ...]:
    """See to it that the study is there, on an association of its own."""
    return (
        *for_storage(),
        delivers_once(
            "the study of the retrieve cases", instances, "a study of four instances in two series"
        ),
        *release(),
        close(),
        reconnect(),
    )


def destination_known() -> Step:
    """Without a destination that the peer knows and that is us, there is nothing to test."""

    async def run(conversation: Conversation) -> None:
        target = conversation.target
        if not target.move_destination or not target.move_port:
            conversation.not_applicable(
                "no C-MOVE destination that is us was named: --move-dest, --move-port"
            )

    return Do("looks whether the peer knows it as a C-MOVE destination", run)
