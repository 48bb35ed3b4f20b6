"""The peer under test."""

import ssl

import pytest

from raw_bytes import CT_IMAGE, IMPLICIT, VERIFICATION, pdus_of
from services.conformance.target import (
    MODALITY_WORKLIST,
    STORAGE_CLASSES,
    STUDY_ROOT_FIND,
    Offer,
    Service,
    Target,
)


def _target(**fields: object) -> Target:
    return Target(host="127.0.0.1", port=104, called_ae=b"THEM", **fields)  # type: ignore[arg-type]


def test_a_request_carries_the_titles_of_the_target() -> None:
    body = pdus_of(_target().a_associate_rq())[0].body
    assert body[4:36] == b"THEM".ljust(16) + b"CONFORMANCE".ljust(16)
    other = pdus_of(_target().proposing(called=b"OTHER"))[0].body
    assert other[4:20] == b"OTHER".ljust(16)
    assert VERIFICATION in other


def test_uids_are_of_the_run() -> None:
    target = _target(run="42")
    assert target.uid(1, 2) == b"2.25.42.1.2"
    assert target.uid() == b"2.25.42"


@pytest.mark.parametrize(
    ("accepted", "services"),
    [
        ({}, set()),
        ({VERIFICATION: (IMPLICIT,)}, {Service.VERIFICATION}),
        ({STORAGE_CLASSES[2]: (IMPLICIT,)}, {Service.STORAGE}),
        ({STUDY_ROOT_FIND: (IMPLICIT,)}, {Service.FIND}),
        ({MODALITY_WORKLIST: (IMPLICIT,)}, {Service.WORKLIST}),
    ],
)
def test_what_was_accepted_is_offered(
    accepted: dict[bytes, tuple[bytes, ...]], services: set[Service]
) -> None:
    target = _target(offer=Offer(accepted=accepted))
    assert {service for service in Service if target.offers(service)} == services


def test_tls_is_offered_where_it_is_spoken() -> None:
    assert _target(tls=ssl.create_default_context()).offers(Service.TLS)


def test_the_storage_class_is_one_that_is_accepted() -> None:
    assert _target().storage_class == CT_IMAGE
    assert _target(offer=Offer(accepted={STORAGE_CLASSES[3]: ()})).storage_class == STORAGE_CLASSES[3]


def test_there_is_time_until_artim_expires() -> None:
    assert _target(artim=10.0).until_artim > 10.0


@pytest.mark.parametrize(("slowest", "timeout"), [(0.001, 0.5), (0.1, 1.5), (2.0, 5.0)])
def test_an_answer_is_awaited_for_longer_than_it_took_so_far(slowest: float, timeout: float) -> None:
    assert Offer(slowest_answer=slowest).fitting_timeout == timeout
