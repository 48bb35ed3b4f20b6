"""One operation or notification the peer invoked on us (PS3.7 7.5)."""

import asyncio
from typing import TYPE_CHECKING, Any

from dimse import status
from dimse.errors import DimseError
from dimse.messages import Request, Response, response_to
from dimse.service import DataSetSink, Service
from dul.negotiated import PresentationContext

if TYPE_CHECKING:
    from dimse.association import Association


class Operation:
    """A request being received or performed.

    Attributes:
        association: where it came.
        context: the presentation context it came on.
        request: its command.
        sink: where its data set goes; None where it has none.
        failure: why it is refused or its data set could not be taken; the response will say so.
        started: it has been queued for performing, at its command or at the end of its message.
    """

    __slots__ = (
        "_cancel_requested",
        "association",
        "context",
        "failure",
        "request",
        "service",
        "sink",
        "started",
    )

    def __init__(self, association: "Association", context: PresentationContext, request: Request) -> None:
        self.association = association
        self.context = context
        self.request = request
        self.service: Service | None = None
        self.sink: DataSetSink | None = None
        self.failure: DimseError | None = None
        self.started = False
        self._cancel_requested: asyncio.Event | None = None

    @property
    def message_id(self) -> int:
        """Of the request; no two operations in progress share one."""
        return self.request.message_id

    @property
    def data_set(self) -> bytes:
        """The whole data set, for a service that asked for a `BoundedBuffer`."""
        if isinstance(self.sink, BoundedBuffer):
            return bytes(self.sink.data)
        return b""

    @property
    def cancelled(self) -> bool:
        """True once the peer sent a C-CANCEL-RQ for this operation (PS3.7 9.3.2.3)."""
        return self._cancel_requested is not None and self._cancel_requested.is_set()

    @property
    def cancellation(self) -> asyncio.Event:
        """Set when the peer cancels: to wait on beside something else."""
        if self._cancel_requested is None:
            self._cancel_requested = asyncio.Event()
        return self._cancel_requested

    def cancel(self) -> None:
        """Note the peer's C-CANCEL-RQ; the service ends the operation with status FE00H when it sees it."""
        self.cancellation.set()

    def response(self, code: int = status.SUCCESS, **fields: Any) -> Response:
        """A response to this request with a status and further fields of the response message."""
        return response_to(self.request, code, **fields)

    def pause(self) -> None:
        """Take nothing more from the peer until `resume`; the whole association waits."""
        self.association.pause_reading(self)

    def resume(self) -> None:
        """Undo `pause`; harmless without one."""
        self.association.resume_reading(self)


class BoundedBuffer:
    """A sink for data sets that are wanted whole and are small: identifiers, attribute lists.

    Args:
        maximum: bytes; a longer data set fails with status 0213H.
    """

    __slots__ = ("data", "maximum")

    def __init__(self, maximum: int = 1 << 20) -> None:
        self.maximum = maximum
        self.data = bytearray()

    def write(self, chunk: memoryview) -> None:
        if len(self.data) + len(chunk) > self.maximum:
            self.data.clear()
            raise DimseError(status.RESOURCE_LIMITATION, f"data set over {self.maximum} bytes")
        self.data += chunk

    def end(self) -> None:
        pass

    def discard(self) -> None:
        self.data.clear()


class Skip:
    """A sink for a data set nobody wants, because its request was refused already."""

    __slots__ = ()

    def write(self, chunk: memoryview) -> None:
        pass

    def end(self) -> None:
        pass

    def discard(self) -> None:
        pass
