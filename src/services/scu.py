"""Opening an association as its requestor (PS3.8 7.1)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from dimse.association import Association
from dimse.listener import AssociationListener
from dimse.service import Service, ServiceRegistry
from dul.negotiation import ProposedContext, build_request
from dul.observation import Observer
from dul.pdus import SOPClassExtendedNegotiationSubItem, UserIdentityRQSubItem
from dul.provider import ProviderOptions, ServiceProvider
from dul.timers import Timers
from dul.transport import request_association

_PATIENCE = 2.0
"""Seconds a peer has to close the connection after a reject or an abort."""


@asynccontextmanager
async def associate(
    host: str,
    port: int,
    *,
    called_ae: str,
    calling_ae: str,
    contexts: Sequence[ProposedContext],
    services: Sequence[Service] = (),
    window: tuple[int, int] = (1, 1),
    maximum_length: int = 131072,
    user_identity: UserIdentityRQSubItem | None = None,
    extended: Sequence[SOPClassExtendedNegotiationSubItem] = (),
    tls: ssl.SSLContext | None = None,
    timeout: float = 30.0,
    timers: Timers | None = None,
    listener: AssociationListener | None = None,
    observe: Observer | None = None,
) -> AsyncIterator[Association]:
    """An association for as long as the block lasts; released at its end, aborted when the block raises.

    Args:
        host, port: where the acceptor listens.
        called_ae, calling_ae: 1 to 16 characters each.
        contexts: 1 to 128 presentation contexts to propose.
        services: what the peer may invoke on us, where a role selection says that it may.
        window: operations to invoke and to perform at one time (PS3.7 D.3.3.3); (1, 1) is not even proposed.
        maximum_length: longest P-DATA-TF we take, in bytes.
        user_identity: PS3.7 D.3.3.7.
        extended: extended negotiation, by SOP class (PS3.7 D.3.3.5).
        tls: speak TLS.
        timeout: seconds to connect, and then for the answer.
        timers: further waits; `association` is overridden by `timeout`.
        observe: told each PDU and each transition.

    Raises:
        AssociationRejected: the acceptor refused.
        ConnectionLost, AssociationAborted: there was no connection, or no answer.
        ValueError: a title or a context cannot be encoded.
    """
    request = build_request(
        called_ae=called_ae,
        calling_ae=calling_ae,
        contexts=contexts,
        maximum_length=maximum_length,
        window=window,
        user_identity=user_identity,
        extended=extended,
    )
    options = ProviderOptions(
        limits=msgspec.structs.replace(ProviderOptions().limits, p_data_tf=maximum_length),
        timers=msgspec.structs.replace(timers or Timers(), association=timeout),
        observe=None if observe is None else lambda provider: observe,
    )
    registry = ServiceRegistry(services)

    def make_user(provider: ServiceProvider) -> Association:
        return Association(provider, registry, request=request, listener=listener)

    provider = await request_association(make_user, request, host, port, options=options, tls=tls)
    association = provider.user
    assert isinstance(association, Association)
    try:
        await association.wait_established()
        yield association
        await association.release()
    except BaseException:
        association.abort("the requestor stopped")
        raise
    finally:
        await _closed(association)


async def _closed(association: Association) -> None:
    """See the connection closed: by the peer, as Sta13 expects, or else by us."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await association.wait_closed()
    except TimeoutError:
        association.provider.abort()
        await association.wait_closed()
