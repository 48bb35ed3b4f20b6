"""Which services a configuration makes, and what they are told of it."""

from typing import Any

import pytest

from services.find import Find
from services.retrieve.get import Get
from services.retrieve.move import Move
from services.server.config import Config, Destination, Limits, Retrieve
from services.server.services import negotiate_extended, services_of
from services.storage import ArchiveStorage
from services.verification import Verification

STORE: Any = object()
INDEX: Any = object()


def test_without_an_index_nothing_can_be_asked() -> None:
    kinds = [type(service) for service in services_of(Config(database="none"), STORE, None)]
    assert kinds == [Verification, ArchiveStorage]


def test_with_an_index() -> None:
    kinds = [type(service) for service in services_of(Config(), STORE, INDEX)]
    assert kinds == [Verification, ArchiveStorage, Find, Get, Move]


def test_destinations_are_those_of_the_configuration() -> None:
    known = {"WORKSTATION": Destination(host="h", port=104, ae_title="WS1")}
    for ad_hoc in (False, True):
        config = Config(known_destinations=known, allow_ad_hoc_destinations=ad_hoc)
        move = services_of(config, STORE, INDEX)[-1]
        assert isinstance(move, Move)
        found = move._destinations.find("WORKSTATION")
        assert found is not None
        assert (found.host, found.port, found.ae_title) == ("h", 104, "WS1")
        assert move._destinations.find("PACS") is None
        assert (move._destinations.find("localhost:11112:AE") is not None) is ad_hoc


def test_how_instances_are_sent_is_that_of_the_configuration() -> None:
    retrieve = Retrieve(
        parallel=2, window=3, retries=4, connect_timeout=5, response_timeout=6, move_timeout=7, moves=8
    )
    config = Config(retrieve=retrieve, limits=Limits(identifier_length=2048))
    move = services_of(config, STORE, INDEX)[-1]
    assert isinstance(move, Move)
    options = move._options
    assert (options.parallel, options.window, options.retries, options.moves) == (2, 3, 4, 8)
    assert (options.connect_timeout, options.response_timeout, options.move_timeout) == (5, 6, 7)
    assert options.maximum_identifier == 2048


@pytest.mark.parametrize(
    ("sop_class", "asked", "answered"),
    [
        ("1.2.840.10008.5.1.4.1.2.1.1", bytes([1, 1, 1, 1, 1]), bytes([1, 1, 1, 0, 0])),
        ("1.2.840.10008.5.1.4.1.2.2.3", bytes([1, 1]), bytes([1, 0])),
        ("1.2.840.10008.5.1.4.1.2.2.2", bytes([0]), bytes([0])),
        ("1.2.840.10008.5.1.4.1.1.2", bytes([2, 0, 0, 0, 1, 0]), None),
        ("1.2.840.10008.1.1", b"\1", None),
    ],
)
def test_extended_negotiation(sop_class: str, asked: bytes, answered: bytes | None) -> None:
    assert negotiate_extended(sop_class, asked) == answered
