"""Who is let in, and how many, as data: no socket, no loop."""

from typing import Any, cast

import pytest

from dimse.association import Association
from dimse.enums import CommandField
from dimse.errors import DimseError
from dimse.operation import Operation
from dul.negotiation import ProposedContext, build_request
from dul.pdus import AAssociateRJ, AAssociateRQ
from dul.reasons import RejectReason
from services.server.admission import Access, Admission, is_loopback
from services.server.config import Config, Limits
from services.server.shared_memory import SharedMemory


class FakeProvider:
    def __init__(self, peer: str) -> None:
        self.peer = peer


class FakeAssociation:
    def __init__(self, peer: str = "192.0.2.1:4711") -> None:
        self.provider = FakeProvider(peer)


def association(peer: str = "192.0.2.1:4711") -> Association:
    return cast(Association, FakeAssociation(peer))


def request(calling_ae: str = "CALLER") -> AAssociateRQ:
    contexts = [ProposedContext("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))]
    return build_request(called_ae="SERVER", calling_ae=calling_ae, contexts=contexts)


def codes(answer: AAssociateRJ | None) -> tuple[int, int, int] | None:
    return None if answer is None else (answer.result, answer.reason.source, answer.reason.reason)


def settings(**fields: Any) -> Config:
    return Config(**fields)


@pytest.mark.parametrize(
    ("allowed", "blocked", "caller", "may"),
    [
        (None, (), "ANYBODY", True),
        (None, ("BAD",), "BAD", False),
        (("GOOD",), (), "GOOD", True),
        (("GOOD",), (), "OTHER", False),
        (("GOOD",), (), "good", False),
        (("GOOD", "BOTH"), ("BOTH",), "BOTH", False),
        (("*",), ("BAD",), "ANYBODY", True),
        (("*",), ("BAD",), "BAD", False),
    ],
)
def test_callers_by_title(
    allowed: tuple[str, ...] | None, blocked: tuple[str, ...], caller: str, may: bool
) -> None:
    config = settings(allowed_calling_ae_titles=allowed, blocked_calling_ae_titles=blocked)
    assert Access(config).may_call(caller) is may
    refused = (1, 1, RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED.reason)
    assert codes(Admission(config).judge(request(caller), association())) == (None if may else refused)


@pytest.mark.parametrize(
    ("host", "allowed", "may_store"),
    [
        ("127.0.0.1", None, True),
        ("localhost", None, True),
        ("::1", None, True),
        ("0.0.0.0", None, False),
        ("192.0.2.7", None, False),
        ("archive.example", None, False),
        ("0.0.0.0", ("CALLER",), True),
        ("0.0.0.0", ("*",), True),
    ],
)
def test_unknown_callers_from_the_network_may_only_echo(
    host: str, allowed: tuple[str, ...] | None, may_store: bool
) -> None:
    access = Access(settings(host=host, allowed_calling_ae_titles=allowed))
    access.authorize(operation(CommandField.C_ECHO_RQ))
    if may_store:
        access.authorize(operation(CommandField.C_STORE_RQ))
        return
    with pytest.raises(DimseError) as caught:
        access.authorize(operation(CommandField.C_STORE_RQ))
    assert caught.value.status == 0x0124


def operation(command_field: CommandField) -> Operation:
    class Request:
        pass

    fake = Request()
    fake.request = Request()  # type: ignore[attr-defined]
    fake.request.command_field = command_field  # type: ignore[attr-defined]
    return cast(Operation, fake)


def test_one_more_than_the_limit_is_refused_for_now_and_a_free_place_is_used_again() -> None:
    admission = Admission(settings(max_concurrent_connections=2))
    first, second, third = association(), association(), association()
    assert admission.judge(request(), first) is None
    assert admission.judge(request(), second) is None
    assert codes(admission.judge(request(), third)) == (2, 3, 2)
    admission.closed(third)
    admission.closed(first)
    assert admission.judge(request(), association()) is None


def test_limits_per_caller_and_per_address() -> None:
    limits = Limits(associations_per_caller=1, associations_per_address=2)
    admission = Admission(settings(limits=limits))
    here, there = "192.0.2.1", "192.0.2.2"
    one = association(f"{here}:1")
    assert admission.judge(request("ONE"), one) is None
    assert codes(admission.judge(request("ONE"), association(f"{there}:1"))) == (2, 3, 2)
    assert admission.judge(request("TWO"), association(f"{here}:2")) is None
    assert codes(admission.judge(request("THREE"), association(f"{here}:3"))) == (2, 3, 2)
    admission.closed(one)
    assert admission.judge(request("ONE"), association(f"{here}:4")) is None


def test_too_many_half_open_connections_cost_the_oldest_its_place() -> None:
    admission = Admission(settings(limits=Limits(half_open=2)))
    first, second, third, fourth = (association() for _ in range(4))
    assert admission.connected(first) is None
    assert admission.connected(second) is None
    assert admission.judge(request(), first) is None  # no longer half open
    assert admission.connected(third) is None
    assert admission.connected(fourth) is second


def test_a_server_that_stops_says_so() -> None:
    admission = Admission(settings())
    admission.stopping = True
    assert codes(admission.judge(request(), association())) == (2, 3, 1)


def test_nothing_is_remembered_of_connections_that_are_gone() -> None:
    config = settings(limits=Limits(associations_per_caller=5, associations_per_address=5))
    shared = SharedMemory(config)
    admission = Admission(config, shared.associations)
    for number in range(100):
        gone = association(f"192.0.2.{number}:1")
        admission.connected(gone)
        admission.judge(request(f"AE{number}"), gone)
        admission.closed(gone)
    assert not admission._half_open
    assert not admission._places
    assert shared.associations.taken_by(1) == []


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("127.3.2.1", True), ("[::1]", True), ("10.0.0.1", False)]
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
