"""`dicom-retrieve` as it is typed: against a PACS whose conduct a test decides."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from archive_samples import MR_IMAGE_STORAGE
from certificates import self_signed, server_context
from dimse import status
from dimse.errors import DimseError
from dimse.operation import Operation
from dimse.service import Answer
from peers import free_port
from retrieving import (
    INSTANCE_UID,
    SERIES_UID,
    STUDY_UID,
    Asked,
    Image,
    Pacs,
    as_asked,
    files_in,
    images,
    send,
    serving,
    to_destination,
)
from scps import AE_TITLE, in_a_thread
from services.cli.retrieve import app

PROGRAM = [sys.executable, "-c", "from services.cli.retrieve import app; app()"]
STUDY = ("--study-uid", "1.2.3")


def line(port: int, output: Path, *options: str, scheme: str = "pacs") -> list[str]:
    address = f"{scheme}://localhost:{port}"
    return [address, "--aet", "TEST_SCU", "--called-ae", AE_TITLE, "--output", str(output), *options]


def retrieve(port: int, output: Path, *options: str, scheme: str = "pacs") -> Any:
    return CliRunner().invoke(app, line(port, output, *options, scheme=scheme))


def names(held: list[Image]) -> list[str]:
    return sorted(f"{image.instance}.dcm" for image in held)


# -- what comes


def test_the_line_of_the_usage_contract(tmp_path: Path) -> None:
    pacs = Pacs(images(3))
    with serving(pacs) as port:
        result = retrieve(port, tmp_path / "retrieved", "--method", "get", *STUDY)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"retrieved 3 instances from SCP at localhost:{port} into ")
    assert result.stderr == ""
    assert files_in(tmp_path / "retrieved") == names(pacs.held)
    assert pacs.retrieved == [Asked("STUDY", {STUDY_UID: ("1.2.3",)})]


def test_series_and_instances(tmp_path: Path) -> None:
    held = images(3) + images(2, series="1.2.3.5")
    pacs = Pacs(held)
    with serving(pacs) as port:
        assert retrieve(port, tmp_path / "a", *STUDY, "--series-uid", "1.2.3.5").exit_code == 0
        one = ("--series-uid", "1.2.3.4", "--instance-uid", "1.2.3.4.2", "--hierarchical")
        assert retrieve(port, tmp_path / "b", *STUDY, *one).exit_code == 0
    assert files_in(tmp_path / "a") == names(held[3:])
    assert files_in(tmp_path / "b") == ["1.2.3/1.2.3.4/1.2.3.4.2.dcm"]


def test_a_patient_and_a_list(tmp_path: Path) -> None:
    held = images(2) + images(2, study="1.4", series="1.4.1")
    pacs = Pacs(held)
    (tmp_path / "uids").write_text("1.4 1.4.1 1.4.1.2\n1.2.3\n")
    with serving(pacs) as port:
        assert retrieve(port, tmp_path / "a", "--patient-id", "4711").exit_code == 0
        assert retrieve(port, tmp_path / "b", "--uid-list", str(tmp_path / "uids")).exit_code == 0
    assert files_in(tmp_path / "a") == names(held)
    assert files_in(tmp_path / "b") == ["1.2.3.4.1.dcm", "1.2.3.4.2.dcm", "1.4.1.2.dcm"]
    assert [asked.level for asked in pacs.retrieved] == ["STUDY", "STUDY", "IMAGE", "STUDY"]


def test_json_and_verbose(tmp_path: Path) -> None:
    with serving(Pacs(images(2))) as port:
        result = retrieve(port, tmp_path, *STUDY, "--format", "json", "--verbose")
    told = json.loads(result.stdout)
    assert (told["retrieved"], told["missing"], told["associations"]) == (2, [], 2)
    assert (told["calledAE"], told["callingAE"], told["method"]) == (AE_TITLE, "TEST_SCU", "get")
    assert result.stderr.count("received: 1.2.3.4.") == 2


def test_several_associations_at_a_time(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=10)

    async def both(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        await asyncio.to_thread(together.wait)
        async for answer in as_asked(pacs, operation, selected):
            yield answer

    held = images(2) + images(2, series="1.2.3.5")
    with serving(Pacs(held, both)) as port:
        result = retrieve(port, tmp_path, *STUDY, "--parallel", "2", "--format", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["associations"] == 3
    assert files_in(tmp_path) == names(held)


def test_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with in_a_thread(Pacs(images(1)).scp(), tls=server_context(certificate, key)) as port:
        result = retrieve(port, tmp_path / "out", *STUDY, "--tls-ca", str(certificate), scheme="dicoms")
    assert result.exit_code == 0, result.output
    assert len(files_in(tmp_path / "out")) == 1


# -- what is there already


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    held = images(4) + images(2, series="1.2.3.5")
    pacs = Pacs(held)
    with serving(pacs) as port:
        retrieve(port, tmp_path, *STUDY)
        for name in ("1.2.3.4.2.dcm", "1.2.3.5.1.dcm", "1.2.3.5.2.dcm"):
            (tmp_path / name).unlink()
        (tmp_path / "1.2.3.4.4.dcm").write_bytes(b"half")
        pacs.sent.clear(), pacs.retrieved.clear()
        result = retrieve(port, tmp_path, *STUDY)
        assert result.exit_code == 0, result.output
        assert "3 there already" not in result.stdout
        assert "  2 there already" in result.stdout
        assert sorted(pacs.sent) == ["1.2.3.4.2", "1.2.3.4.4", "1.2.3.5.1", "1.2.3.5.2"]
        image, series = sorted(pacs.retrieved, key=lambda asked: asked.level)
        assert image.keys[INSTANCE_UID] == ("1.2.3.4.2", "1.2.3.4.4")
        assert series == Asked("SERIES", {STUDY_UID: ("1.2.3",), SERIES_UID: ("1.2.3.5",)})
        pacs.retrieved.clear()
        assert retrieve(port, tmp_path, *STUDY).exit_code == 0
    assert pacs.retrieved == []
    assert files_in(tmp_path) == names(held)


def test_a_peer_that_takes_no_lists_is_asked_for_the_whole_series(tmp_path: Path) -> None:
    async def no_lists(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        if pacs.retrieved[-1].level == "IMAGE":
            raise DimseError(status.IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS, "one at a time")
        async for answer in as_asked(pacs, operation, selected):
            yield answer

    pacs = Pacs(images(4), no_lists)
    with serving(pacs) as port:
        retrieve(port, tmp_path, *STUDY)
        (tmp_path / "1.2.3.4.2.dcm").unlink()
        (tmp_path / "1.2.3.4.3.dcm").unlink()
        result = retrieve(port, tmp_path, *STUDY)
    assert result.exit_code == 0, result.output
    assert [asked.level for asked in pacs.retrieved] == ["STUDY", "IMAGE", "SERIES"]
    assert files_in(tmp_path) == names(pacs.held)


@pytest.mark.parametrize("how", ["no C-FIND", "refused"])
def test_a_peer_that_lists_nothing_is_retrieved_from_all_the_same(tmp_path: Path, how: str) -> None:
    pacs = Pacs(images(3), refuses_find=0xC001 if how == "refused" else None)
    with serving(pacs, find=how == "refused") as port:
        first = retrieve(port, tmp_path, *STUDY)
        (tmp_path / "1.2.3.4.2.dcm").unlink()
        second = retrieve(port, tmp_path, *STUDY, "--format", "json")
        none = retrieve(port, tmp_path, "--study-uid", "1.99")
    assert first.exit_code == 0, first.output
    assert "does not list what it has" in first.stderr
    told = json.loads(second.stdout)
    assert (told["retrieved"], told["alreadyThere"], told["listed"]) == (1, 2, False)
    assert none.exit_code == 1
    assert "missing: study 1.99: the peer has nothing of it" in none.stderr


# -- what does not come


def test_a_partial_result_names_what_is_missing(tmp_path: Path) -> None:
    async def partly(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        from services.retrieve.sub_operations import SubOperations

        sub_operations = SubOperations(len(selected))
        for image in selected:
            lost = image.uid.endswith(".2")
            sub_operations.record(image.uid, None if lost else await send(pacs, operation, image))
        yield sub_operations.final(operation)

    with serving(Pacs(images(3), partly)) as port:
        result = retrieve(port, tmp_path, *STUDY, "--format", "json")
    assert result.exit_code == 1
    assert "missing: 1.2.3.4.2: Warning: sub-operations complete with failures (B000H)" in result.stderr
    (missing,) = json.loads(result.stdout)["missing"]
    assert (missing["what"], missing["series"]) == ("1.2.3.4.2", "1.2.3.4")
    assert files_in(tmp_path) == ["1.2.3.4.1.dcm", "1.2.3.4.3.dcm"]


def test_counts_are_not_believed(tmp_path: Path) -> None:
    async def lies(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        await send(pacs, operation, selected[0])
        yield (
            operation.response(number_of_completed_suboperations=2, number_of_failed_suboperations=0),
            None,
        )

    with serving(Pacs(images(2), lies)) as port:
        result = retrieve(port, tmp_path, *STUDY)
    assert result.exit_code == 1
    assert "missing: 1.2.3.4.2: the peer says that it was sent, but it never came" in result.stderr


def test_a_transfer_syntax_that_had_no_room_comes_on_another_association(tmp_path: Path) -> None:
    from services.retrieve.get_scu import plan_contexts
    from services.sop_classes import storage_sop_classes

    classes = storage_sop_classes()[:31]
    late = plan_contexts(classes)[3][1].transfer_syntaxes[0]
    held = [Image(f"1.2.3.4.{n}", sop_class=uid) for n, uid in enumerate(classes)]
    held.append(Image("1.2.3.4.99", sop_class=classes[0], transfer_syntax=late))
    pacs = Pacs(held)
    with serving(pacs) as port:
        result = retrieve(port, tmp_path, *STUDY, "--format", "json")
    assert result.exit_code == 0, result.output
    assert len(files_in(tmp_path)) == len(held)
    assert [asked.level for asked in pacs.retrieved] == ["STUDY", "IMAGE"]
    assert sorted(pacs.sent) == sorted(image.uid for image in held)


def test_uids_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    pacs = Pacs([*images(1), Image("../../x")])
    with serving(pacs) as port:
        result = retrieve(port, tmp_path / "deep" / "folder", *STUDY, "--hierarchical")
        pacs.refuses_find = 0xC001
        unlisted = retrieve(port, tmp_path / "deep" / "other", *STUDY)
    assert result.exit_code == 0, result.output
    assert "lists '../../x', which is no UID" in result.stderr
    assert "refused: ../../x: '../../x' is no UID" in unlisted.stderr
    assert unlisted.exit_code == 1
    assert files_in(tmp_path) == ["deep/folder/1.2.3/1.2.3.4/1.2.3.4.1.dcm", "deep/other/1.2.3.4.1.dcm"]


def test_an_abort_in_the_middle_and_another_try(tmp_path: Path) -> None:
    async def aborts_once(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        if len(pacs.retrieved) == 1:
            await send(pacs, operation, selected[0])
            operation.association.abort()
            return
        async for answer in as_asked(pacs, operation, selected):
            yield answer

    pacs = Pacs(images(3), aborts_once)
    with serving(pacs) as port:
        once = retrieve(port, tmp_path / "once", *STUDY)
        pacs.retrieved.clear(), pacs.sent.clear()
        twice = retrieve(port, tmp_path / "twice", *STUDY, "--retry", "1")
    assert once.exit_code == 1
    assert once.stderr.count("missing: 1.2.3.4.") == 2
    assert files_in(tmp_path / "once") == ["1.2.3.4.1.dcm"]
    assert twice.exit_code == 0, twice.output
    assert sorted(pacs.sent) == ["1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"]


def test_silence(tmp_path: Path) -> None:
    async def silent(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        await send(pacs, operation, selected[0])
        await operation.cancellation.wait()
        yield operation.response(status.CANCEL), None

    pacs = Pacs(images(2), silent)
    with serving(pacs) as port:
        result = retrieve(port, tmp_path, *STUDY, "--timeout", "0.3")
    assert result.exit_code == 1
    assert "missing: 1.2.3.4.2: nothing came within 0.3 s" in result.stderr
    assert "hint" not in result.stderr
    assert files_in(tmp_path) == ["1.2.3.4.1.dcm"]


def test_nobody_there_no_c_get_and_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nobody = retrieve(free_port(), tmp_path / "out", *STUDY)
    assert nobody.exit_code == 1
    assert "hint: nothing listens there" in nobody.stderr
    pacs = Pacs(images(1))
    with serving(pacs, get=False) as port:
        no_get = retrieve(port, tmp_path / "out", *STUDY)
        no_folder = retrieve(port, tmp_path / "file", *STUDY)
    assert no_get.exit_code == 1
    assert "hint: does the peer offer C-GET at all? --method move" in no_get.stderr
    assert no_folder.exit_code == 1
    assert "there is a file of that name" in no_folder.stderr
    assert len(pacs.found) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_stops_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.retrieve import folder

    make = folder._new_temporary

    def third_is_full(directory: Path) -> Any:
        path, file = make(directory)
        opened.append(path)
        if len(opened) > 2:  # the first is the trial
            file.close()
            file = open("/dev/full", "wb", buffering=1 << 17)  # noqa: SIM115
        return path, file

    opened: list[Path] = []
    monkeypatch.setattr(folder, "_new_temporary", third_is_full)
    pacs = Pacs(images(50))
    with serving(pacs) as port:
        result = retrieve(port, tmp_path, *STUDY, "--format", "json")
    assert result.exit_code == 1
    assert "no space left; free some and run the same again" in result.stderr
    assert files_in(tmp_path) == ["1.2.3.4.1.dcm"]
    assert pacs.cancelled == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "say what to retrieve"),
        (("--study-uid", "1.2.x"), "is no UID"),
        ((*STUDY, "--listen", "11113"), "--listen is for --method move"),
        ((*STUDY, "--move-dest", "X"), "--move-dest is for --method move"),
        ((*STUDY, "--tls-insecure"), "is plain TCP"),
        ((*STUDY, "--parallel", "0"), "--parallel"),
        ((*STUDY, "--layout", "flat", "--hierarchical"), "--hierarchical is --layout hierarchical"),
    ],
)
def test_a_command_line_that_makes_no_sense(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    result = retrieve(104, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


# -- Ctrl+C and kill


class Slow:
    """A conduct that sends two images and then waits for a cancel; `waiting` says that it does."""

    def __init__(self) -> None:
        self.waiting = threading.Event()

    async def __call__(
        self, pacs: Pacs, operation: Operation, selected: list[Image]
    ) -> AsyncIterator[Answer]:
        from services.retrieve.sub_operations import SubOperations

        sub_operations = SubOperations(len(selected))
        for image in selected[:2]:
            sub_operations.record(image.uid, await send(pacs, operation, image))
        yield sub_operations.pending(operation)
        self.waiting.set()
        await operation.cancellation.wait()
        pacs.cancelled += 1
        yield sub_operations.final(operation)


@pytest.mark.parametrize("with_what", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_and_run_again(tmp_path: Path, with_what: signal.Signals) -> None:
    slow = Slow()
    pacs = Pacs(images(5), slow)
    with serving(pacs) as port:
        process = subprocess.Popen(
            [*PROGRAM, *line(port, tmp_path, *STUDY)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert slow.waiting.wait(20)
        (tmp_path / f".{'0' * 16}.part").write_bytes(b"left behind")
        os.kill(process.pid, with_what)
        _, told = process.communicate(timeout=20)
        if with_what is signal.SIGINT:
            assert process.returncode == 130
            assert "interrupted; 3 instances left: run the same again" in told
            assert pacs.cancelled == 1
        assert len(list(tmp_path.glob("*.dcm"))) == 2
        pacs.sent.clear()
        pacs.conduct = as_asked
        result = retrieve(port, tmp_path, *STUDY)
    assert result.exit_code == 0, result.output
    assert sorted(pacs.sent) == ["1.2.3.4.3", "1.2.3.4.4", "1.2.3.4.5"]
    assert files_in(tmp_path) == names(pacs.held)


# -- by C-MOVE


def test_by_move_to_our_own_listener(tmp_path: Path) -> None:
    listen = free_port()
    pacs = Pacs([*images(2), *images(1, series="1.2.3.5", sop_class=MR_IMAGE_STORAGE)], to_destination)
    pacs.destinations["WORKSTATION"] = listen
    options = ("--method", "move", "--listen", str(listen), "--move-dest", "WORKSTATION")
    with serving(pacs, get=False) as port:
        result = retrieve(port, tmp_path, *STUDY, *options)
        assert result.exit_code == 0, result.output
        (tmp_path / "1.2.3.4.1.dcm").unlink()
        pacs.sent.clear()
        assert retrieve(port, tmp_path, *STUDY, *options).exit_code == 0
        unknown = retrieve(port, tmp_path / "other", *STUDY, *options[:-1], "NOBODY")
    assert pacs.sent == ["1.2.3.4.1"]
    assert files_in(tmp_path) == names(pacs.held)
    assert unknown.exit_code == 1
    assert "NOBODY is not known" in unknown.stderr
    assert "hint: SCP does not know NOBODY" in unknown.stderr


def test_the_listener_takes_what_was_asked_for_from_whom_it_was_asked_of(tmp_path: Path) -> None:
    listen = free_port()

    async def more(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        async for answer in to_destination(pacs, operation, [*selected, Image("1.8.1", study="1.8")]):
            yield answer

    pacs = Pacs(images(1), more)
    pacs.destinations["TEST_SCU"] = listen
    options = ("--method", "move", "--listen", str(listen))
    with serving(pacs, get=False) as port:
        result = retrieve(port, tmp_path / "a", *STUDY, *options)
        setattr(pacs, "sender", "SOMEBODY")  # noqa: B010
        stranger = retrieve(port, tmp_path / "b", *STUDY, *options)
        known = retrieve(port, tmp_path / "c", *STUDY, *options, "--move-sender", "SOMEBODY")
    assert result.exit_code == known.exit_code == 0
    assert "refused: 1.8.1: it was not asked for" in result.stderr
    assert files_in(tmp_path) == ["a/1.2.3.4.1.dcm", "c/1.2.3.4.1.dcm"]
    assert stranger.exit_code == 1
    assert "turned away SOMEBODY" in stranger.stderr


def test_of_a_patient_the_listener_takes_the_studies_that_are_listed(tmp_path: Path) -> None:
    listen = free_port()

    async def more(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        async for answer in to_destination(pacs, operation, [*selected, Image("1.8.1", study="1.8")]):
            yield answer

    pacs = Pacs(images(2), more)
    pacs.destinations["TEST_SCU"] = listen
    with serving(pacs, get=False) as port:
        result = retrieve(port, tmp_path, "--patient-id", "4711", "--method", "move", "--listen", str(listen))
    assert result.exit_code == 0, result.output
    assert "refused: 1.8.1: it was not asked for" in result.stderr
    assert files_in(tmp_path) == names(pacs.held)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with serving(Pacs(images(1))) as port:
        result = retrieve(port, tmp_path, *STUDY, "--method", "move", "--listen", str(port))
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
