"""Accepting associations: an application entity with its services, listening (PS3.8 7.1)."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from dimse.association import Association
from dimse.listener import AssociationListener
from dimse.service import Authorize, Service, ServiceRegistry
from dul.buffers import BufferPool
from dul.enums import State
from dul.negotiation import AcceptorPolicy, answer
from dul.pdus import AAssociateAC, AAssociateRJ, AAssociateRQ
from dul.provider import ProviderOptions, ServiceProvider
from dul.tls import TLSDoor
from dul.transport import acceptor, listen


class SCP(AssociationListener):
    """An application entity that accepts associations and performs services.

    Subclasses hear what happens by overriding the methods of `AssociationListener`, and decide by overriding
    `policy_for` and `judge`.

    Args:
        ae_title: ours; a caller must name it. None answers to any name.
        services: what it performs.
        options: limits, timers, observer.
        window: operations we may invoke, and may be asked to perform, at one time (PS3.7 D.3.3.3).
        authorize: judged before each operation.
        maximum_command_length: bytes of one command set.
        maximum_lent: bytes of receive buffers over all associations.

    Attributes:
        associations: those whose transport connection is open.
    """

    def __init__(
        self,
        ae_title: str | None,
        services: Sequence[Service],
        *,
        options: ProviderOptions | None = None,
        window: tuple[int, int] = (8, 8),
        authorize: Authorize | None = None,
        maximum_command_length: int = 65536,
        maximum_lent: int = 256 << 20,
    ) -> None:
        self.associations: set[Association] = set()
        self.options = options or ProviderOptions()
        self.registry = ServiceRegistry(services)
        self.policy = AcceptorPolicy(
            ae_title=ae_title,
            supported=self.registry.supported,
            maximum_length=self.options.limits.p_data_tf,
            window=window,
        )
        self._authorize = authorize
        self._maximum_command_length = maximum_command_length
        self._maximum_lent = maximum_lent

    def policy_for(self, request: AAssociateRQ, association: Association) -> AcceptorPolicy:
        """How a request is negotiated; the same for everybody unless overridden."""
        return self.policy

    def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ | None:
        """A reason to refuse a request before anything is negotiated; none unless overridden."""
        return None

    @asynccontextmanager
    async def listen(
        self,
        host: str | None = "127.0.0.1",
        port: int = 11112,
        *,
        tls: ssl.SSLContext | None = None,
        tls_handshake_timeout: float = 10.0,
        sock: socket.socket | None = None,
        backlog: int = 1024,
    ) -> AsyncIterator[int]:
        """Accept associations for as long as the block lasts; at its end those still open are aborted.

        Args:
            host, port: where; port 0 takes a free one.
            tls: speak TLS only.
            tls_handshake_timeout: seconds.
            sock: bound already, instead of host and port.
            backlog: connections the kernel holds before they are accepted.

        Yields:
            The port.

        Raises:
            OSError: the address cannot be bound.
        """
        door = self._door(tls, tls_handshake_timeout)
        server = await listen(
            self._new_association,
            host,
            port,
            options=self.options,
            pool=self._pool(),
            sock=sock,
            backlog=backlog,
            tls=door,
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            if door is not None:
                door.close()
            await self.abort_all()

    @asynccontextmanager
    async def accept(
        self, *, tls: ssl.SSLContext | None = None, tls_handshake_timeout: float = 10.0
    ) -> AsyncIterator[Callable[[socket.socket], Awaitable[object]]]:
        """Take connections that somebody else has accepted; the block is as that of `listen`.

        Yields:
            Takes a connection; raises OSError where it is of no use any more.
        """
        door = self._door(tls, tls_handshake_timeout)
        factory = acceptor(self._new_association, self.options, self._pool(), door)
        try:
            yield partial(asyncio.get_running_loop().connect_accepted_socket, factory)
        finally:
            if door is not None:
                door.close()
            await self.abort_all()

    async def serve(
        self, host: str = "127.0.0.1", port: int = 11112, *, tls: ssl.SSLContext | None = None
    ) -> None:
        """Accept associations until cancelled."""
        async with self.listen(host, port, tls=tls):
            await asyncio.Event().wait()

    async def finish(self, grace: float) -> None:
        """Let the associations that are open come to their end, for at most `grace` seconds."""
        for association in list(self.associations):
            if association.provider.state is State.Sta2:
                association.provider.abort()
        await self._all_closed(grace)

    async def abort_all(self) -> None:
        """Abort what is still open, and give the aborts a moment to reach their peers."""
        for association in list(self.associations):
            association.abort("the server is stopping")
        await self._all_closed(1.0)
        for association in list(self.associations):
            association.provider.abort()

    async def _all_closed(self, seconds: float) -> None:
        waiting = [asyncio.ensure_future(a.wait_closed()) for a in self.associations]
        if not waiting:
            return
        _, pending = await asyncio.wait(waiting, timeout=seconds)
        for one in pending:
            one.cancel()

    def handshake_failed(self, peer: str, error: Exception) -> None:
        """A connection was closed because its TLS handshake failed; for subclasses to tell somebody."""

    def connected(self, association: Association) -> None:
        self.associations.add(association)

    def closed(self, association: Association) -> None:
        self.associations.discard(association)

    def _door(self, tls: ssl.SSLContext | None, timeout: float) -> TLSDoor | None:
        return TLSDoor(tls, timeout=timeout, failed=self.handshake_failed) if tls else None

    def _pool(self) -> BufferPool:
        return BufferPool(self.options.limits.p_data_tf, self._maximum_lent)

    def _new_association(self, provider: ServiceProvider) -> Association:
        return Association(
            provider,
            self.registry,
            accept=self._accept,
            authorize=self._authorize,
            listener=self,
            maximum_command_length=self._maximum_command_length,
        )

    def _accept(self, request: AAssociateRQ, association: Association) -> AAssociateAC | AAssociateRJ:
        refusal = self.judge(request, association)
        return refusal or answer(request, self.policy_for(request, association))
