"""What a peer offers: asked once, before the first case, so that a service it lacks is no failure."""

import time
import uuid

from msgspec.structs import replace

from dul.pdus import (
    AAssociateAC,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
)
from services.conformance.building import EXPLICIT, IMPLICIT, RELEASE_RQ, context
from services.conformance.connection import Connection, Event, cause
from services.conformance.player import lives
from services.conformance.target import STORAGE_CLASSES, SYNTAXES, Offer, Service, Target

_COMPRESSED = (
    b"1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    b"1.2.840.10008.1.2.1.99",  # Deflated
    b"1.2.840.10008.1.2.4.50",  # JPEG Baseline
    b"1.2.840.10008.1.2.4.70",  # JPEG Lossless SV1
    b"1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    b"1.2.840.10008.1.2.5",  # RLE
)
_SINGLE_FILE_PATIENCE = 1.0
"""How long a peer may take to answer while another connection to it is open, in seconds, to count as able to."""


class Unreachable(Exception):
    """There is nothing to test: the peer cannot be reached, or lets nobody in."""


def new_run() -> str:
    """Digits for the UIDs of a run: a UUID as a number (PS3.5 B.2)."""
    return str(uuid.uuid4().int)


async def probe(target: Target) -> Offer:
    """Ask a peer what it offers; `target.offer` is set to it.

    Raises:
        Unreachable: no connection, no answer, or a rejection; the message says what to do about it.
    """
    proposed = _proposals()
    contexts = [
        context(2 * number + 1, abstract, syntax) for number, (abstract, syntax) in enumerate(proposed)
    ]
    try:
        connection = await Connection.open(target.host, target.port, tls=target.tls, timeout=target.timeout)
    except TimeoutError:
        raise Unreachable(f"{_where(target)}: no connection within {target.timeout:g} s") from None
    except OSError as error:
        raise Unreachable(f"{_where(target)}: {cause(error)}") from error
    try:
        asked = time.monotonic()
        await connection.send(target.proposing(*contexts))
        event = await connection.receive(target.timeout)
        answered = time.monotonic()
        if not isinstance(event.pdu, AAssociateAC):
            raise Unreachable(_refusal(target, event))
        target.offer = _read(event.pdu, proposed)
        await connection.send(RELEASE_RQ)
        await connection.receive(target.timeout)
    finally:
        await connection.close()
    begun = time.monotonic()
    problem = await lives(target, patience=target.timeout)
    target.offer.slowest_answer = max(answered - asked, time.monotonic() - begun)
    if problem:
        raise Unreachable(f"{_where(target)} accepts an association but does not serve it: {problem}")
    target.offer.serves_several = await _serves_several(target)
    return target.offer


def _where(target: Target) -> str:
    return f"{target.host}:{target.port}"


def _proposals() -> list[tuple[bytes, bytes]]:
    services = [uid for uids in SYNTAXES.values() for uid in uids]
    plain = [(uid, syntax) for uid in (*services, *STORAGE_CLASSES) for syntax in (IMPLICIT, EXPLICIT)]
    return plain + [(uid, syntax) for uid in STORAGE_CLASSES for syntax in _COMPRESSED]


def _read(ac: AAssociateAC, proposed: list[tuple[bytes, bytes]]) -> Offer:
    offer = Offer()
    for result in ac.presentation_contexts:
        number = result.presentation_context_id // 2
        if result.result == 0 and number < len(proposed):
            abstract, syntax = proposed[number]
            offer.accepted[abstract] = (*offer.accepted.get(abstract, ()), syntax)
    for item in ac.user_data:
        match item:
            case MaximumLengthSubItem(maximum_length_received=length):
                offer.maximum_length = length
            case ImplementationClassUIDSubItem(implementation_class_uid=uid):
                offer.implementation_class_uid = uid
            case ImplementationVersionNameSubItem(implementation_version_name=name):
                offer.implementation_version_name = name
            case _:
                pass
    return offer


def _refusal(target: Target, event: Event) -> str:
    where, called, calling = _where(target), target.called_ae.decode(), target.calling_ae.decode()
    match event.text:
        case "reject 1/1/7":
            return f"{where} does not answer to the AE title '{called}': name its own with --called-ae"
        case "reject 1/1/3":
            return f"{where} does not know the AE title '{calling}': name one it knows with --aet"
        case "silence":
            return f"{where} did not answer an A-ASSOCIATE-RQ within {target.timeout:g} s: --timeout gives it more"
        case text:
            return f"{where} answered an A-ASSOCIATE-RQ with: {text}"


async def _serves_several(target: Target) -> bool:
    """Whether it answers while a connection is open on which nothing is said."""
    idle = await Connection.open(target.host, target.port, tls=target.tls, timeout=target.timeout)
    impatient = replace(target, timeout=min(_SINGLE_FILE_PATIENCE, target.timeout))
    try:
        return not await lives(impatient, patience=0.0)
    finally:
        await idle.close()
        await lives(target)


def describe_services(offer: Offer) -> list[str]:
    """The services it offers, by name."""
    found = [
        service.value for service, uids in SYNTAXES.items() if any(uid in offer.accepted for uid in uids)
    ]
    if any(uid in offer.accepted for uid in STORAGE_CLASSES):
        found.append(Service.STORAGE.value)
    return sorted(found)
