"""Our reading of every PDU against that of tshark, which nobody here wrote."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import echoscu, run_peer, storescp, storescu
from real_files import real_file
from services.trace.association import TracedPDU
from services.trace.capture import read_capture
from services.trace.fields import Dissection, Field
from services.trace.following import Following
from services.trace.tcp import Reassembler
from wire import capture

pytestmark = [pytest.mark.peer("tshark"), pytest.mark.peer("storescp"), pytest.mark.peer("dumpcap")]

NUMBERS = {
    "dicom.pdu.type": "PDU-type",
    "dicom.pdu.len": "PDU-length",
    "dicom.assoc.version": "Protocol-version",
    "dicom.assoc.item.type": "Item-type",
    "dicom.assoc.item.len": "Item-length",
    "dicom.pctx.result": "Result/Reason",
    "dicom.max_pdu_len": "Maximum-length-received",
    "dicom.pdv.len": "PDV-item-length",
    "dicom.pdv.flags": "Message-control-header",
    "dicom.assoc.reject.result": "Result",
    "dicom.assoc.abort.source": "Source",
    "dicom.assoc.abort.reason": "Reason/Diag.",
}
CONTEXT_IDS = {"dicom.pctx.id", "dicom.pdv.ctx"}
TEXTS = {
    "dicom.assoc.ae.called": "Called-AE-title",
    "dicom.assoc.ae.calling": "Calling-AE-title",
    "dicom.actx": "Application-context-name",
    "dicom.pctx.abss.syntax": "Abstract-syntax-name",
    "dicom.pctx.xfer.syntax": "Transfer-syntax-name",
    "dicom.userinfo.uid": "Implementation-class-UID",
    "dicom.userinfo.version": "Implementation-version-name",
}


def tsharks(file: Path, port: int) -> list[list[tuple[str, str]]]:
    """Fields and values of each PDU as tshark reads them, in the order of the bytes."""
    outcome = run_peer(
        "tshark", "-2", "-r", file, "-o", "tcp.reassemble_out_of_order:TRUE",
        "-d", f"tcp.port=={port},dicom", "-Y", "dicom", "-T", "pdml", deadline=120,
    )  # fmt: skip
    assert outcome.ok, outcome
    text = outcome.output
    pdus: list[list[tuple[str, str]]] = []
    for proto in ET.fromstring(text[text.index("<?xml") :]).iter("proto"):
        if proto.get("name") != "dicom":
            continue
        for found in proto.iter("field"):
            name = found.get("name", "")
            if name == "dicom.pdu.type":
                pdus.append([])
            if name in NUMBERS:
                pdus[-1].append((NUMBERS[name], str(int(found.get("value", "0"), 16))))
            elif name in CONTEXT_IDS:
                pdus[-1].append(("Presentation-context-ID", str(int(found.get("value", "0"), 16))))
            elif name in TEXTS:
                pdus[-1].append((TEXTS[name], bytes.fromhex(found.get("value", "")).rstrip(b"\0 ").decode()))
    return pdus


COMPARED = {*NUMBERS.values(), *TEXTS.values(), "Presentation-context-ID"}


def ours(dissection: Dissection) -> Iterator[tuple[str, str]]:
    """The same of ours."""
    for _, field in dissection.walk():
        if field.name in COMPARED and not field.children:
            yield field.name, _value(dissection.raw, field)


def _value(raw: bytes, field: Field) -> str:
    data = raw[field.offset : field.end]
    if field.name in TEXTS.values():
        return data.rstrip(b"\0 ").decode()
    return str(int.from_bytes(data))


def traced(file: Path) -> list[TracedPDU]:
    following, reassembler = Following(keep=True), Reassembler()
    with file.open("rb") as stream:
        for packet in read_capture(stream):
            for event in reassembler.feed(packet):
                following.take(event)
    return [e for trace in following.traces for e in trace.entries if isinstance(e, TracedPDU)]


def test_tshark_reads_every_pdu_as_we_do(tmp_path: Path) -> None:
    files = [real_file(name) for name in ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "rtplan.dcm")]
    recorded = tmp_path / "recorded.pcapng"
    with storescp(tmp_path / "data") as peer, capture(peer.port, recorded):
        for options in (
            (),
            ("--propose-ts", "20"),
            ("--propose-pc", "8"),
            ("--max-pdu", "4096"),
            ("--abort",),
        ):
            echoscu(peer.port, *options, called=peer.ae_title)
        assert storescu(peer.port, *files, options=("--propose-lossless",), called=peer.ae_title).code in (
            0,
            1,
        )
        assert storescu(peer.port, files[0], options=("--max-send-pdu", "4096"), called=peer.ae_title).ok
    theirs, mine = tsharks(recorded, peer.port), traced(recorded)
    assert len(mine) == len(theirs) > 30
    for number, (pdu, expected) in enumerate(zip(mine, theirs, strict=True), 1):
        assert sorted(ours(pdu.dissection)) == sorted(expected), f"PDU {number}: {pdu.dissection.name}"
        assert not pdu.dissection.error
