"""Asking a peer what it offers."""

import pytest

from agreeable import agreeable
from loops import LoopFactory, run
from raw_bytes import abort, pdu
from scripted import HOST, scripted
from servers import running_server
from services.conformance.probe import Unreachable, describe_services, new_run, probe
from services.conformance.target import STORAGE_CLASSES, Service, Target


def _target(port: int, **fields: object) -> Target:
    return Target(host=HOST, port=port, called_ae=b"SERVER", timeout=1.0, **fields)  # type: ignore[arg-type]


def test_our_server_is_probed(tmp_path_factory: pytest.TempPathFactory, loop_factory: LoopFactory) -> None:
    with running_server(tmp_path_factory.mktemp("probe")) as server:
        target = _target(server.port)
        offer = run(probe(target), loop_factory)
    assert target.offer is offer
    assert offer.implementation_version_name.startswith("DICOM_SERVER")
    assert offer.implementation_class_uid.startswith("2.25.")
    assert offer.maximum_length == 131072
    assert offer.serves_several
    assert describe_services(offer) == ["find", "get", "move", "storage", "verification"]
    assert target.offers(Service.STORAGE)
    assert not target.offers(Service.WORKLIST)
    assert target.storage_class == STORAGE_CLASSES[0]
    assert len(offer.accepted[STORAGE_CLASSES[0]]) > 2
    assert b"1.2.840.10008.1.2.1.99" not in offer.accepted[STORAGE_CLASSES[0]], "deflated is off by default"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (pdu(3, bytes([0, 1, 1, 7])), "--called-ae"),
        (pdu(3, bytes([0, 1, 1, 3])), "--aet"),
        (pdu(3, bytes([0, 2, 3, 1])), "reject 2/3/1"),
        (abort(2, 1), "abort 2/1"),
        (b"SSH-2.0-OpenSSH\r\n", "garbage"),
        (b"", "--timeout"),
    ],
)
def test_a_peer_that_lets_nobody_in_is_told_why(answer: bytes, text: str, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted((answer,)) as (port, _):
            with pytest.raises(Unreachable, match=text):
                await probe(_target(port))

    run(main(), loop_factory)


def test_a_peer_that_is_not_there(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted(()) as (port, _):
            pass
        with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{port}: .*refused"):
            await probe(_target(port))

    run(main(), loop_factory)


def test_a_peer_that_accepts_and_does_not_serve(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with agreeable() as port:
            with pytest.raises(Unreachable, match="does not serve"):
                await probe(_target(port))

    run(main(), loop_factory)


def test_every_run_has_digits_of_its_own() -> None:
    first, second = new_run(), new_run()
    assert first != second
    assert first.isdigit()
    assert len(f"2.25.{first}.9999.9999") <= 64
