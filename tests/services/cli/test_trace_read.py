"""Captures that still grow, and interrupts."""

import os
import subprocess
from pathlib import Path

from services.trace.pcap_writer import PCAP_HEADER, PcapConnection
from trace_samples import AN_ECHO, wire
from tracing import DEADLINE, tracing, write_capture


def test_following_a_file_that_grows(tmp_path: Path) -> None:
    capture = tmp_path / "growing.pcap"
    capture.touch()
    page = tmp_path / "trace.html"
    with tracing(tmp_path, "read", capture, "-f", "--html", page) as trace, capture.open("ab") as file:
        file.write(PCAP_HEADER)
        connection = PcapConnection(file.write, ("127.0.0.1", 40000), ("127.0.0.1", 104))
        connection.opened(1000.0)
        for sender, pdu in AN_ECHO[:3]:
            connection.data(sender, wire(pdu), 1000.1)
            file.flush()
        trace.wait_for(" P-DATA-TF ")
        connection.data(AN_ECHO[3][0], wire(AN_ECHO[3][1]), 1000.2)
        file.flush()
        trace.wait_for(" P-DATA-TF ", 2)
        assert trace.interrupt() == 0
    assert "A-ASSOCIATE-AC" in page.read_text()
    assert trace.errors == f"written: {page}\n"


def test_a_pipe_is_shown_as_it_comes(tmp_path: Path) -> None:
    with tracing(tmp_path, "read", "-", stdin=subprocess.PIPE) as trace:
        pipe = trace.process.stdin
        assert pipe is not None
        content = write_capture(tmp_path / "one.pcap", AN_ECHO).read_bytes()
        os.write(pipe.fileno(), content[:-1])
        trace.wait_for(" A-RELEASE-RP ")
        assert trace.interrupt() == 0


def test_an_interrupt_before_the_end_of_a_file(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    page = tmp_path / "trace.html"
    with tracing(tmp_path, "read", fifo, "--html", page) as trace, fifo.open("wb", buffering=0) as writer:
        writer.write(write_capture(tmp_path / "one.pcap", AN_ECHO[:2]).read_bytes())
        trace.wait_for(" A-ASSOCIATE-AC ")
        assert trace.interrupt() == 130
    assert "A-ASSOCIATE-AC" in page.read_text()


def test_nobody_reads_any_more(tmp_path: Path) -> None:
    capture = write_capture(tmp_path / "many.pcap", *[AN_ECHO] * 50)
    reading, writing = os.pipe()
    os.close(reading)
    with tracing(tmp_path, "read", capture, stdout=writing) as trace:
        os.close(writing)
        assert trace.process.wait(DEADLINE) == 0
    assert trace.errors == ""
