"""The two ways of `dicom-retrieve`: C-GET brings instances on the association that asks, C-MOVE to our listener."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from msgspec import Struct

from dimse.association import Association
from dul.enums import RejectResult
from dul.negotiation import ProposedContext
from dul.pdus import AAssociateRJ, AAssociateRQ
from dul.reasons import RejectReason
from services.cli.retrieve_inventory import Listed
from services.cli.retrieve_tasks import Task, classes_of
from services.printable import printable
from services.retrieve.folder import Folder
from services.retrieve.get_scu import get, plan_contexts, storage_for
from services.retrieve.move_scu import move, move_context
from services.retrieve.requesting import Activity, ModelName, Told
from services.retrieve.selection import Selection
from services.scp import SCP
from services.scu import associate
from services.storage import Storage
from services.verification import Verification

_LINGER = 2.0
"""Seconds for what is still on its way when the peer says that all is sent."""

_FEW = 4
"""SOP classes of one association: so few that nearly each transfer syntax has a context of its own."""


class Source(Struct, frozen=True, kw_only=True):
    """Whom to retrieve from, and how long to wait.

    Attributes:
        host, port: where the peer listens.
        called_ae, calling_ae: 1 to 16 characters each.
        tls: speak TLS.
        timeout: seconds for an association, and of silence.
        cancel_timeout: seconds for the final response after a C-CANCEL.
    """

    host: str
    port: int
    called_ae: str
    calling_ae: str
    tls: ssl.SSLContext | None = None
    timeout: float = 60.0
    cancel_timeout: float = 10.0

    def associate(
        self, contexts: Sequence[ProposedContext], services: Sequence[Storage] = ()
    ) -> AbstractAsyncContextManager[Association]:
        """See `services.scu.associate`."""
        return associate(
            self.host,
            self.port,
            called_ae=self.called_ae,
            calling_ae=self.calling_ae,
            contexts=contexts,
            services=services,
            tls=self.tls,
            timeout=self.timeout,
        )


class Proposal(Struct, frozen=True):
    """What an association is proposed for.

    Attributes:
        model: the information model of the requests.
        sop_classes: of the instances that may come; empty for all.
        plan: which of the associations of `plan_contexts`.
    """

    model: ModelName
    sop_classes: frozenset[str] = frozenset()
    plan: int = 0


class Method(Protocol):
    """How to retrieve."""

    def listening(self) -> AbstractAsyncContextManager[None]:
        """For as long as the retrieve lasts."""

    def propose(self, task: Task, waiting: Iterable[Task]) -> Proposal:
        """What to open an association for, so that it does for a request and for what waits behind it."""

    def covers(self, proposal: Proposal, task: Task) -> bool:
        """Whether a request can go out on an association."""

    def open(self, proposal: Proposal) -> AbstractAsyncContextManager[Association]:
        """An association."""

    def retrieve(
        self, association: Association, selection: Selection, model: ModelName
    ) -> AsyncGenerator[Told, None]:
        """One request on it."""

    def next_plan(self, proposal: Proposal, remaining: Sequence[Listed] | None) -> int | None:
        """Which association to try next for what failed for want of a context; None where another is of no use."""

    async def settle(self) -> None:
        """Wait a moment for what is still on its way."""


class GetMethod:
    """C-GET.

    Args:
        source: whom to ask.
        folder: where instances go.
        activity: touched as they come.
    """

    def __init__(self, source: Source, folder: Folder, activity: Activity) -> None:
        self._source = source
        self._folder = folder
        self._activity = activity

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Nothing: instances come on the association that asks for them."""
        yield

    def propose(self, task: Task, waiting: Iterable[Task]) -> Proposal:
        """For the SOP classes of the request, and for those of what waits as long as they are few."""
        classes, model = task.sop_classes, task.wanted.model
        if classes and not task.alone:
            for other in waiting:
                wider = classes | other.sop_classes
                if (
                    len(wider) <= _FEW
                    and other.sop_classes
                    and not other.alone
                    and other.wanted.model == model
                ):
                    classes = wider
        return Proposal(model, classes, task.plan)

    def covers(self, proposal: Proposal, task: Task) -> bool:
        """Whether what the request brings was proposed."""
        if proposal.model != task.wanted.model or proposal.plan != task.plan:
            return False
        if task.alone or not task.sop_classes:
            return proposal.sop_classes == task.sop_classes
        return task.sop_classes <= proposal.sop_classes

    def open(self, proposal: Proposal) -> AbstractAsyncContextManager[Association]:
        """An association with the C-GET, and with ourselves as the SCP of storage."""
        contexts = plan_contexts(sorted(proposal.sop_classes), model=proposal.model)[proposal.plan]
        return self._source.associate(contexts, [storage_for(contexts, self._folder.receive)])

    def retrieve(
        self, association: Association, selection: Selection, model: ModelName
    ) -> AsyncGenerator[Told, None]:
        """One C-GET."""
        return get(
            association,
            selection,
            model=model,
            timeout=self._source.timeout,
            cancel_timeout=self._source.cancel_timeout,
            activity=self._activity,
        )

    def next_plan(self, proposal: Proposal, remaining: Sequence[Listed] | None) -> int | None:
        """With fewer SOP classes than before there is more room for each; else the next transfer syntaxes."""
        classes = classes_of(remaining or ())
        if classes != proposal.sop_classes:
            return 0
        following = proposal.plan + 1
        return following if following < len(plan_contexts(sorted(classes), model=proposal.model)) else None

    async def settle(self) -> None:
        """Nothing: the final response comes behind the last instance."""


class MoveListener(SCP):
    """Takes what a C-MOVE sends us, from nobody but whom we asked.

    Args:
        ae_title: ours, the destination of the C-MOVE.
        folder: where instances go.
        sender: the AE title they come from.
        on_note: told of callers that are turned away.
    """

    def __init__(self, ae_title: str, folder: Folder, sender: str, on_note: Callable[[str], object]) -> None:
        super().__init__(ae_title, [Verification(), Storage(folder.receive)])
        self._sender = sender
        self._on_note = on_note

    def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ | None:
        """Whether the caller is who we asked, and asks for who we are."""
        if request.called_ae != self.policy.ae_title:
            self._on_note(
                f"turned away {printable(request.calling_ae)}, which calls us {printable(request.called_ae)} and not "
                f"{self.policy.ae_title}: --move-dest says who we are"
            )
        elif request.calling_ae != self._sender:
            self._on_note(
                f"turned away {printable(request.calling_ae)}: instances are expected from {self._sender}; "
                "--move-sender says from whom else"
            )
            return AAssociateRJ(RejectResult.PERMANENT, RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED)
        return None


class MoveMethod:
    """C-MOVE to ourselves.

    Args:
        source: whom to ask.
        activity: touched as instances come.
        listener: takes them.
        host, port: where it listens.
    """

    def __init__(
        self, source: Source, activity: Activity, listener: MoveListener, host: str, port: int
    ) -> None:
        self._source = source
        self._activity = activity
        self._listener = listener
        self._host = host
        self._port = port

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen where the peer is to send to.

        Raises:
            OSError: the address cannot be bound.
        """
        async with self._listener.listen(self._host, self._port):
            yield

    def propose(self, task: Task, waiting: Iterable[Task]) -> Proposal:
        """For any request of the model."""
        return Proposal(task.wanted.model)

    def covers(self, proposal: Proposal, task: Task) -> bool:
        """Whether it is of the model."""
        return proposal.model == task.wanted.model

    def open(self, proposal: Proposal) -> AbstractAsyncContextManager[Association]:
        """An association with the C-MOVE."""
        return self._source.associate([move_context(proposal.model)])

    def retrieve(
        self, association: Association, selection: Selection, model: ModelName
    ) -> AsyncGenerator[Told, None]:
        """One C-MOVE."""
        assert self._listener.policy.ae_title is not None
        return move(
            association,
            selection,
            self._listener.policy.ae_title,
            model=model,
            timeout=self._source.timeout,
            cancel_timeout=self._source.cancel_timeout,
            activity=self._activity,
        )

    def next_plan(self, proposal: Proposal, remaining: Sequence[Listed] | None) -> int | None:
        """None: the listener takes every SOP class in every transfer syntax."""
        return None

    async def settle(self) -> None:
        """Until the associations to the listener are over, or for two seconds."""
        await self._listener.finish(_LINGER)
