"""`dicom-echo --diagnose`: the way to a C-ECHO step by step, with what to look at where it ends."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import typer

from dimse.association import Association
from dimse.errors import DimseError
from dul.decode import decode_pdu
from dul.enums import ContextResult, PDUType
from dul.errors import NetworkError
from dul.framing import HEADER_LENGTH
from dul.negotiation import ProposedContext
from dul.observation import Observation, PDUReceived
from dul.pdus import AAssociateAC
from services.cli.common import PeerAddress
from services.cli.hints import hint
from services.cli.round_trips import milliseconds, round_trip_statistics
from services.printable import printable
from services.scu import associate
from services.sop_classes import UNCOMPRESSED, VERIFICATION, name_of
from services.verification import echo

ECHOES = 5

# PS3.8 9.3.3.2, Table 9-18
_RESULTS = {
    ContextResult.ACCEPTANCE: "accepted",
    ContextResult.USER_REJECTION: "rejected by the user",
    ContextResult.NO_REASON: "rejected without a reason",
    ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED: "abstract syntax not supported",
    ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED: "transfer syntax not supported",
}


async def diagnose(
    peer: PeerAddress, calling_ae: str, called_ae: str, tls: ssl.SSLContext | None, timeout: float
) -> bool:
    """Print each step and how it went, and stop at the first that fails.

    Args:
        peer: whom to ask.
        calling_ae, called_ae: AE titles.
        tls: speak TLS.
        timeout: seconds for each step.

    Returns:
        True where every step went well.
    """
    diagnosis = _Diagnosis(peer, calling_ae, called_ae, tls, timeout)
    steps: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("name", diagnosis.look_up),
        ("connection", diagnosis.connect),
    ]
    if tls is not None:
        steps.append(("TLS", diagnosis.handshake))
    for name, step in steps:
        if not await _went_well(name, step, timeout):
            return False
    return await diagnosis.talk()


class _Diagnosis:
    def __init__(
        self, peer: PeerAddress, calling_ae: str, called_ae: str, tls: ssl.SSLContext | None, timeout: float
    ) -> None:
        self._peer = peer
        self._calling_ae = calling_ae
        self._called_ae = called_ae
        self._tls = tls
        self._timeout = timeout
        self._answer: AAssociateAC | None = None

    async def look_up(self) -> str:
        """Host name to addresses."""
        found = await asyncio.get_running_loop().getaddrinfo(
            self._peer.host, self._peer.port, type=socket.SOCK_STREAM
        )
        addresses = dict.fromkeys(str(address[4][0]) for address in found)
        return f"{self._peer.host} is {', '.join(addresses)}"

    async def connect(self) -> str:
        """A TCP connection, closed at once."""
        _, writer = await asyncio.open_connection(self._peer.host, self._peer.port)
        address = writer.get_extra_info("peername")[0]
        await _close(writer)
        return f"{address} takes connections on port {self._peer.port}"

    async def handshake(self) -> str:
        """A TLS handshake, and what was agreed in it."""
        _, writer = await asyncio.open_connection(
            self._peer.host, self._peer.port, ssl=self._tls, server_hostname=self._peer.host
        )
        session: ssl.SSLObject = writer.get_extra_info("ssl_object")
        cipher = session.cipher()
        certificate = session.getpeercert()
        await _close(writer)
        text = f"{session.version()} with {cipher[0] if cipher else 'no cipher'}"
        if certificate:
            return f"{text}; certificate valid until {certificate['notAfter']}"
        return f"{text}; the certificate was not checked"

    async def talk(self) -> bool:
        """Associate, echo, release."""
        label = f"association, {self._calling_ae} calls {self._called_ae}"
        # One context for each transfer syntax: the peer's answer says of each what it thinks of it.
        contexts = [ProposedContext(VERIFICATION, (syntax,)) for syntax in UNCOMPRESSED]
        begin = time.perf_counter()
        try:
            async with associate(
                self._peer.host,
                self._peer.port,
                calling_ae=self._calling_ae,
                called_ae=self._called_ae,
                contexts=contexts,
                tls=self._tls,
                timeout=self._timeout,
                observe=self._observe,
            ) as association:
                _say(label, f"accepted ({milliseconds(time.perf_counter() - begin)})")
                label = "C-ECHO"
                self._describe(association, contexts)
                _say(label, await self._echo(association))
                label = "release"
                begin = time.perf_counter()
                await association.release()
                _say(label, f"confirmed ({milliseconds(time.perf_counter() - begin)})")
        except (NetworkError, DimseError, TimeoutError) as error:
            _say_failure(label, error, self._timeout)
            return False
        return True

    async def _echo(self, association: Association) -> str:
        round_trips = [await echo(association, timeout=self._timeout) for _ in range(ECHOES)]
        return f"{ECHOES} of {ECHOES} answered; {round_trip_statistics(round_trips)}"

    def _observe(self, observation: Observation) -> None:
        match observation:
            case PDUReceived(raw) if raw[0] == PDUType.A_ASSOCIATE_AC:
                pdu = decode_pdu(raw[0], raw[HEADER_LENGTH:])
                assert isinstance(pdu, AAssociateAC)
                self._answer = pdu

    def _describe(self, association: Association, contexts: list[ProposedContext]) -> None:
        """What the peer said of itself, and of what was proposed."""
        negotiated = association.negotiated
        version = negotiated.implementation_version_name
        _detail(
            f"implementation {negotiated.implementation_class_uid}, {version or 'which has no version name'}"
        )
        longest = negotiated.maximum_length
        _detail(f"takes P-DATA-TF PDUs of {f'up to {longest} bytes' if longest else 'any length'}")
        assert self._answer is not None, "an association was established without an A-ASSOCIATE-AC"
        results: dict[int, Any] = {
            context.presentation_context_id: context.result for context in self._answer.presentation_contexts
        }
        for number, context in enumerate(contexts):
            result = results.get(2 * number + 1)
            text = (
                "not answered" if result is None else _RESULTS.get(result, f"rejected with result {result}")
            )
            _detail(f"Verification in {name_of(context.transfer_syntaxes[0])}: {text}")


async def _went_well(name: str, step: Callable[[], Awaitable[str]], timeout: float) -> bool:
    begin = time.perf_counter()
    try:
        async with asyncio.timeout(timeout):
            text = await step()
    except OSError as error:  # with TimeoutError, socket.gaierror and ssl.SSLError
        _say_failure(name, error, timeout)
        return False
    _say(name, f"{text} ({milliseconds(time.perf_counter() - begin)})")
    return True


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):  # the peer was quicker
        await writer.wait_closed()


def _say(step: str, text: str) -> None:
    typer.echo(printable(f"{step}: {text}"))


def _detail(text: str) -> None:
    typer.echo(f"    {printable(text)}")


def _say_failure(step: str, error: Exception, timeout: float) -> None:
    text = (
        f"nothing within {timeout:g} s" if isinstance(error, TimeoutError) and not str(error) else str(error)
    )
    typer.echo(printable(f"{step}: FAILED: {text}"))
    advice = hint(error)
    if advice is not None:
        _detail(f"hint: {advice}")
