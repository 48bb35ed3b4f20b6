"""What a peer that offers C-FIND has indexed of the instances of a case."""

import asyncio
import time

from services.conformance.conversation import Conversation
from services.conformance.data_sets import SERIES_UID, SOP_INSTANCE_UID, STUDY_UID, Instance
from services.conformance.querying import Question, ask
from services.conformance.steps import FIND_CONTEXT, Do, Step
from services.conformance.storing import MakeInstance
from services.conformance.target import Service


async def indexed(conversation: Conversation, instance: Instance) -> int:
    """How many instances of its UID a peer finds at IMAGE level."""
    keys = {
        STUDY_UID: instance.study,
        SERIES_UID: instance.series,
        SOP_INSTANCE_UID: instance.uid,
    }
    found = await ask(
        conversation,
        Question(level=b"IMAGE", keys=keys, context_id=FIND_CONTEXT),
        tolerated=("A9??", "C???"),
    )
    return sum(answer.text(SOP_INSTANCE_UID) == instance.uid for answer in found.answers)


def not_indexed(make: MakeInstance, what: str) -> Step:
    """Ask, where the peer offers C-FIND, that an instance is not found."""

    async def run(conversation: Conversation) -> None:
        if not conversation.target.offers(Service.FIND):
            return
        count = await indexed(conversation, make(conversation.target))
        if count:
            conversation.fail("nothing to be indexed", f"{count} instances {what}", "it was not stored")

    return Do(f"asks, where the peer offers C-FIND, that nothing is indexed {what}", run)


def indexed_once(make: MakeInstance, times: int = 1) -> Step:
    """Ask, where the peer offers C-FIND, that an instance is found once; it may take its time to index it."""

    async def run(conversation: Conversation) -> None:
        target = conversation.target
        if not target.offers(Service.FIND):
            return
        deadline = time.monotonic() + target.timeout
        while True:
            count = await indexed(conversation, make(target))
            if count or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        if count != times:
            conversation.fail("the instance to be found once", f"{count} matches", "PS3.4 C.4.1")

    return Do("asks, where the peer offers C-FIND, that the instance is found once", run)
