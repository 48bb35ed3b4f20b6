"""Real images from toolkits nobody here wrote, each kept as the bytes that were on the wire."""

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE

import corpus
from corpus import Sample
from dimse.command_set import decode_command_set
from dimse.messages import CStoreRSP
from dul.pdus import AReleaseRP
from peers import HOST, dcmsend, gdcmscu, run_peer, storescu
from raw_sender import send_raw
from real_files import real_files
from servers import RunningServer, running_server
from services import read_instance
from wire import RecordingProxy, SentInstance, messages_of, pdus_of, recording_proxy

AE_TITLE = "SERVER"
DICOM_SEND = [sys.executable, "-c", "from services.cli.send import app; app()"]

NO_MATCH, INVALID_INSTANCE, CANNOT_UNDERSTAND = 0xA900, 0x0117, 0xC000

REFUSED = dict.fromkeys(corpus.WITHOUT_STUDY, NO_MATCH) | dict.fromkeys(corpus.INVALID_UID, INVALID_INSTANCE)
"""What the server refuses from those who announce the UIDs of the data set, and send nothing unfit."""

REFUSED_AS_IT_IS = dict.fromkeys(corpus.WITHOUT_IDENTITY, NO_MATCH) | dict.fromkeys(
    corpus.DAMAGED, CANNOT_UNDERSTAND
)
"""What it refuses beside that from those who send every file as it is."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sample]]:
    with corpus.corpus(tmp_path_factory.mktemp("corpus") / "files") as files:
        yield files


@contextmanager
def serving(folder: Path, durability: str = "process") -> Iterator[RunningServer]:
    """A server that takes the deflated transfer syntax too; what it kept is removed once all is well."""
    configuration = folder / "server.toml"
    configuration.write_text("[storage]\nacceptDeflated = true\n")
    with running_server(folder, "--durability", durability, "--config", str(configuration)) as server:
        yield server
    shutil.rmtree(server.data_directory)


def test_every_real_file_is_sent_or_has_a_reason(samples: list[Sample]) -> None:
    names = {path.name for path in real_files()}
    assert {sample.name for sample in samples} == names - corpus.NOT_SENT.keys()
    assert len(samples) > 240
    assert names >= corpus.NOT_SENT.keys() | corpus.UNFIT | corpus.META_DIFFERS | corpus.UIDS_AS_UN
    assert {s.name for s in samples if s.meta_instance != s.sop_instance} == corpus.META_DIFFERS


# -- toolkits


def by_storescu(port: int, samples: list[Sample], folder: Path) -> object:
    """On one association, every file in its own transfer syntax: that takes a file of contexts."""
    pairs = list(dict.fromkeys((sample.sop_class, sample.transfer_syntax) for sample in samples))
    syntaxes = list(dict.fromkeys(syntax for _, syntax in pairs))
    lines = ["[[TransferSyntaxes]]"]
    for number, syntax in enumerate(syntaxes):
        lines += [f"[TS{number}]", f"TransferSyntax1 = {syntax}"]
    lines += ["[[PresentationContexts]]", "[Contexts]"]
    for number, (sop_class, syntax) in enumerate(pairs, 1):
        lines.append(f"PresentationContext{number} = {sop_class}\\TS{syntaxes.index(syntax)}")
    lines += ["[[Profiles]]", "[All]", "PresentationContexts = Contexts"]
    profile = folder / "storescu.cfg"
    profile.write_text("\n".join(lines) + "\n")
    options = ("--config-file", str(profile), "All", "--no-halt")
    return storescu(port, *(sample.path for sample in samples), called=AE_TITLE, options=options)


def by_dcmsend(port: int, samples: list[Sample], folder: Path) -> object:
    options = ("--no-halt", "--decompress-never")
    return dcmsend(port, *(sample.path for sample in samples), called=AE_TITLE, options=options)


def by_gdcmscu(port: int, samples: list[Sample], folder: Path) -> object:
    """It proposes what its first file needs, so each kind of file goes on an association of its own."""
    kinds: dict[tuple[str, str], list[Path]] = {}
    for sample in samples:
        kinds.setdefault((sample.sop_class, sample.transfer_syntax), []).append(sample.path)
    return [gdcmscu(port, *paths, mode="--store", called=AE_TITLE) for paths in kinds.values()]


def by_pynetdicom(port: int, samples: list[Sample], folder: Path) -> object:
    ae = AE("PYNETDICOM")
    for pair in dict.fromkeys((sample.sop_class, sample.transfer_syntax) for sample in samples):
        ae.add_requested_context(*pair)
    association = ae.associate(HOST, port, ae_title=AE_TITLE)
    assert association.is_established
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that are odd on purpose
        answers = {sample.name: association.send_c_store(sample.path) for sample in samples}
    association.release()
    return answers


def by_dicom_send(port: int, samples: list[Sample], folder: Path) -> object:
    """Our own; what it tells of failures is what was on the wire."""
    argv = [*DICOM_SEND, f"pacs://{HOST}:{port}", "--called-ae", AE_TITLE, "--format", "json"]
    paths = [str(sample.path) for sample in samples]
    done = subprocess.run([*argv, *paths], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done
    told = {Path(one["file"]).name: int(one["status"], 16) for one in json.loads(done.stdout)["failures"]}
    assert told == BY_META.refused, done.stderr
    return done


@dataclass(frozen=True)
class Sender:
    """How a toolkit sends files, which ones it is not given, and what the server refuses of the others."""

    send: Callable[[int, list[Sample], Path], object]
    left_out: frozenset[str]
    refused: Mapping[str, int] = field(default_factory=lambda: REFUSED)


ODD = frozenset({"rtplan_truncated.dcm"})
"""Damaged, and of odd length: nobody of ours sends it."""

BY_META = Sender(
    by_dicom_send,
    left_out=corpus.PALETTES | ODD,
    refused={
        name: code
        for name, code in (REFUSED | REFUSED_AS_IT_IS | dict.fromkeys(corpus.META_DIFFERS, NO_MATCH)).items()
        if name not in ODD
    },
)
"""It announces the UIDs of the File Meta Information."""

SENDERS = {
    "storescu": Sender(by_storescu, corpus.UNFIT | corpus.UIDS_AS_UN),
    "dcmsend": Sender(by_dcmsend, corpus.UNFIT | corpus.UIDS_AS_UN),
    # GDCM sends the odd number of deflated bytes without the byte that is missing (PS3.8 E.1).
    "gdcmscu": Sender(by_gdcmscu, corpus.UNFIT | {"image_dfl.dcm"}),
    "pynetdicom": Sender(by_pynetdicom, corpus.UNFIT),
    "dicom-send": BY_META,
}


@pytest.mark.peer("storescu", "dcmsend", "gdcmscu", "dcmdump")
@pytest.mark.parametrize("sender", SENDERS.values(), ids=SENDERS)
def test_what_is_kept_is_what_was_on_the_wire(tmp_path: Path, samples: list[Sample], sender: Sender) -> None:
    given = [sample for sample in samples if sample.name not in sender.left_out]
    names = {uid: sample.name for sample in given for uid in (sample.meta_instance, sample.sop_instance)}
    with serving(tmp_path) as server, recording_proxy(server.port) as proxy:
        said = sender.send(proxy.port, given, tmp_path)
        exchanged = list(exchanges(proxy))
        answers = {names[str(sent.sop_instance_uid)]: code for sent, code in exchanged}
        assert answers == {sample.name: sender.refused.get(sample.name, 0) for sample in given}, said
        assert_kept_as_sent(server, [sent for sent, code in exchanged if code == 0])


def exchanges(proxy: RecordingProxy) -> Iterator[tuple[SentInstance, int]]:
    """Each C-STORE that passed the proxy, with the status it was answered; every association was released."""
    for connection in proxy.connections:
        answers = [decode_command_set(command) for _, command, _ in messages_of(connection.from_server)]
        for sent, answer in zip(connection.instances(), answers, strict=True):
            assert isinstance(answer, CStoreRSP)
            assert answer.affected_sop_instance_uid == sent.sop_instance_uid
            yield sent, answer.status
        assert isinstance(pdus_of(connection.from_server)[-1], AReleaseRP)


def assert_kept_as_sent(server: RunningServer, sent: list[SentInstance]) -> None:
    """The server keeps these instances and no others, bit for bit, in files that others can read."""
    stored = {path.stem: path for path in server.stored()}
    assert stored.keys() == {one.sop_instance_uid for one in sent}
    for one in sent:
        path = stored[str(one.sop_instance_uid)]
        assert path.read_bytes()[read_instance(path).data_set_offset :] == one.data_set, path
        assert_readable_by_pydicom(path, one)
    outcome = run_peer("dcmdump", "--quiet", *stored.values())
    assert outcome.ok, outcome
    assert server.ask("stats")["operations"]["C-STORE"]["success"] == len(sent)
    assert server.left_in_incoming() == []


def assert_readable_by_pydicom(path: Path, sent: SentInstance) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are odd on purpose
        dataset = pydicom.dcmread(path)
        dataset.walk(lambda _, element: element.value)  # which decodes every element
    meta = dataset.file_meta
    assert meta.MediaStorageSOPClassUID == sent.sop_class_uid
    assert meta.MediaStorageSOPInstanceUID == sent.sop_instance_uid
    assert meta.TransferSyntaxUID == sent.transfer_syntax


# -- a sender without toolkits, and without the code under test


@pytest.mark.peer("dcmdump", "dciodvfy")
@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_raw_sender_finds_its_source_files_byte_for_byte(
    tmp_path: Path, samples: list[Sample], durability: str
) -> None:
    with serving(tmp_path, durability) as server:
        answers = send_raw(server.port, samples, called=AE_TITLE)
        refused = REFUSED | REFUSED_AS_IT_IS
        assert answers == {s.name: refused.get(s.name, 0) for s in samples if s.name not in corpus.PALETTES}
        kept = [sample for sample in samples if answers.get(sample.name) == 0]
        stored = {path.stem: path for path in server.stored()}
        assert stored.keys() == {sample.sop_instance for sample in kept}
        for sample in kept:
            path = stored[sample.sop_instance]
            assert path.read_bytes()[read_instance(path).data_set_offset :] == sample.padded, sample.name
        assert server.left_in_incoming() == []
        outcome = run_peer("dcmdump", "--quiet", *stored.values())
        assert outcome.ok, outcome
        if durability == "power":
            assert_no_new_complaints([(sample.path, stored[sample.sop_instance]) for sample in kept])


def assert_no_new_complaints(pairs: list[tuple[Path, Path]]) -> None:
    """dciodvfy says nothing of a stored file that it does not say of its source."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda pair: complaints(pair[1]) - complaints(pair[0]), pairs))
    new = {source.name: more for (source, _), more in zip(pairs, found, strict=True) if more}
    assert new == {}


def complaints(file: Path) -> set[str]:
    """What dciodvfy says is wrong with a data set; the File Meta Information is ours to write."""
    lines = run_peer("dciodvfy", file).output.splitlines()
    wrong = {line for line in lines if line.startswith(("Error", "Warning"))}
    return {line for line in wrong if "(0x0002,0x" not in line}
