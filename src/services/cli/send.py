"""`dicom-send`: send DICOM files and folders of them to a peer (PS3.4 Annex B)."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from services.cli.client import (
    INTERRUPTED,
    CalledAE,
    CallingAE,
    OutputFormat,
    Peer,
    TLSAuthorities,
    TLSCertificate,
    TLSInsecure,
    TLSPrivateKey,
    new_app,
    run,
    tls_context,
)
from services.cli.common import ExitCode, progress, usage_error

if TYPE_CHECKING:
    from services.cli.send_report import Report
    from services.send import InstanceFile
    from services.sending import Destination

Priority: TypeAlias = Literal["low", "medium", "high"]

app = new_app("dicom-send")


@app.command()
def main(
    peer: Peer,
    paths: Annotated[
        list[Path], typer.Argument(help="Files, and folders whose files to send.", metavar="PATH")
    ],
    aet: CallingAE = "DICOM_SEND",
    called_ae: CalledAE = "DICOM_SERVER",
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="The folders inside a folder as well.")
    ] = False,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Associations at a time.")] = 1,
    window: Annotated[
        int,
        typer.Option(
            min=1, max=64, help="C-STOREs under way on one association, where the peer grants more than one."
        ),
    ] = 1,
    retry: Annotated[
        int,
        typer.Option(
            min=0, help="Further tries after a lost association, a transient rejection, or status A7xx."
        ),
    ] = 0,
    verify: Annotated[bool, typer.Option("--verify", help="Send only where a C-ECHO is answered.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent, and in which contexts.")
    ] = False,
    priority: Annotated[Priority, typer.Option(help="A wish, which most peers pass over.")] = "medium",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each answer.")] = 60.0,
    max_pdu_size: Annotated[
        int,
        typer.Option(
            min=4096,
            max=1 << 20,
            help="Longest P-DATA-TF that we announce to take, in bytes; the peer's rules ours.",
        ),
    ] = 131072,
    format: Annotated[OutputFormat, typer.Option("--format", help="How to print the summary.")] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for each file.")] = False,
    tls_ca: TLSAuthorities = None,
    tls_certificate: TLSCertificate = None,
    tls_private_key: TLSPrivateKey = None,
    tls_insecure: TLSInsecure = False,
) -> None:
    """Send DICOM files to a peer with C-STORE.

    A file goes out as it is where the peer accepts its transfer syntax; one that is not compressed is converted to
    another uncompressed syntax where the peer accepts only that. What is no DICOM file, or a DICOMDIR, is skipped.

    \b
    Examples:
      dicom-send pacs://localhost:11112 --aet TEST_SCU --called-ae MY_PACS study/*.dcm
      dicom-send pacs://localhost:11112 --called-ae MY_PACS --recursive study/ --parallel 4 --retry 3
      dicom-send pacs://localhost:11112 --called-ae MY_PACS --recursive study/ --dry-run

    Exit code 0 means that the peer has every file, 1 that something failed, 2 that the command line makes no sense or
    names no DICOM file, 130 that Ctrl+C came first.
    """
    tls = tls_context(peer, tls_ca, tls_certificate, tls_private_key, tls_insecure)
    # What pydicom thinks of odd values in files that are converted is nobody's business here.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
    from dimse.enums import Priority as StorePriority
    from services.cli.send_report import Report
    from services.sending import Destination

    destination = Destination(
        host=peer.host,
        port=peer.port,
        called_ae=called_ae,
        calling_ae=aet,
        tls=tls,
        timeout=timeout,
        window=window,
        maximum_length=max_pdu_size,
        priority=StorePriority[priority.upper()],
    )
    report = Report(destination, format, verbose)
    files = _read(paths, recursive, report)
    if dry_run:
        report.print_plan(files)
        raise typer.Exit(ExitCode.FAILURE if report.failures else ExitCode.SUCCESS)
    if verify and not run(_answers(destination, report)):
        raise typer.Exit(ExitCode.FAILURE)
    raise typer.Exit(_send(destination, files, report, parallel, retry))


def _send(
    destination: "Destination", files: "list[InstanceFile]", report: "Report", parallel: int, retry: int
) -> int:
    """Send, with a progress bar on a terminal, and print the summary; returns the exit code."""
    from services.loop import run as run_loop
    from services.sending import Outcome, SendJob

    interrupted = False
    with progress("sending", len(files), quiet=report.verbose) as advance:

        def conclude(outcome: Outcome) -> None:
            report.conclude(outcome)
            advance(1)

        job = SendJob(
            destination, files, parallel=parallel, retry=retry, on_outcome=conclude, on_note=report.note
        )
        report.begin()
        try:
            run_loop(job.run())
        except KeyboardInterrupt:
            interrupted = True
    report.end(job.associations, job.unfinished)
    if interrupted:
        return INTERRUPTED
    return ExitCode.FAILURE if report.failures else ExitCode.SUCCESS


async def _answers(destination: "Destination", report: "Report") -> bool:
    """Whether the peer answers a C-ECHO."""
    from dimse.errors import DimseError
    from dul.errors import NetworkError
    from services.verification import echo_once

    try:
        await echo_once(
            destination.host,
            destination.port,
            destination.calling_ae,
            destination.called_ae,
            destination.timeout,
            destination.tls,
        )
    except TimeoutError:
        report.fail(f"no answer to the C-ECHO within {destination.timeout:g} s; nothing was sent")
    except (NetworkError, DimseError) as error:
        report.fail(f"{error}; nothing was sent", error)
    else:
        return True
    return False


# -- which files


def _names(paths: list[Path], recursive: bool, report: "Report") -> Iterator[str]:
    """The files that are meant, in the order of the command line and then by name."""
    missing = [path for path in paths if not (os.path.isfile(path) or os.path.isdir(path))]
    if missing:
        usage_error("\n".join(f"{path}: there is no such file or folder" for path in missing))
    for path in paths:
        if path.is_dir():
            yield from _within(path, recursive, report)
        else:
            yield str(path)


def _within(folder: Path, recursive: bool, report: "Report") -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        report.unreadable(str(error.filename), error.strerror or str(error))

    for directory, folders, names in os.walk(folder, onerror=unreadable):
        paths = (os.path.join(directory, name) for name in sorted(names))
        yield from filter(os.path.isfile, paths)  # a pipe would never end
        folders[:] = sorted(folders) if recursive else []


def _read(paths: list[Path], recursive: bool, report: "Report") -> "list[InstanceFile]":
    """The DICOM files that are meant; exits where there is none."""
    from services.send import InvalidFileMeta, NotDicom, read_instance
    from services.sop_classes import MEDIA_STORAGE_DIRECTORY

    names = list(_names(paths, recursive, report))
    files = []
    with progress("reading", len(names)) as advance:
        for name in names:
            advance(1)
            try:
                file = read_instance(name)
            except InvalidFileMeta as error:
                report.unreadable(name, str(error).removeprefix(f"{name}: "))
            except NotDicom:
                report.skip(name, "not a DICOM file")
            except OSError as error:
                report.unreadable(name, error.strerror or str(error))
            else:
                if file.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
                    report.skip(name, "a DICOMDIR, which lists files and is none to send")
                else:
                    files.append(file)
    if not files and not report.failures:
        flat = not recursive and any(path.is_dir() for path in paths)
        advice = "; --recursive looks into the folders inside a folder as well" if flat else ""
        usage_error(f"no DICOM file to send among {len(names)} looked at{advice}")
    return files
