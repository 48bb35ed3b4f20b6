"""SCPs of ours in a thread of their own, for tests of what starts a loop itself; and small files to send them."""

import asyncio
import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archive_samples import CT_IMAGE_STORAGE, EXPLICIT_LE, data_set
from services import SCP, ReceivedInstance, Storage, Verification
from services.archive.part10 import file_header

AE_TITLE = "SCP"


class Kept:
    """A handler for `Storage` that keeps everything, and answers what it is told to answer.

    Attributes:
        instances: SOP Instance UID, transfer syntax and data set of each, in the order they came.
        answers: statuses for the next instances; then success.
    """

    def __init__(self, *answers: int) -> None:
        self.instances: list[tuple[str, str, bytes]] = []
        self.answers = list(answers)

    async def __call__(self, instance: ReceivedInstance) -> int:
        data = await instance.read()
        self.instances.append((instance.sop_instance_uid, instance.transfer_syntax_uid, data))
        return self.answers.pop(0) if self.answers else 0

    @property
    def uids(self) -> list[str]:
        return [uid for uid, _, _ in self.instances]


def storing_scp(handler: object) -> SCP:
    """An SCP that verifies and gives what is stored to a handler."""
    return SCP(AE_TITLE, [Verification(), Storage(handler)])  # type: ignore[arg-type]


@contextmanager
def in_a_thread(scp: SCP, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on loopback while the block lasts; yields the port."""
    ready: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = queue.Queue()

    async def serve() -> None:
        stop = asyncio.Event()
        async with scp.listen(port=0, tls=tls) as port:
            ready.put((asyncio.get_running_loop(), stop, port))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    loop, stop, port = ready.get(timeout=10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        assert not thread.is_alive()


def small_files(folder: Path, count: int, sop_class: str = CT_IMAGE_STORAGE) -> list[Path]:
    """Files of a few hundred bytes, 1.2.3.4.0 and so on, of which all but the pixels is there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        paths.append(folder / f"{number:03}.dcm")
        write_file(
            paths[-1], data_set(f"1.2.3.4.{number}", sop_class=sop_class), f"1.2.3.4.{number}", sop_class
        )
    return paths


def write_file(
    path: Path,
    data: bytes,
    instance: str,
    sop_class: str = CT_IMAGE_STORAGE,
    transfer_syntax: str = EXPLICIT_LE,
) -> None:
    """A Part 10 file."""
    header = file_header(
        sop_class,
        instance,
        transfer_syntax,
        implementation_class_uid="1.2.3",
        implementation_version_name="TEST",
    )
    path.write_bytes(header + data)
