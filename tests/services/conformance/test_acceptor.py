"""The acceptor as a whole: whom it takes, how many, which script they get, and how it ends."""

import asyncio
import json
import ssl
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from certificates import self_signed, server_context
from loops import run as run_on
from services.conformance.acceptor import ScuResult, ServeOptions, as_run, serve
from services.conformance.building import RELEASE_RQ, a_associate_rq, c_echo_rq, message
from services.conformance.report_data import as_json, as_junit
from services.conformance.report_text import report_lines
from services.conformance.script import Topic
from services.conformance.verdict import Verdict

Run = Callable[[Coroutine[Any, Any, None]], None]
HOST = "127.0.0.1"


@pytest.fixture
def run(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Run:
    return lambda coro: run_on(coro, loop_factory)


class Serving:
    """A running acceptor: its port, what it has told, and the task it is."""

    def __init__(self) -> None:
        self.results: list[ScuResult] = []
        self.port = 0
        self.task: asyncio.Task[None]


@asynccontextmanager
async def serving(*names: str, **settings: Any) -> AsyncIterator[Serving]:
    """Run the acceptor on a port of its own; cancelled at the end where it has not ended."""
    it = Serving()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    quick = {"timeout": 2.0, "idle": 2.0, "late": 0.1, "patience": 0.3}
    options = ServeOptions(port=0, on_listening=port.set_result, **{**quick, **settings})
    it.task = asyncio.create_task(serve(options, names, it.results.append))
    await asyncio.wait([it.task, port], return_when=asyncio.FIRST_COMPLETED)
    try:
        if not it.task.done():
            it.port = port.result()
        yield it
    finally:
        it.task.cancel()
        await asyncio.gather(it.task, return_exceptions=True)


async def talk(port: int, *parts: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Say each part once the answer to the one before has come; return all that came."""
    reader, writer = await asyncio.open_connection(
        HOST, port, ssl=tls, server_hostname=None if tls is None else "localhost"
    )
    heard = b""
    try:
        for part in parts:
            writer.write(part)
            async with asyncio.timeout(5):
                heard += await reader.read(1 << 16)
    except OSError:
        pass
    finally:
        writer.transport.abort()
    return heard


ECHO = message(1, c_echo_rq(1))
WHOLE = (a_associate_rq(called=b"TESTER", calling=b"SCU"), ECHO, RELEASE_RQ)


def test_an_scu_that_does_all_right_passes(run: Run) -> None:
    async def scenario() -> None:
        async with serving(count=1) as it:
            heard = await talk(it.port, *WHOLE)
            await it.task
        assert [heard[0], heard[-10:]] == [2, bytes.fromhex("06000000000400000000")]
        (result,) = it.results
        assert result.verdict is Verdict.PASS, result.findings
        assert result.case.id == "conforming"
        assert (result.number, result.called_ae, result.calling_ae) == (1, "TESTER", "SCU")
        assert result.did == ("associate", "C-ECHO-RQ 1", "release", "closed")
        assert result.address.startswith("127.0.0.1:")
        assert result.offer.implementation_class_uid == "2.25.1"
        assert result.offer.accepted == {b"1.2.840.10008.1.1": (b"1.2.840.10008.1.2",)}
        assert result.connections[0].exchanges

    run(scenario())


def test_scripts_are_played_in_turn_and_again_from_the_first(run: Run) -> None:
    async def scenario() -> None:
        async with serving("reject-1-1-3", "conforming", count=3) as it:
            heard = [await talk(it.port, *WHOLE) for _ in range(3)]
            await it.task
        assert [each[0] for each in heard] == [3, 2, 3]
        assert [result.case.id for result in it.results] == ["reject-1-1-3", "conforming", "reject-1-1-3"]
        assert [result.number for result in it.results] == [1, 2, 3]

    run(scenario())


def test_a_connection_on_which_nothing_is_said_counts_for_nothing(run: Run) -> None:
    async def scenario() -> None:
        async with serving(count=1) as it:
            for _ in range(3):
                _, writer = await asyncio.open_connection(HOST, it.port)
                writer.close()
                await writer.wait_closed()
            await talk(it.port, *WHOLE)
            await it.task
        assert [result.verdict for result in it.results] == [Verdict.PASS]

    run(scenario())


def test_one_that_says_nothing_at_all_is_dropped_in_time(run: Run) -> None:
    async def scenario() -> None:
        async with serving(timeout=0.1) as it:
            reader, writer = await asyncio.open_connection(HOST, it.port)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.transport.abort()
        assert it.results == []

    run(scenario())


def test_another_called_title_is_rejected_and_tells_nothing(run: Run) -> None:
    async def scenario() -> None:
        async with serving(called_ae=b"SOMEBODY", count=1) as it:
            heard = await talk(it.port, *WHOLE)
            await it.task
        assert heard[:10] == bytes.fromhex("03000000000400010107")
        assert it.results[0].verdict is Verdict.INCONCLUSIVE
        assert "called 'TESTER'" in str(it.results[0].findings[0])

    run(scenario())


def test_our_own_title_is_served(run: Run) -> None:
    async def scenario() -> None:
        async with serving(called_ae=b"TESTER", count=1) as it:
            await talk(it.port, *WHOLE)
            await it.task
        assert it.results[0].verdict is Verdict.PASS

    run(scenario())


def test_no_more_at_once_than_allowed(run: Run) -> None:
    async def scenario() -> None:
        async with serving(at_once=2) as it:
            held = [await asyncio.open_connection(HOST, it.port) for _ in range(2)]
            for reader, writer in held:
                writer.write(WHOLE[0])
                await reader.readexactly(6)
            assert await talk(it.port, b"") == b"", "a third one was not closed at once"
            for _, writer in held:
                writer.transport.abort()

    run(scenario())


def test_cancelling_ends_every_association(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as it:
            reader, writer = await asyncio.open_connection(HOST, it.port)
            writer.write(WHOLE[0])
            await reader.readexactly(6)
            it.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await it.task
            async with asyncio.timeout(5):
                try:
                    while await reader.read(1000):
                        pass
                except ConnectionError:
                    pass
            writer.transport.abort()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(HOST, it.port)

    run(scenario())


def test_what_never_ends_is_given_up(run: Run) -> None:
    async def scenario() -> None:
        async with serving(count=1, longest=0.2) as it:
            await talk(it.port, WHOLE[0], b"")
            await it.task
        assert it.results[0].verdict in (Verdict.INCONCLUSIVE, Verdict.FAIL)

    run(scenario())


def test_an_scu_that_stays_idle_is_let_go_with_an_abort(run: Run) -> None:
    async def scenario() -> None:
        async with serving(count=1, idle=0.1) as it:
            reader, writer = await asyncio.open_connection(HOST, it.port)
            writer.write(WHOLE[0])
            async with asyncio.timeout(5):
                heard = await reader.read()
            writer.transport.abort()
            await it.task
        assert heard[-10:] == bytes.fromhex("07000000000400000000")
        assert it.results[0].verdict is Verdict.INCONCLUSIVE

    run(scenario())


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\1\0\xff\xff\xff\xff", ECHO, RELEASE_RQ, WHOLE[0][:50]],
    ids=["HTTP", "zeros", "4 GiB", "P-DATA-TF", "A-RELEASE-RQ", "half a request"],
)
def test_what_is_no_association_request_fails(run: Run, said: bytes) -> None:
    async def scenario() -> None:
        async with serving(count=1, timeout=0.3) as it:
            _, writer = await asyncio.open_connection(HOST, it.port)
            writer.write(said)
            writer.write_eof()
            await it.task
            writer.transport.abort()
        assert it.results[0].verdict is Verdict.FAIL

    run(scenario())


def test_a_name_no_script_has_is_refused(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(KeyError, match="nonsense"):
            await serve(ServeOptions(port=0), ["nonsense"], print)

    run(scenario())


def test_a_port_that_is_taken_is_an_error(run: Run) -> None:
    async def scenario() -> None:
        async with serving() as it:
            with pytest.raises(OSError, match="in use"):
                await serve(ServeOptions(port=it.port), [], print)

    run(scenario())


def test_tls_is_spoken(run: Run, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)

    async def scenario() -> None:
        async with serving(count=1, tls=server_context(certificate, key)) as it:
            await talk(it.port, *WHOLE, tls=trusting)
            await it.task
        assert it.results[0].did[:3] == ("associate", "C-ECHO-RQ 1", "release")

    run(scenario())


def test_the_reports_of_cases_do_for_associations(run: Run) -> None:
    async def scenario() -> None:
        async with serving("conforming", "abort-user-before-accept", count=2) as it:
            await talk(it.port, *WHOLE)
            await talk(it.port, *WHOLE)
            await it.task
        done = as_run(it.results, ServeOptions(), started=0.0, command="dicom-conformance serve")
        document = json.loads(as_json(done))
        assert [each["id"] for each in document["cases"]] == ["conforming", "abort-user-before-accept"]
        assert document["cases"][0]["suite"] == Topic.CONFORMING
        assert document["peer"]["callingAETitle"] == "SCU"
        assert ET.fromstring(as_junit(done)).tag == "testsuites"
        lines = "\n".join(report_lines(done, verbose=True))
        assert "conforming" in lines
        assert any("C-ECHO-RQ 1" in remark for remark in done.remarks)

    run(scenario())


def test_a_run_without_associations_is_one_too() -> None:
    done = as_run([], ServeOptions(port=11114), started=0.0)
    assert done.results == []
    assert done.address == "127.0.0.1:11114"
    assert list(report_lines(done))
