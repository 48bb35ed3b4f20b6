"""Plays the whole story once, on the real images that pydicom ships: `make demo`.

Two servers of ours on loopback: MY_PACS, which is sent images, queried and asked to give them back, and WORKSTATION,
where a C-MOVE sends them. Every command is shown as it would be typed; at the end every data set that came back
is compared with the one that was sent, byte for byte. Exits with 0 only where all of that went well.
"""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pydicom
from pydicom import dcmread

from services.part10 import read_file_meta

BIN = Path(sys.executable).parent
SCU = ("--aet", "TEST_SCU", "--called-ae", "MY_PACS")
DEADLINE = 120.0


class Failed(Exception):
    """A step of the story did not go as it should."""


def main() -> int:
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dicom-demo-")))
        try:
            play(stack, room)
        except Failed as failure:
            print(f"\nThe demo failed: {failure}", file=sys.stderr)
            return 1
    print("\nEverything came back as it was sent.")
    return 0


def play(stack: ExitStack, room: Path) -> None:
    images = room / "images"
    studies = gather(images)
    title(f"{len(list(images.iterdir()))} real images of {len(studies)} studies, as pydicom ships them")

    title("A workstation, and a PACS that knows it")
    workstation = stack.enter_context(server(room, "WORKSTATION", {}))
    known = {"WORKSTATION": {"host": "127.0.0.1", "port": workstation, "aeTitle": "WORKSTATION"}}
    peer = f"pacs://localhost:{stack.enter_context(server(room, 'MY_PACS', {'knownDestinations': known}))}"

    title("Send the images")
    run("dicom-send", peer, *SCU, images)
    title("Query: a patient, then the series of a study")
    run("dicom-query", peer, *SCU, "--patient", "CompressedSamples^CT1")
    run("dicom-query", peer, *SCU, "--level", "series", "--study-uid", studies[0])
    title("Get every study back on the same association (C-GET)")
    selected = [word for study in studies for word in ("--study-uid", study)]
    run("dicom-retrieve", "--method", "get", peer, *SCU, *selected, "--output", room / "retrieved", shown=6)
    title("Have every study moved to the workstation (C-MOVE)")
    run("dicom-move", peer, *SCU, "--dest", "WORKSTATION", *selected, shown=6)
    title("What the PACS has done")
    run("dicom-server", "stats", "--data-dir", room / "MY_PACS")

    title("Compare")
    sent = data_sets(images)
    for name, folder in (
        ("kept by the PACS", room / "MY_PACS"),
        ("retrieved by C-GET", room / "retrieved"),
        ("moved to the workstation", room / "WORKSTATION"),
    ):
        compare(name, sent, data_sets(folder))


def gather(folder: Path) -> list[str]:
    """Copy one image of each SOP Instance UID; returns the Study Instance UIDs."""
    folder.mkdir()
    source = Path(pydicom.__file__).parent / "data" / "test_files"
    seen: set[str] = set()
    studies: dict[str, None] = {}
    for file in sorted(source.glob("*.dcm")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ds = dcmread(file, stop_before_pixels=True)
                uids = str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID), str(ds.StudyInstanceUID)
                syntax = str(ds.file_meta.TransferSyntaxUID)
                is_like_its_meta = ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        except Exception:
            continue  # many of them are damaged on purpose
        if uids[0] in seen or not all(uids) or not is_like_its_meta or syntax.endswith(".1.99"):
            continue
        if _is_whole(file):
            seen.add(uids[0])
            studies[uids[2]] = None
            shutil.copy(file, folder)
    return list(studies)


def _is_whole(file: Path) -> bool:
    """Whether pydicom reads all of it without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            ds = dcmread(file)
            ds.walk(lambda _ds, element: element.value)
            return "PixelData" in ds
        except Exception:
            return False


@contextmanager
def server(room: Path, ae_title: str, settings: dict[str, object]) -> Iterator[int]:
    """A server of ours on a free port, stopped in order at the end."""
    config, log = room / f"{ae_title}.conf", room / f"{ae_title}.log"
    directory = room / ae_title
    config.write_text(
        json.dumps({"aeTitle": ae_title, "port": 0, "dataDirectory": str(directory)} | settings)
    )
    command = ["dicom-server", "start", "--config", str(config)]
    show(command)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BIN / command[0], *command[1:], "--log-format", "json"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        port = wait_for_port(process, log)
        print(f"  {ae_title} listens on port {port}")
        yield port
        process.send_signal(signal.SIGTERM)
        if process.wait(30) != 0:
            raise Failed(f"{ae_title} ended with {process.returncode}:\n{log.read_text()}")
    finally:
        process.kill()
        process.wait()


def wait_for_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"listening"' in line:
                return int(json.loads(line)["port"])
        time.sleep(0.05)
    raise Failed(f"the server did not start:\n{log.read_text()}")


def run(*command: object, shown: int = 100) -> None:
    """Run one of our commands, print it and what it says; `shown` words of a long command are enough."""
    words = [str(word) for word in command]
    show(words, shown)
    done = subprocess.run(
        [BIN / words[0], *words[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
    )
    for line in done.stdout.splitlines():
        print(f"  {line}")
    if done.returncode:
        raise Failed(f"{words[0]} ended with {done.returncode}")


def data_sets(folder: Path) -> dict[str, bytes]:
    """The encoded data set of every DICOM file in a folder, by SOP Instance UID."""
    found = {}
    for path in sorted(folder.rglob("*.dcm")):
        with path.open("rb") as file:
            meta = read_file_meta(file)
            file.seek(meta.data_set_offset)
            found[meta.sop_instance_uid] = file.read()
    return found


def compare(name: str, sent: dict[str, bytes], came: dict[str, bytes]) -> None:
    missing = sent.keys() - came.keys()
    differing = [uid for uid, data in sent.items() if uid in came and came[uid] != data]
    if missing or differing or len(came) != len(sent):
        raise Failed(
            f"{name}: {len(missing)} missing, {len(differing)} differing, {len(came)} in all: {differing}"
        )
    print(f"  {name}: {len(came)} of {len(sent)} equal, {sum(map(len, came.values())):,} bytes")


def title(text: str) -> None:
    print(f"\n== {text}")


def show(command: list[str], words: int = 100) -> None:
    text = shlex.join(command[: words + 6]) + (" …" if len(command) > words + 6 else "")
    print(f"$ {text}")


if __name__ == "__main__":
    sys.exit(main())
