"""The archive's errors as statuses, and what each peer may get wrong, through the whole server."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pydicom
import pytest
from pydicom.data import get_testdata_file

from dimse.command_set import encode_command_set
from dimse.fragmenter import command_pdus
from dimse.messages import CEchoRQ
from dul.encode import encode_pdu
from dul.errors import AssociationRejected
from dul.negotiation import ProposedContext, build_request
from dul.pdus import PDV, PDataTF
from servers import RunningServer, running_server
from services import associate, contexts_for, read_instance, store, verification_context
from services.archive.errors import ArchiveError, NotIndexed, NotRecordable, UIDMismatch
from services.server.archive_store import ArchiveStore
from services.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from services.storage import encode_dataset
from services.verification import echo_once
from ul_peers import ABORT_BY_USER, raw_peer

CT = Path(str(get_testdata_file("CT_small.dcm")))
FILE = read_instance(CT)
DATA_SET = CT.read_bytes()[FILE.data_set_offset :]


def changed(**elements: object) -> bytes:
    dataset = pydicom.dcmread(CT)
    for keyword, value in elements.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return encode_dataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN)


async def store_as(port: int, calling_ae: str, data_set: bytes) -> int:
    contexts = contexts_for([FILE])
    async with associate(
        "127.0.0.1", port, called_ae="SERVER", calling_ae=calling_ae, contexts=contexts
    ) as peer:
        response = await store(
            peer,
            sop_class_uid=FILE.sop_class_uid,
            sop_instance_uid=FILE.sop_instance_uid,
            data_set=data_set,
            transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
        )
    return response.status


@pytest.mark.parametrize(
    ("data_set", "expected"),
    [
        (changed(StudyInstanceUID=None), 0xA900),
        (changed(SeriesInstanceUID=None), 0xA900),
        (changed(SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), 0xA900),
        (changed(PatientID=None), 0x0000),
        (DATA_SET[:-2], 0xC000),
        (b"\xff" * 1000, 0xC000),
        (b"\x02\x00\x10\x00UI\x04\x001.2\0" + DATA_SET, 0xC000),
    ],
    ids=["no study", "no series", "other class", "no patient id", "truncated", "no data set", "group 0002"],
)
def test_each_fault_has_its_status_and_leaves_nothing(tmp_path: Path, data_set: bytes, expected: int) -> None:
    with running_server(tmp_path) as server:
        assert asyncio.run(store_as(server.port, "TESTER", data_set)) == expected
        assert len(server.stored()) == (expected == 0)
        assert server.left_in_incoming() == []


@pytest.mark.parametrize(
    ("error", "status", "comment"),
    [
        (
            UIDMismatch(
                "SOP Instance UID differs from the command's: the data set has '1.2', announced was '1.3'"
            ),
            0xA900,
            "SOP Instance UID differs from the command's",
        ),
        (
            NotIndexed(
                "the index could not take the instance: OperationalError: no route to 192.0.2.9 (1/2/3.dcm)"
            ),
            0xA700,
            "the index could not take the instance",
        ),
        (
            NotRecordable("the index does not take what its data set says: DataError"),
            0xC000,
            "the index does not take what its data set says",
        ),
    ],
)
def test_a_comment_says_what_is_wrong_within_lo(error: ArchiveError, status: int, comment: str) -> None:
    association = SimpleNamespace(number=1, provider=SimpleNamespace(peer="192.0.2.7:1"))
    refused = ArchiveStore._refused(
        cast(Any, None), cast(Any, SimpleNamespace(association=association)), error
    )
    assert (refused.status, refused.comment) == (status, comment)


def tolerant(tmp_path: Path, switch: str) -> tuple[str, str]:
    configuration = tmp_path / "server.json"
    configuration.write_text(json.dumps({"peers": {"OLD_CT": {"tolerate": [switch]}}}))
    return "--config", str(configuration)


def assert_counted(server: RunningServer, switch: str) -> None:
    assert server.wait_for("tolerated")["switch"] == switch
    assert server.ask("stats")["violationsTolerated"][switch] == 1


@pytest.mark.parametrize(
    ("switch", "data_set"),
    [
        ("truncated-data", DATA_SET[:-2]),
        ("mismatched-vr", encode_dataset(pydicom.dcmread(CT), IMPLICIT_VR_LITTLE_ENDIAN)),
    ],
)
def test_a_data_set_is_taken_from_the_peer_that_may(tmp_path: Path, switch: str, data_set: bytes) -> None:
    with running_server(tmp_path, *tolerant(tmp_path, switch)) as server:
        assert asyncio.run(store_as(server.port, "OTHER", data_set)) == 0xC000
        assert asyncio.run(store_as(server.port, "OLD_CT", data_set)) == 0x0000
        assert_counted(server, switch)
        [stored] = server.stored()
        assert stored.read_bytes()[read_instance(stored).data_set_offset :] == data_set


@pytest.mark.parametrize(("switch", "called"), [("called-ae-title", "WHATEVER"), ("ae-title-case", "server")])
def test_a_called_title_is_let_pass_for_the_peer_that_may(tmp_path: Path, switch: str, called: str) -> None:
    with running_server(tmp_path, *tolerant(tmp_path, switch)) as server:
        with pytest.raises(AssociationRejected):
            asyncio.run(echo_once("127.0.0.1", server.port, "OTHER", called))
        asyncio.run(echo_once("127.0.0.1", server.port, "OLD_CT", called))
        assert_counted(server, switch)


def associate_request(calling_ae: str) -> bytes:
    contexts = [verification_context(), ProposedContext(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))]
    return encode_pdu(build_request(called_ae="SERVER", calling_ae=calling_ae, contexts=contexts))


async def exchange(port: int, sent: bytes) -> bytes:
    async with raw_peer(port) as peer:
        peer.send(sent)
        return await peer.receive()


def test_another_application_context_is_let_pass_for_the_peer_that_may(tmp_path: Path) -> None:
    name, other = b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"
    with running_server(tmp_path, *tolerant(tmp_path, "application-context")) as server:
        refused = asyncio.run(exchange(server.port, associate_request("OTHER").replace(name, other)))
        assert (refused[0], *refused[7:10]) == (3, 1, 1, 2)
        taken = asyncio.run(exchange(server.port, associate_request("OLD_CT").replace(name, other)))
        assert taken[0] == 2
        assert_counted(server, "application-context")


def test_context_ids_are_let_pass_for_the_peer_that_may(tmp_path: Path) -> None:
    third, second = b"\x03\x00\x00\x00\x30", b"\x02\x00\x00\x00\x30"
    with running_server(tmp_path, *tolerant(tmp_path, "context-ids")) as server:
        refused = asyncio.run(exchange(server.port, associate_request("OTHER").replace(third, second)))
        assert refused == ABORT_BY_USER
        taken = asyncio.run(exchange(server.port, associate_request("OLD_CT").replace(third, second)))
        assert taken[0] == 2
        assert taken.count(b"\x21\x00") == 1
        assert_counted(server, "context-ids")


def test_a_pdu_longer_than_announced_is_let_pass_for_the_peer_that_may(tmp_path: Path) -> None:
    message = CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION)
    [echo] = command_pdus(1, encode_command_set(message), 131072)
    oversized = encode_pdu(echo)
    # 5000 empty fragments on the same context come before the command, in the same PDU.
    empty = b"\x00\x00\x00\x02\x01\x01" * 5000
    oversized = b"\x04\x00" + (len(oversized) - 6 + len(empty)).to_bytes(4, "big") + empty + oversized[6:]

    async def scenario(port: int, calling_ae: str) -> bytes:
        async with raw_peer(port) as peer:
            peer.send(associate_request(calling_ae))
            assert (await peer.receive())[0] == 2
            peer.send(oversized)
            return await peer.receive()

    options = ("--max-pdu-size", "4096", *tolerant(tmp_path, "oversized-pdu"))
    with running_server(tmp_path, *options) as server:
        assert asyncio.run(scenario(server.port, "OTHER")) == bytes.fromhex("07000000000400000206")
        assert asyncio.run(scenario(server.port, "OLD_CT"))[0] == 4
        assert_counted(server, "oversized-pdu")


@pytest.mark.parametrize("switch", ["odd-fragments", "implementation-class-uid"])
def test_small_sins_are_let_pass_for_the_peer_that_may(tmp_path: Path, switch: str) -> None:
    [echo] = command_pdus(
        1, encode_command_set(CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION)), 131072
    )
    command = bytes(echo.pdvs[0].data)
    odd = encode_pdu(PDataTF((PDV(1, 1, command[:7]),))) + encode_pdu(PDataTF((PDV(1, 3, command[7:]),)))

    async def scenario(port: int, calling_ae: str) -> bytes:
        async with raw_peer(port) as peer:
            request = associate_request(calling_ae)
            if switch == "implementation-class-uid":
                request = request.replace(b"\x52\x00", b"\x7e\x00", 1)  # an unknown sub-item in its place
            peer.send(request)
            answer = await peer.receive()
            if answer[0] != 2:
                return answer
            peer.send(odd if switch == "odd-fragments" else encode_pdu(echo))
            return await peer.receive()

    refused = {
        "odd-fragments": bytes.fromhex("07000000000400000206"),
        "implementation-class-uid": bytes.fromhex("03000000000400010101"),
    }
    with running_server(tmp_path, *tolerant(tmp_path, switch)) as server:
        assert asyncio.run(scenario(server.port, "OTHER")) == refused[switch]
        assert asyncio.run(scenario(server.port, "OLD_CT"))[0] == 4
        assert_counted(server, switch)
