"""Verification, SCP and SCU (PS3.4 Annex A; PS3.7 9.1.5): does the other side answer at all?"""

import ssl
import time
from collections.abc import Mapping

from dimse import status
from dimse.association import Association
from dimse.enums import CommandField
from dimse.errors import DimseError
from dimse.messages import CEchoRQ, Response
from dimse.operation import Operation, Skip
from dimse.service import DataSetSink
from dul.negotiation import ProposedContext, SupportedContext
from services.scu import associate
from services.sop_classes import UNCOMPRESSED, VERIFICATION


class Verification:
    """The SCP: answers every C-ECHO with success."""

    command_fields = frozenset({CommandField.C_ECHO_RQ})
    starts_with_command = False
    begins_at_once = True
    sop_classes: Mapping[str, SupportedContext] = {
        VERIFICATION: SupportedContext(transfer_syntaxes=UNCOMPRESSED)
    }

    def open_data_set(self, operation: Operation) -> DataSetSink:
        """A C-ECHO has no data set (PS3.7 9.3.5.1); one that comes all the same is passed over."""
        return Skip()

    async def perform(self, operation: Operation) -> Response:
        """Success (PS3.7 9.1.5.1.4)."""
        return operation.response()


def verification_context() -> ProposedContext:
    """What an SCU proposes for Verification."""
    return ProposedContext(VERIFICATION, UNCOMPRESSED[1::-1])


async def echo(association: Association, *, timeout: float = 30.0) -> float:
    """Invoke one C-ECHO.

    Args:
        association: with an accepted Verification context.
        timeout: seconds to wait for the response.

    Returns:
        The round trip in seconds.

    Raises:
        DimseError: the peer accepted no context for it, or answered another status than success.
        TimeoutError, AssociationEnded: see `Association.invoke`.
    """
    context = association.context_for(VERIFICATION)
    begin = time.perf_counter()
    response, _ = await association.invoke(
        lambda message_id: CEchoRQ(message_id=message_id, affected_sop_class_uid=VERIFICATION),
        context,
        timeout=timeout,
    )
    elapsed = time.perf_counter() - begin
    code = response.status
    if code != status.SUCCESS:
        raise DimseError(code, response.error_comment or "the peer's answer to a C-ECHO")
    return elapsed


async def echo_once(
    host: str,
    port: int,
    calling_ae: str,
    called_ae: str,
    timeout: float = 10.0,
    tls: ssl.SSLContext | None = None,
) -> float:
    """Open an association, echo, release; returns the round trip of the C-ECHO in seconds.

    Raises:
        AssociationRejected, AssociationEnded, DimseError, TimeoutError: what went wrong.
    """
    async with associate(
        host,
        port,
        calling_ae=calling_ae,
        called_ae=called_ae,
        contexts=[verification_context()],
        tls=tls,
        timeout=timeout,
    ) as association:
        return await echo(association, timeout=timeout)
