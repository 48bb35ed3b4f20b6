"""What a service must offer so that the dispatcher can perform its operations (PS3.7 7.5)."""

from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from dimse import status
from dimse.enums import CommandField
from dimse.errors import DimseError
from dimse.messages import Request, Response, sop_class_uid
from dul.negotiated import PresentationContext
from dul.negotiation import SupportedContext

if TYPE_CHECKING:
    from dimse.operation import Operation

Answer: TypeAlias = tuple[Response, bytes | None]
"""A response, and the encoded data set that goes with it."""


class DataSetSink(Protocol):
    """Where the data set of a request goes as it arrives."""

    def write(self, chunk: memoryview) -> None:
        """Take a fragment. It lives only until this returns: copy what is kept.

        A `DimseError` raised here, or by `end`, becomes the response, once the rest of the data set has passed by; any
        other exception becomes 0110H.
        """

    def end(self) -> None:
        """The last fragment has been written."""

    def discard(self) -> None:
        """The rest will never come, or is not wanted: undo. Nothing is written after it.

        Called at the latest when the operation has ended, well or not, and perhaps more than once; never raises.
        """


class Service(Protocol):
    """Performs the operations of one service class.

    Attributes:
        command_fields: the requests it performs.
        sop_classes: what is accepted in a negotiation, and how.
        starts_with_command: perform as soon as the command has come, while the data set still arrives;
            otherwise at the end of the message.
        begins_at_once: what `perform` does before it first waits takes microseconds and needs no task around it
            (`asyncio.timeout` and `current_task` do): it is done as soon as the PDU is taken. Without effect on one
            that starts with its command.
    """

    command_fields: frozenset[CommandField]
    starts_with_command: bool
    begins_at_once: bool

    @property
    def sop_classes(self) -> Mapping[str, SupportedContext]: ...

    def open_data_set(self, operation: "Operation") -> DataSetSink:
        """Say where the data set goes; may refuse the operation with a `DimseError`."""

    def perform(self, operation: "Operation") -> Coroutine[Any, Any, Response] | AsyncIterator[Answer]:
        """Perform it: return the response, or yield responses, each with its data set.

        Pending responses are sent as they come; the first other one is final, and the generator is closed.
        """


Authorize: TypeAlias = Callable[["Operation"], None]
"""May raise `DimseError(0124H)` for an operation the caller has no right to."""


class ServiceRegistry:
    """The services of an application entity, by SOP class."""

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self._services = tuple(services)
        self.supported: Mapping[str, SupportedContext] = ChainMap(
            *(cast(MutableMapping[str, SupportedContext], s.sop_classes) for s in self._services)
        )

    def find(self, request: Request, context: PresentationContext) -> Service:
        """The service that performs a request on a context.

        Raises:
            DimseError: 0211H, no service of that SOP class knows the command; 0122H, the request names a SOP
                class other than the context's; 0120H, it names none.
        """
        for service in self._services:
            if (
                request.command_field in service.command_fields
                and context.abstract_syntax in service.sop_classes
            ):
                break
        else:
            raise DimseError(status.UNRECOGNIZED_OPERATION, "the SOP class has no such operation")
        if not context.as_scp:
            raise DimseError(status.SOP_CLASS_NOT_SUPPORTED, "the SCP role was not negotiated")
        named = sop_class_uid(request)
        if not named:
            raise DimseError(status.MISSING_ATTRIBUTE, "no SOP Class UID")
        if named != context.abstract_syntax:
            raise DimseError(status.SOP_CLASS_NOT_SUPPORTED, "SOP Class UID is not that of the context")
        return service
