"""The peer under test: where it is, what it is called, what it offers, what may be done to it."""

import ssl
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from services.conformance import building
from services.conformance.building import IMPLICIT, VERIFICATION


class Service(StrEnum):
    """What a peer must offer for a case to mean anything."""

    VERIFICATION = "verification"
    STORAGE = "storage"
    FIND = "find"
    GET = "get"
    MOVE = "move"
    WORKLIST = "worklist"
    TLS = "TLS"


_SHORTEST_TIMEOUT, _LONGEST_TIMEOUT = 0.5, 5.0
_PATIENCE = 15


class Offer(Struct, kw_only=True):
    """What the peer said about itself when it was asked, before the first case.

    Attributes:
        implementation_class_uid, implementation_version_name: of its A-ASSOCIATE-AC; empty where missing.
        maximum_length: of a P-DATA-TF it takes, in bytes after the header; 0 for no limit.
        accepted: abstract syntaxes it accepted, each with the transfer syntaxes it took when offered alone.
        serves_several: it answers a second association while a first connection is open.
        slowest_answer: how long it took at most to answer when it was asked, in seconds.
    """

    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    maximum_length: int = 16384
    accepted: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    serves_several: bool = True
    slowest_answer: float = 0.0

    @property
    def fitting_timeout(self) -> float:
        """How long to wait for an answer, in seconds, where nobody says: a good deal longer than it took so far."""
        return min(_LONGEST_TIMEOUT, max(_SHORTEST_TIMEOUT, _PATIENCE * self.slowest_answer))


class Target(Struct, kw_only=True):
    """The peer under test.

    Attributes:
        host, port: where it listens.
        called_ae, calling_ae: titles that it should accept.
        tls: how to speak TLS with it; None for plain TCP.
        timeout: how long an answer may take, in seconds.
        quiet: how long nothing must come for it to count as silence, in seconds.
        artim: the peer's ARTIM timer, in seconds.
        allow_write: instances may be stored in it.
        move_destination: a title the peer knows as a C-MOVE destination and that we answer to; empty for none.
        move_port: where we listen for it, on all interfaces of `move_host`; 0 for nowhere.
        run: digits that are in every UID this run makes, and in its Patient IDs.
        offer: what it offers.
    """

    host: str
    port: int
    called_ae: bytes
    calling_ae: bytes = b"CONFORMANCE"
    tls: ssl.SSLContext | None = None
    timeout: float = 5.0
    quiet: float = 0.3
    artim: float = 30.0
    allow_write: bool = False
    move_destination: bytes = b""
    move_host: str = "127.0.0.1"
    move_port: int = 0
    run: str = "1"
    offer: Offer = field(default_factory=Offer)

    @property
    def until_artim(self) -> float:
        """How long to wait for what the peer does when its ARTIM timer expires, in seconds."""
        return self.artim * 1.2 + 2.0

    def a_associate_rq(self, *items: bytes, **fields: Any) -> bytes:
        """`building.a_associate_rq` with the titles of this target, where no others are given.

        Without items: one context, id 1, Verification in Implicit VR Little Endian.
        """
        fields.setdefault("called", self.called_ae)
        fields.setdefault("calling", self.calling_ae)
        return building.a_associate_rq(*items, **fields)

    def proposing(self, *contexts: bytes, sub_items: tuple[bytes, ...] = (), **fields: Any) -> bytes:
        """An A-ASSOCIATE-RQ with these contexts, and sub-items beside the two that must be there."""
        user_data = (building.maximum_length(16384), building.IMPLEMENTATION_CLASS, *sub_items)
        contexts = contexts or (building.context(1, VERIFICATION, IMPLICIT),)
        return self.a_associate_rq(
            building.application_context(), *contexts, building.user_information(*user_data), **fields
        )

    def uid(self, *numbers: int) -> bytes:
        """A UID of this run, which nobody else has."""
        return ".".join(["2.25", self.run, *map(str, numbers)]).encode()

    def offers(self, service: Service) -> bool:
        """Whether the peer offers a service, as far as it said when it was asked."""
        match service:
            case Service.TLS:
                return self.tls is not None
            case Service.STORAGE:
                return any(uid in self.offer.accepted for uid in STORAGE_CLASSES)
            case _:
                return any(uid in self.offer.accepted for uid in SYNTAXES[service])

    @property
    def storage_class(self) -> bytes:
        """A storage SOP class the peer accepts; CT Image Storage where none is known."""
        for uid in STORAGE_CLASSES:
            if uid in self.offer.accepted:
                return uid
        return STORAGE_CLASSES[0]


STUDY_ROOT_FIND = b"1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = b"1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = b"1.2.840.10008.5.1.4.1.2.2.3"
MODALITY_WORKLIST = b"1.2.840.10008.5.1.4.31"

SYNTAXES = {
    Service.VERIFICATION: (VERIFICATION,),
    Service.FIND: (STUDY_ROOT_FIND,),
    Service.MOVE: (STUDY_ROOT_MOVE,),
    Service.GET: (STUDY_ROOT_GET,),
    Service.WORKLIST: (MODALITY_WORKLIST,),
}
"""Abstract syntaxes by which a peer shows that it offers a service."""

STORAGE_CLASSES = (
    b"1.2.840.10008.5.1.4.1.1.2",  # CT
    b"1.2.840.10008.5.1.4.1.1.4",  # MR
    b"1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    b"1.2.840.10008.5.1.4.1.1.1",  # CR
    b"1.2.840.10008.5.1.4.1.1.6.1",  # US
)
"""Tried in this order; every archive accepts one of them."""
