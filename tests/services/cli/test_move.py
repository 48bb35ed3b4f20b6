"""`dicom-move` as it is typed: against a PACS whose conduct a test decides."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typer.testing import CliRunner

from dimse import status
from dimse.operation import Operation
from dimse.service import Answer
from peers import free_port
from retrieving import PATIENT, SERIES_UID, STUDY_UID, Asked, Image, Pacs, images, serving, to_destination
from scps import AE_TITLE, Kept, in_a_thread, storing_scp
from services.cli.move import app
from services.retrieve.sub_operations import SubOperations

PROGRAM = [sys.executable, "-c", "from services.cli.move import app; app()"]
STUDY = ("--study-uid", "1.2.3")


def line(port: int, *options: str) -> list[str]:
    address = f"pacs://localhost:{port}"
    return [address, "--aet", "TEST_SCU", "--called-ae", AE_TITLE, "--dest", "SCP", *options]


def move(port: int, *options: str) -> Any:
    return CliRunner().invoke(app, line(port, *options))


def with_statuses(*codes: int) -> Any:
    """A conduct that says its sub-operations ended so, one pending response after each."""

    async def counting(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        sub_operations = SubOperations(len(selected))
        for image, code in zip(selected, codes, strict=False):
            sub_operations.record(image.uid, code)
            yield sub_operations.pending(operation)
        yield sub_operations.final(operation)

    return counting


def test_the_line_of_the_usage_contract() -> None:
    kept = Kept()
    pacs = Pacs(images(3), to_destination)
    with in_a_thread(storing_scp(kept)) as destination, serving(pacs) as port:
        pacs.destinations["SCP"] = destination
        result = move(port, *STUDY)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"SCP at localhost:{port} moved 3 instances to SCP, 0 failed\n"
    assert result.stderr == ""
    assert kept.uids == [image.uid for image in pacs.held]


def test_several_things_on_one_association() -> None:
    pacs = Pacs(images(2) + images(2, study="1.4", series="1.4.1"), with_statuses(0, 0, 0, 0))
    with serving(pacs) as port:
        result = move(port, *STUDY, "--study-uid", "1.4", "--format", "json", "--verbose")
        series = move(port, *STUDY, "--series-uid", "1.2.3.4")
        patient = move(port, "--patient-id", "4711")
    told = json.loads(result.stdout)
    assert (told["completed"], told["failed"], told["destination"]) == (4, 0, "SCP")
    assert "1 completed, 0 failed, 1 to go" in result.stderr
    assert series.exit_code == patient.exit_code == 0
    assert pacs.retrieved == [
        Asked("STUDY", {STUDY_UID: ("1.2.3",)}),
        Asked("STUDY", {STUDY_UID: ("1.4",)}),
        Asked("SERIES", {STUDY_UID: ("1.2.3",), SERIES_UID: ("1.2.3.4",)}),
        Asked("PATIENT", {PATIENT: ("4711",)}),
    ]


def test_failures_are_named() -> None:
    with serving(Pacs(images(3), with_statuses(0, 0xA700, 0xB007))) as port:
        result = move(port, *STUDY, "--format", "json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["completed"], told["failed"], told["warning"]) == (1, 1, 1)
    assert told["failedInstances"] == ["1.2.3.4.2"]
    assert told["problems"][0]["status"] == "B000"
    assert "failed: 1.2.3.4.2" in result.stderr


def test_warnings_are_told_and_are_no_failure() -> None:
    with serving(Pacs(images(2), with_statuses(0, 0xB007))) as port:
        result = move(port, *STUDY)
    assert result.exit_code == 0
    assert "warning: " in result.stderr
    assert "moved 2 instances to SCP, 1 with a warning, 0 failed" in result.stdout


def test_all_fail() -> None:
    with serving(Pacs(images(1), with_statuses(0xA700))) as port:
        result = move(port, *STUDY)
    assert result.exit_code == 1
    assert "no sub-operation could be performed (A702H)" in result.stderr
    assert "hint: does SCP run where SCP looks for it" in result.stderr


def test_an_unknown_destination_is_explained() -> None:
    with serving(Pacs(images(1), to_destination)) as port:
        result = move(port, *STUDY)
    assert result.exit_code == 1
    assert "move destination unknown (A801H): SCP is not known" in result.stderr
    assert "hint: SCP does not know SCP: name address and port of that AE title there" in result.stderr


def test_nothing_to_move() -> None:
    with serving(Pacs([], with_statuses())) as port:
        result = move(port, *STUDY)
    assert result.exit_code == 1
    assert "study 1.2.3: there is nothing of it to move" in result.stderr


def test_an_abort_another_try_and_the_next_study() -> None:
    async def aborts_once(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        if len(pacs.retrieved) == 1:
            operation.association.abort()
            return
        async for answer in with_statuses(0)(pacs, operation, selected):
            yield answer

    held = [*images(1), *images(1, study="1.4", series="1.4.1")]
    options = (*STUDY, "--study-uid", "1.4")
    with serving(Pacs(held, aborts_once)) as port:
        once = move(port, *options)
    with serving(Pacs(held, aborts_once)) as port:
        again = move(port, *options, "--retry", "1")
    assert once.exit_code == 1
    assert "study 1.2.3: the peer aborted" in once.stderr
    assert "moved 1 instance to SCP" in once.stdout
    assert again.exit_code == 0, again.output
    assert "moved 2 instances to SCP" in again.stdout


def test_silence_and_nobody() -> None:
    async def silent(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        await operation.cancellation.wait()
        yield operation.response(status.CANCEL), None

    with serving(Pacs([], silent)) as port:
        result = move(port, *STUDY, "--timeout", "0.2")
    assert result.exit_code == 1
    assert "nothing came within 0.2 s" in result.stderr
    nobody = move(free_port(), *STUDY)
    assert nobody.exit_code == 1
    assert "hint: nothing listens there" in nobody.stderr


def test_ctrl_c_cancels() -> None:
    waiting = threading.Event()

    async def slow(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        sub_operations = SubOperations(len(selected))
        sub_operations.record(selected[0].uid, 0)
        yield sub_operations.pending(operation)
        waiting.set()
        await operation.cancellation.wait()
        pacs.cancelled += 1
        yield sub_operations.final(operation)

    pacs = Pacs(images(3), slow)
    with serving(pacs) as port:
        process = subprocess.Popen(
            [*PROGRAM, *line(port, *STUDY, "--format", "json", "--verbose")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.wait(20)
        assert process.stderr is not None
        while "2 to go" not in process.stderr.readline():
            pass
        os.kill(process.pid, signal.SIGINT)
        out, told = process.communicate(timeout=20)
    assert process.returncode == 130, told
    assert pacs.cancelled == 1
    assert json.loads(out)["completed"] == 1
    assert json.loads(out)["interrupted"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "say what to move"),
        (("--study-uid", "1..2"), "is no UID"),
        ((*STUDY, "--tls-insecure"), "plain TCP"),
    ],
)
def test_a_command_line_that_makes_no_sense(options: tuple[str, ...], message: str) -> None:
    result = move(104, *options)
    assert result.exit_code == 2
    assert message in result.stderr
