"""Associations in memory: against a peer of bytes, or two of ours joined."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from dimse.association import Association
from dimse.listener import AssociationListener
from dimse.service import Authorize, Service, ServiceRegistry
from dimse_services import CT_IMAGE, IMPLICIT, STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION
from dul.encode import encode_pdu
from dul.enums import Role
from dul.negotiation import AcceptorPolicy, ProposedContext, answer, build_request
from dul.pdus import AAssociateRQ
from dul.provider import ProviderOptions, ServiceProvider
from dul.timers import Timers
from memory_provider import MemoryProvider, join, settle
from raw_bytes import (
    IMPLEMENTATION_CLASS,
    RawMessage,
    RawPDU,
    a_associate_rq,
    application_context,
    context,
    item,
    maximum_length,
    messages_of,
    pdu,
    user_information,
    window,
)

ECHO, STORE, FIND, GET = 1, 3, 5, 7
"""The presentation contexts that a `Peer` proposes or accepts, all in Implicit VR Little Endian."""

_CONTEXTS = {ECHO: VERIFICATION, STORE: CT_IMAGE, FIND: STUDY_ROOT_FIND, GET: STUDY_ROOT_GET}


class Peer:
    """The other side of an association of ours: sends bytes, and reads what comes with `raw_bytes`."""

    def __init__(self, association: Association, provider: MemoryProvider) -> None:
        self.association = association
        self.provider = provider

    async def send(self, *data: bytes) -> None:
        """All in one segment, then let everything happen."""
        self.provider.feed(b"".join(data))
        await settle()

    async def pdus(self) -> list[RawPDU]:
        """What was sent since this was last asked."""
        await settle()
        return self.provider.take_sent()

    async def messages(self) -> list[RawMessage]:
        """The same, messages only."""
        return messages_of(await self.pdus())

    async def answers(self) -> list[tuple[int, int]]:
        """The same, as Message ID Being Responded To and status."""
        return [(message.answered, message.status) for message in await self.messages()]


def acceptor_of(
    services: Sequence[Service],
    *,
    granted: tuple[int, int] = (8, 8),
    listener: AssociationListener | None = None,
    authorize: Authorize | None = None,
) -> Callable[[ServiceProvider], Association]:
    """What makes the accepting side of an association."""
    registry = ServiceRegistry(services)
    policy = AcceptorPolicy("SERVER", registry.supported, window=granted)

    def make_user(provider: ServiceProvider) -> Association:
        association = Association(
            provider,
            registry,
            accept=lambda rq, _: answer(rq, policy),
            authorize=authorize,
            listener=listener,
        )
        association.tolerate_odd_fragments()  # the data sets of these tests are whatever reads well
        return association

    return make_user


@asynccontextmanager
async def accepting(
    *services: Service,
    invokes: int = 1,
    performs: int = 1,
    peer_maximum: int = 16384,
    sub_items: tuple[bytes, ...] = (),
    timers: Timers | None = None,
    listener: AssociationListener | None = None,
    authorize: Authorize | None = None,
) -> AsyncIterator[Peer]:
    """An association that a peer of bytes requested of us.

    Args:
        invokes, performs: the asynchronous operations window the peer proposes.
        peer_maximum: what it announces.
    """
    make_user = acceptor_of(services, listener=listener, authorize=authorize)
    provider = MemoryProvider(Role.ACCEPTOR, make_user, ProviderOptions(timers=timers or Timers()))
    assert isinstance(provider.user, Association)
    peer = Peer(provider.user, provider)
    provider.connect()
    user_data = (maximum_length(peer_maximum), IMPLEMENTATION_CLASS, *sub_items)
    if (invokes, performs) != (1, 1):
        user_data += (window(invokes, performs),)
    contexts = [context(number, uid.encode(), IMPLICIT.encode()) for number, uid in _CONTEXTS.items()]
    provider.feed(a_associate_rq(application_context(), *contexts, user_information(*user_data)))
    assert [each.kind for each in provider.take_sent()] == [2]
    try:
        yield peer
    finally:
        provider.lose()
        await peer.association.wait_closed()


def requestor_of(
    request: AAssociateRQ, services: Sequence[Service] = (), listener: AssociationListener | None = None
) -> Callable[[ServiceProvider], Association]:
    """What makes the requesting side of an association."""

    def make_user(provider: ServiceProvider) -> Association:
        association = Association(provider, ServiceRegistry(services), request=request, listener=listener)
        association.tolerate_odd_fragments()
        return association

    return make_user


def open_requestor(
    request: AAssociateRQ,
    services: Sequence[Service] = (),
    *,
    timers: Timers | None = None,
    listener: AssociationListener | None = None,
) -> Peer:
    """An association that we request of a peer of bytes, which has not answered yet."""
    make_user = requestor_of(request, services, listener)
    provider = MemoryProvider(Role.REQUESTOR, make_user, ProviderOptions(timers=timers or Timers()))
    assert isinstance(provider.user, Association)
    provider.machine.handle_associate_request(request)
    provider._perform()
    provider.connect()
    assert [each.kind for each in provider.take_sent()] == [1]
    return Peer(provider.user, provider)


def propose(*uids: str, window: tuple[int, int] = (1, 1), storage_scp: bool = False) -> AAssociateRQ:
    """An A-ASSOCIATE-RQ of ours; as SCP of storage, too, where asked."""
    contexts = [
        ProposedContext(uid, (IMPLICIT,), True, True)
        if storage_scp and uid == CT_IMAGE
        else ProposedContext(uid, (IMPLICIT,))
        for uid in uids or _CONTEXTS.values()
    ]
    return build_request(called_ae="SERVER", calling_ae="TESTER", contexts=contexts, window=window)


def accept_bytes(*results: int, sub_items: tuple[bytes, ...] = (), peer_maximum: int = 16384) -> bytes:
    """An A-ASSOCIATE-AC that answers contexts 1, 3, ... with these results; all four accepted by default."""
    items = [
        item(0x21, bytes([2 * number + 1, 0, result, 0]) + item(0x40, IMPLICIT.encode()))
        for number, result in enumerate(results or (0, 0, 0, 0))
    ]
    user_data = user_information(maximum_length(peer_maximum), IMPLEMENTATION_CLASS, *sub_items)
    return pdu(2, a_associate_rq(application_context(), *items, user_data)[6:])


@asynccontextmanager
async def requesting(
    *services: Service,
    invokes: int = 1,
    performs: int = 1,
    sub_items: tuple[bytes, ...] = (),
    storage_scp: bool = False,
    timers: Timers | None = None,
    listener: AssociationListener | None = None,
) -> AsyncIterator[Peer]:
    """An association that we requested of a peer of bytes, which accepted all of it."""
    request = propose(window=(invokes, performs), storage_scp=storage_scp)
    peer = open_requestor(request, services, timers=timers, listener=listener)
    if (invokes, performs) != (1, 1):
        sub_items += (window(invokes, performs),)
    peer.provider.feed(accept_bytes(sub_items=sub_items))
    await peer.association.wait_established()
    try:
        yield peer
    finally:
        peer.provider.lose()
        await peer.association.wait_closed()


@asynccontextmanager
async def joined(
    *services: Service,
    requestor_services: Sequence[Service] = (),
    request: AAssociateRQ | None = None,
    granted: tuple[int, int] = (8, 8),
    listener: AssociationListener | None = None,
) -> AsyncIterator[tuple[Association, Association]]:
    """Requestor and acceptor, both ours, established."""
    acceptor = MemoryProvider(
        Role.ACCEPTOR, acceptor_of(services, granted=granted, listener=listener), ProviderOptions()
    )
    peer = open_requestor(request or propose(), requestor_services)
    requestor = peer.provider
    join(requestor, acceptor)
    acceptor.connect()
    acceptor.feed(encode_pdu(requestor.machine.request))
    await peer.association.wait_established()
    assert isinstance(acceptor.user, Association)
    try:
        yield peer.association, acceptor.user
    finally:
        requestor.lose()
        acceptor.lose()
        await peer.association.wait_closed()
        await acceptor.user.wait_closed()
