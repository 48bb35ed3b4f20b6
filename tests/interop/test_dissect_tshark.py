"""Every PDU as we read it against tshark's DICOM dissector, which nobody here wrote: fields, places, values.

Both name each field by its place in the PDU; what the one names and the other does not is written down here. Where
tshark 4.0 differs:

* A few fields it does not show (`NOT_SHOWN`). Of the sub-items 57H and 59H, which it does not know, it shows only the
  header; over unknown items outside of the user information it passes without a word.
* The service class application information it shows byte by byte, by the options of C-FIND whatever the class.
* The length of a secondary field that is empty it does not show.
* It shows a passcode, and we do not: of those fields the places are compared, not the values.
* It shows command and data sets where their last fragment is; for commands in one fragment that is where we do, and
  data sets are compared as joined.
* Some fixtures it does not dissect, or otherwise (`UNDISSECTED`).
* The names of UIDs are those of different editions: only the UIDs are compared.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dissecting import SOUND, hex_bytes
from peers import echoscu, findscu, run_peer, storescp, storescu
from real_files import real_file
from servers import running_server
from services.printable import printable
from services.trace.capture import read_capture
from services.trace.dissect import dissect, dissect_data_set
from services.trace.fields import Dissection, Field, Side
from services.trace.pcap_writer import PCAP_HEADER, PcapConnection
from services.trace.reading import MessageReader, PDUReader
from services.trace.tcp import Data, Reassembler
from wire import capture

EXPLICIT = "1.2.840.10008.1.2.1"

NUMBERS = {
    "dicom.pdu.type": "PDU-type",
    "dicom.pdu.len": "PDU-length",
    "dicom.assoc.version": "Protocol-version",
    "dicom.assoc.item.type": "Item-type",
    "dicom.assoc.item.len": "Item-length",
    "dicom.assoc.reject.result": "Result",
    "dicom.assoc.reject.source": "Source",
    "dicom.assoc.reject.reason": "Reason/Diag.",
    "dicom.assoc.abort.source": "Source",
    "dicom.assoc.abort.reason": "Reason/Diag.",
    "dicom.pctx.id": "Presentation-context-ID",
    "dicom.pctx.result": "Result/Reason",
    "dicom.max_pdu_len": "Maximum-length-received",
    "dicom.userinfo.asyncneg.maxnumopsinv": "Maximum-number-operations-invoked",
    "dicom.userinfo.asyncneg.maxnumopsper": "Maximum-number-operations-performed",
    "dicom.userinfo.rolesel.sopclassuid.len": "UID-length",
    "dicom.userinfo.rolesel.scurole": "SCU-role",
    "dicom.userinfo.rolesel.scprole": "SCP-role",
    "dicom.userinfo.extneg.sopclassuid.len": "UID-length",
    "dicom.userinfo.user_identify.type": "User-Identity-Type",
    "dicom.userinfo.user_identify.response_requested": "Positive-response-requested",
    "dicom.userinfo.user_identify.primary_field_length": "Field-length",
    "dicom.userinfo.user_identify.secondary_field_length": "Field-length",
    "dicom.pdv.len": "PDV-item-length",
    "dicom.pdv.ctx": "Presentation-context-ID",
    "dicom.pdv.flags": "Message-control-header",
}
UIDS = {
    "dicom.actx": "Application-context-name",
    "dicom.pctx.abss.syntax": "Abstract-syntax-name",
    "dicom.pctx.xfer.syntax": "Transfer-syntax-name",
    "dicom.userinfo.uid": "Implementation-class-UID",
    "dicom.userinfo.rolesel.sopclassuid": "SOP-class-UID",
    "dicom.userinfo.extneg.sopclassuid": "SOP-class-UID",
}
TITLES = {
    "dicom.assoc.ae.called": "Called-AE-title",
    "dicom.assoc.ae.calling": "Calling-AE-title",
    "dicom.userinfo.version": "Implementation-version-name",
}
HIDDEN = {
    "dicom.userinfo.user_identify.primary_field": "Primary-field",
    "dicom.userinfo.user_identify.secondary_field": "Secondary-field",
}
"""tshark shows a passcode; we do not: only the places are compared."""

NAMED = {**NUMBERS, **UIDS, **TITLES, **HIDDEN}

NOT_SHOWN = {
    "Reserved": "it shows no reserved bytes",
    "Data": "of unknown items",
    "Fragment": "it shows what is in it, where it is whole",
    "Surplus bytes": "not shown",
    "Service-class-application-information": "by its options, which differ from class to class",
    "Sub-item-version": "of 57H, which it does not know",
    "Service-class-UID": "of 57H",
    "Related-general-SOP-class-UID": "of 57H",
    "Server-response": "of 59H, which it does not know",
    "Tag": "compared as elements",
    "Value-length": "compared as elements",
    "Value": "compared as elements",
}
"""Our fields for which tshark has none, and why."""

_ELEMENT = re.compile(r"\((\w{4}),(\w{4})\) +(\d+|-1|0x\w+|<undefined>) ")
_NAME_WIDTH = 45  # of an element, before its value
_SHOWN_UID = re.compile(r"(?:.*\()?([0-9.]*)\)?")


class Shown(NamedTuple):
    """A field, whoever shows it; its value as one text for both."""

    offset: int
    length: int
    name: str
    value: str


class Element(NamedTuple):
    """An element of a command or data set: where it is, what it is, and its value where it was compared."""

    offset: int
    length: int
    tag: str
    value: str = ""


class Seen(NamedTuple):
    """A PDU as tshark shows it."""

    fields: list[Shown]
    elements: list[Element]


# -- tshark's reading


def by_tshark(file: Path, port: int) -> dict[tuple[int, Side], list[Seen]]:
    """The PDUs of each direction of each connection, in order."""
    outcome = run_peer(
        "tshark", "-2", "-r", file, "-o", "tcp.reassemble_out_of_order:TRUE",
        "-d", f"tcp.port=={port},dicom", "-Y", "dicom && tcp", "-T", "pdml", deadline=120,
    )  # fmt: skip
    assert outcome.ok, outcome
    text = outcome.output
    found: dict[tuple[int, Side], list[Seen]] = {}
    for packet in ET.fromstring(text[text.index("<?xml") :]).iter("packet"):
        stream = int(value_of(packet, "tcp.stream"))
        sender = Side.ACCEPTOR if int(value_of(packet, "tcp.srcport")) == port else Side.REQUESTOR
        for proto in packet.iterfind("proto[@name='dicom']"):
            found.setdefault((stream, sender), []).append(seen(proto))
    return found


def value_of(packet: ET.Element, name: str) -> str:
    field = packet.find(f".//field[@name='{name}']")
    assert field is not None
    return field.get("show", "")


def seen(proto: ET.Element) -> Seen:
    start = int(proto.get("pos", ""))
    fields, elements = [], []
    for field in proto.iter("field"):
        name, offset = field.get("name", ""), int(field.get("pos", "")) - start
        length, show = int(field.get("size", "")), field.get("show", "")
        if name in NAMED:
            fields.append(Shown(offset, length, NAMED[name], as_we_write(name, show, field.get("value", ""))))
        elif match := _ELEMENT.match(show):
            tag = f"({match[1]},{match[2]})".upper()
            elements.append(Element(offset, length, tag, show[match.end() + _NAME_WIDTH :].strip()))
    return Seen(fields, elements)


def as_we_write(name: str, show: str, value: str) -> str:
    """What tshark shows of a value, in one form for both."""
    if name in NUMBERS:
        return str(int(show, 0))
    if name in UIDS:
        match = _SHOWN_UID.fullmatch(show)
        return match[1] if match else show.rstrip()  # which it cannot look up where it is padded
    return printable(bytes.fromhex(value).decode("latin-1")) if name in TITLES else ""


# -- our reading


def by_us(dissection: Dissection) -> list[Shown]:
    """The leaves for which tshark has a name, those in sub-items that it does not know left out."""
    return list(_shown(dissection.fields, known=True))


def _shown(fields: tuple[Field, ...], *, known: bool) -> Iterator[Shown]:
    for field in fields:
        if field.name.startswith("Unknown Item") or (field.name, field.value) == ("Field-length", "0"):
            continue
        if field.children:
            inside = field.children[0].value not in ("57H", "59H") and known
            yield from _shown(field.children, known=inside)
        elif field.name in NAMED.values() and (known or field.name in ("Item-type", "Item-length")):
            yield Shown(field.offset, field.length, field.name, as_tshark_writes(field))
        else:
            assert field.name in NOT_SHOWN or not known, field


def as_tshark_writes(field: Field) -> str:
    if field.name in HIDDEN.values():
        return ""
    if field.name in TITLES.values():
        return field.value.strip("'")
    if field.name in UIDS.values():
        return field.value.replace("<empty>", "")
    return str(int(field.value[:-1], 16)) if field.value.endswith("H") else field.value


def elements_of(fields: tuple[Field, ...]) -> list[Element]:
    """The elements, items and delimiters among these fields, each with its header and its value."""
    return [
        Element(field.offset, field.length, field.children[0].value, field.value)
        for top in fields
        for _, field in top.walk()
        if field.children and field.children[0].name == "Tag"
    ]


def pdus_of(file: Path, port: int) -> dict[tuple[int, Side], list[Dissection]]:
    """The PDUs of each direction of each connection, in order, out of the same capture."""
    readers: dict[tuple[int, Side], PDUReader] = {}
    found: dict[tuple[int, Side], list[Dissection]] = {}
    reassembler = Reassembler([port])
    with file.open("rb") as stream:
        events = [event for packet in read_capture(stream) for event in reassembler.feed(packet)]
    for event in [*events, *reassembler.finish()]:
        if isinstance(event, Data):
            key = (event.connection.number - 1, event.sender)
            reader = readers.setdefault(key, PDUReader())
            found.setdefault(key, []).extend(dissect(read) for read in reader.feed(event.data))
    return found


# -- both


def assert_agree(theirs: Seen, ours: Dissection) -> None:
    assert theirs.fields == by_us(ours), ours.name
    mine = [element for element in elements_of(ours.fields) if element.tag.startswith("(0000,")]
    command = [element for element in theirs.elements if element.tag.startswith("(0000,")]
    if mine:
        assert [each[:3] for each in command] == [each[:3] for each in mine]
        for shown, element in zip(command, mine, strict=True):
            assert_same_value(shown.value, element, ours)


def assert_same_value(shown: str, element: Element, ours: Dissection) -> None:
    """A value of a command element: tshark names messages, shows statuses in hexadecimal, other numbers in decimal."""
    field = next(f for _, f in ours.walk() if f.children and (f.offset, f.length) == element[:2])
    value = field.value.strip("'")
    if element.tag == "(0000,0100)":
        assert shown == field.meaning
    elif element.tag == "(0000,0900)":
        assert int(shown[shown.index("(0x") + 3 : -1], 16) == int(value[:-1], 16)
    elif re.fullmatch("[0-9A-F]{4}H", value):
        assert shown.split()[0] == str(int(value[:-1], 16))
    else:
        assert shown.partition(" (")[0] == value


def compared(file: Path, port: int) -> list[Dissection]:
    """Compare all PDUs of a capture; our reading of them."""
    theirs, ours = by_tshark(file, port), pdus_of(file, port)
    assert theirs.keys() == ours.keys()
    for key in ours:
        assert [pdu.fields[0].value for pdu in theirs[key]] == [str(pdu.raw[0]) for pdu in ours[key]]
        for seen_pdu, dissection in zip(theirs[key], ours[key], strict=True):
            assert_agree(seen_pdu, dissection)
            assert dissection.error == ""
            assert dissection.problems == []
    return [pdu for pdus in ours.values() for pdu in pdus]


@pytest.mark.peer("tshark", "dumpcap", "storescp", "storescu", "echoscu", "findscu")
def test_associations_of_toolkits(tmp_path: Path) -> None:
    files = [real_file(name) for name in ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm")]
    recorded = tmp_path / "recorded.pcapng"
    with storescp(tmp_path / "in", "--max-pdu", "4096") as peer, capture(peer.port, recorded):
        for options in ((), ("--propose-ts", "20"), ("--propose-pc", "128"), ("--abort",), ("--repeat", "3")):
            assert echoscu(peer.port, *options, called=peer.ae_title).ok
        assert storescu(peer.port, *files, called=peer.ae_title).ok
        user = ("--user", "somebody", "--password", "secret", "--pos-response")
        storescu(peer.port, files[0], options=user, called=peer.ae_title)
        findscu(peer.port, "-S", "-k", "QueryRetrieveLevel=STUDY", called=peer.ae_title)
    pdus = compared(recorded, peer.port)
    assert {pdu.name for pdu in pdus} == {
        "A-ASSOCIATE-RQ", "A-ASSOCIATE-AC", "P-DATA-TF", "A-RELEASE-RQ", "A-RELEASE-RP", "A-ABORT",
    }  # fmt: skip
    said = {pdu.summary for pdu in pdus}
    assert "service-user (0/0)" in said
    assert "accepted 0 of 1 context, maximum length 4096" in said
    assert any("command, last: C-STORE-RSP" in text for text in said)


@pytest.mark.peer("tshark", "dumpcap", "storescu", "echoscu")
def test_associations_of_our_server(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.pcapng"
    with running_server(tmp_path, "--max-pdu-size", "16384") as server, capture(server.port, recorded):
        assert echoscu(server.port, called="SERVER").ok
        assert storescu(server.port, real_file("CT_small.dcm"), called="SERVER").ok
        assert not echoscu(server.port, called="NOBODY").ok
    pdus = compared(recorded, server.port)
    assert "rejected-permanent, service-user: called-AE-title-not-recognized (1/1/7)" in {
        p.summary for p in pdus
    }


@pytest.mark.peer("tshark", "dumpcap", "storescp", "storescu")
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "reportsi.dcm"])
def test_data_sets(tmp_path: Path, name: str) -> None:
    """Element by element, those in sequences too: tag, place and length."""
    recorded = tmp_path / "recorded.pcapng"
    with storescp(tmp_path / "in") as peer, capture(peer.port, recorded):
        assert storescu(peer.port, real_file(name), called=peer.ae_title).ok
    key = (0, Side.REQUESTOR)
    theirs, ours = by_tshark(recorded, peer.port)[key], pdus_of(recorded, peer.port)
    (message,) = messages_of(ours[key])
    assert message.data_set is not None
    syntax = transfer_syntaxes(ours[0, Side.ACCEPTOR][0])[message.context_id]
    mine = elements_of(dissect_data_set(message.data_set, syntax, limit=1 << 30))
    last = theirs[max(number for number, pdu in enumerate(theirs) if pdu.elements)]
    shown = [element for element in last.elements if not element.tag.startswith("(0000,")]
    start = shown[0].offset
    assert [(e.offset - start, e.tag) for e in shown] == [(e.offset, e.tag) for e in mine]


def messages_of(pdus: list[Dissection]) -> list[object]:
    reader = MessageReader()
    return [message for pdu in pdus if pdu.name == "P-DATA-TF" for message in reader.feed(pdu.pdu)]


def transfer_syntaxes(answer: Dissection) -> dict[int, str]:
    return {c.presentation_context_id: c.transfer_syntax for c in answer.pdu.presentation_contexts}


UNDISSECTED = {
    "a_abort_empty": "shorter than 10 bytes",
    "a_associate_ac_refused_with_garbage": "it stops at what stands behind the refusal",
    "a_associate_rq_unknown_items": "an item of an answer it dissects in a request too, where it is an unknown one",
    "a_associate_rq_user_identity_reserved": "a secondary field, which it shows with type 2 only",
    "p_data_tf_control_bits_set": "reserved bits in the control header",
    "p_data_tf_empty_fragment": "an empty fragment",
    "p_data_tf_odd_fragment": "an odd fragment",
}
"""Fixtures of which tshark shows something else, and why."""


@pytest.mark.peer("tshark")
def test_every_sound_fixture(tmp_path: Path) -> None:
    """One connection each; so also the items that no toolkit here sends."""
    recorded = tmp_path / "fixtures.pcap"
    files = [file for file in SOUND if file.stem not in UNDISSECTED]
    with recorded.open("wb") as out:
        out.write(PCAP_HEADER)
        for number, file in enumerate(files):
            raw, at = hex_bytes(file), 1000.0 + number
            connection = PcapConnection(out.write, ("127.0.0.1", 40000 + number), ("127.0.0.1", 104))
            connection.opened(at)
            connection.data(Side.ACCEPTOR if raw[0] in (2, 3, 6) else Side.REQUESTOR, raw, at + 0.1)
            connection.closed(Side.REQUESTOR, at + 0.2)
    theirs, ours = by_tshark(recorded, 104), pdus_of(recorded, 104)
    assert theirs.keys() == ours.keys()
    assert len(ours) == len(files)
    for key, file in zip(sorted(ours, key=lambda key: key[0]), files, strict=True):
        ((seen_pdu,), (dissection,)) = theirs[key], ours[key]
        assert dissection.raw == hex_bytes(file)
        assert_agree(seen_pdu, dissection)
