"""`dicom-retrieve`: bring studies, series or instances from a peer into a folder (PS3.4 C.4.2, C.4.3)."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeAlias

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
    tls_context,
)
from services.cli.common import ExitCode, ae_title, usage_error

if TYPE_CHECKING:
    from services.cli.retrieve_job import RetrieveJob
    from services.cli.retrieve_keys import Wanted
    from services.cli.retrieve_methods import Method, Source
    from services.cli.retrieve_report import Bar, RetrieveReport
    from services.retrieve.folder import Folder, Identity
    from services.retrieve.requesting import Activity

MethodName: TypeAlias = Literal["get", "move"]
LayoutName: TypeAlias = Literal["flat", "hierarchical"]
StudyUIDs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--study-uid", metavar="UID", help="Study Instance UID. May be given several times."),
]
SeriesUIDs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--series-uid", metavar="UID", help="Only these series of the study. May be given several times."
    ),
]
InstanceUIDs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--instance-uid",
        metavar="UID",
        help="Only these instances of the series. May be given several times.",
    ),
]
UIDList: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--uid-list",
        metavar="FILE",
        help="A study on each line, or a series or an instance: the UIDs from the study down, with spaces or commas "
        "between them. What follows a # is a comment.",
    ),
]
PatientID: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--patient-id", metavar="ID", help="Of the patient: all studies, or those whose UIDs are given."
    ),
]


DEFAULT_LISTEN = 11113
"""Where the listener of `--method move` listens: beside the port of a PACS on the same machine."""

_LOOPBACK = "127.0.0.1"

app = new_app("dicom-retrieve")


@app.command()
def main(
    peer: Peer,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder to write to; made where there is none."
        ),
    ],
    method: Annotated[
        MethodName,
        typer.Option(
            help="get: on the association that asks (C-GET); move: the peer sends it to our listener (C-MOVE)."
        ),
    ] = "get",
    aet: CallingAE = "DICOM_RETRIEVE",
    called_ae: CalledAE = "DICOM_SERVER",
    study_uid: StudyUIDs = None,
    series_uid: SeriesUIDs = None,
    instance_uid: InstanceUIDs = None,
    uid_list: UIDList = None,
    patient_id: PatientID = None,
    layout: Annotated[
        LayoutName | None,
        typer.Option(
            help="INSTANCE.dcm, or STUDY/SERIES/INSTANCE.dcm, with UIDs for names.", show_default="flat"
        ),
    ] = None,
    hierarchical: Annotated[
        bool, typer.Option("--hierarchical", help="The same as --layout hierarchical.")
    ] = False,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Associations at a time.")] = 1,
    retry: Annotated[
        int,
        typer.Option(
            min=0, help="Further tries after a lost association, a transient rejection, or status A7xx."
        ),
    ] = 0,
    listen: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            metavar="PORT",
            help="With --method move: the port of our listener.",
            show_default=str(DEFAULT_LISTEN),
        ),
    ] = None,
    listen_host: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="With --method move: the address to listen on; 0.0.0.0 for a peer on another machine.",
            show_default=_LOOPBACK,
        ),
    ] = None,
    move_dest: Annotated[
        str | None,
        typer.Option(
            parser=ae_title,
            metavar="AE",
            help="With --method move: our AE title, under which the peer knows where we listen.",
            show_default="that of --aet",
        ),
    ] = None,
    move_sender: Annotated[
        str | None,
        typer.Option(
            parser=ae_title,
            metavar="AE",
            help="With --method move: the AE title that the peer sends with; nobody else is let in.",
            show_default="that of --called-ae",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds of silence after which the peer is given up.")
    ] = 60.0,
    format: Annotated[OutputFormat, typer.Option("--format", help="How to print the summary.")] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for each instance.")] = False,
    tls_ca: TLSAuthorities = None,
    tls_certificate: TLSCertificate = None,
    tls_private_key: TLSPrivateKey = None,
    tls_insecure: TLSInsecure = False,
) -> None:
    """Retrieve studies, series or instances from a DICOM peer as Part 10 files.

    The peer is asked first what it has (C-FIND). What is in the folder already, as a whole file under its name, is not
    retrieved again: after an interruption run the same again. Files appear under their names only once they are whole.

    \b
    Examples:
      dicom-retrieve --method get pacs://localhost:11112 --aet TEST_SCU --called-ae MY_PACS \\
          --study-uid 1.2.3.4.5 --output ./retrieved/
      dicom-retrieve pacs://localhost:11112 --called-ae MY_PACS --patient-id 4711 --hierarchical -o patient/
      dicom-retrieve pacs://localhost:11112 --called-ae MY_PACS --uid-list studies.txt --parallel 4 --retry 3 -o all/
      dicom-retrieve --method move --listen 11113 --move-dest TEST_SCU pacs://localhost:11112 --called-ae MY_PACS \\
          --study-uid 1.2.3.4.5 --output ./retrieved/

    With --method move the peer has to know our AE title, address and port as a C-MOVE destination. The listener is
    plain TCP, runs for as long as the command, and takes only what was asked for, only from whom it was asked of.

    Exit code 0 means that all of it is there, 1 that something is missing, 2 that the command line makes no sense,
    130 that Ctrl+C came first; it sends a C-CANCEL.
    """
    tls = tls_context(peer, tls_ca, tls_certificate, tls_private_key, tls_insecure)
    if method == "get":
        _refuse_move_options(listen, listen_host, move_dest, move_sender)
    if hierarchical and layout == "flat":
        usage_error("--hierarchical is --layout hierarchical: leave it out, or --layout flat")
    wanted = wanted_of(study_uid, series_uid, instance_uid, uid_list, patient_id)
    from services.cli.retrieve_methods import Source
    from services.cli.retrieve_report import RetrieveReport

    source = Source(
        host=peer.host, port=peer.port, called_ae=called_ae, calling_ae=aet, tls=tls, timeout=timeout
    )
    listener = None
    if method == "move":
        listener = Listening(
            move_dest or aet, listen_host or _LOOPBACK, listen or DEFAULT_LISTEN, move_sender or called_ae
        )
    report = RetrieveReport(source, os.fspath(output), listener.ae_title if listener else "", format, verbose)
    command = RetrieveCommand(source, wanted, report, listener)
    raise typer.Exit(
        command.run(
            output, "hierarchical" if hierarchical else layout or "flat", parallel=parallel, retry=retry
        )
    )


class Listening(NamedTuple):
    """Where we listen with `--method move`.

    Attributes:
        ae_title: ours, the destination.
        host, port: of the listener.
        sender: the AE title that instances come from.
    """

    ae_title: str
    host: str
    port: int
    sender: str


class RetrieveCommand:
    """One run of the command.

    Args:
        source: whom from.
        wanted: what.
        report: tells how it goes.
        listener: with `--method move`, where it listens.
    """

    def __init__(
        self,
        source: "Source",
        wanted: "list[Wanted]",
        report: "RetrieveReport",
        listener: Listening | None,
    ) -> None:
        self._source = source
        self._wanted = wanted
        self._report = report
        self._listener = listener
        self._job: RetrieveJob | None = None

    def run(self, output: Path, layout: LayoutName, *, parallel: int, retry: int) -> int:
        """Retrieve, with a progress bar on a terminal, and print the summary; returns the exit code."""
        from services.cli.retrieve_report import progress_bar
        from services.retrieve.folder import FolderError
        from services.retrieve.requesting import Activity

        activity = Activity()
        with progress_bar("retrieving", quiet=self._report.verbose) as bar:
            folder = self._folder(output, layout, activity, bar)
            try:
                folder.open()
            except FolderError as error:
                self._report.fail(str(error))
                return ExitCode.FAILURE
            job = self._job = self._new_job(folder, activity, bar, parallel, retry)
            code = self._retrieve(job)
        self._report.end(job, folder, interrupted=code == INTERRUPTED)
        if folder.failure is not None:
            self._report.fail(str(folder.failure))
        elif code == ExitCode.SUCCESS and not job.missing:
            return code
        return INTERRUPTED if code == INTERRUPTED else ExitCode.FAILURE

    def _retrieve(self, job: "RetrieveJob") -> int:
        from dimse.errors import DimseError
        from dul.errors import NetworkError
        from services.cli.stoppable import run_until_stopped
        from services.loop import run as run_loop

        try:
            stopped = run_loop(run_until_stopped(job.run(), job.stop))
        except KeyboardInterrupt:
            return INTERRUPTED
        except (NetworkError, DimseError) as error:
            self._report.fail(str(error), error)
            return ExitCode.FAILURE
        except OSError as error:
            self._report.fail(self._cannot_listen(error))
            return ExitCode.FAILURE
        return INTERRUPTED if stopped else ExitCode.SUCCESS

    def _cannot_listen(self, error: OSError) -> str:
        assert self._listener is not None, "nothing else opens a socket by itself"
        where = f"{self._listener.host}:{self._listener.port}"
        return f"cannot listen on {where}: {error.strerror or error}; --listen and --listen-host say where"

    def _folder(self, output: Path, layout: LayoutName, activity: "Activity", bar: "Bar") -> "Folder":
        from services.cli.received_files import DataSetInspector, is_whole
        from services.retrieve.folder import Folder

        named: dict[str, list[Wanted]] = {}
        for each in self._wanted:
            named.setdefault(each.study_uid, []).append(each)

        def is_wanted(identity: "Identity") -> bool:
            uids = identity.study_uid, identity.series_uid, identity.sop_instance_uid
            if identity.study_uid in named:
                return any(each.includes(*uids) for each in named[identity.study_uid])
            # A patient's: what is listed, or whatever comes where nothing is.
            job = self._job
            return "" in named and (job is None or not job.is_listed or identity.study_uid in job.studies)

        def kept(identity: "Identity", size: int) -> None:
            self._report.kept(identity, size)
            bar.advance()
            if self._job is not None:
                self._job.came(identity)

        def failed() -> None:
            if self._job is not None:
                self._job.stop()

        return Folder(
            output,
            layout=layout,
            source_ae=self._source.called_ae if self._listener is None else self._listener.sender,
            inspect=DataSetInspector,
            is_whole=is_whole,
            is_wanted=is_wanted,
            on_bytes=lambda size: activity.touch(),
            on_kept=kept,
            on_refused=self._report.refused,
            on_failure=failed,
        )

    def _new_job(
        self, folder: "Folder", activity: "Activity", bar: "Bar", parallel: int, retry: int
    ) -> "RetrieveJob":
        from services.cli.retrieve_job import RetrieveJob

        return RetrieveJob(
            self._source,
            self._method(folder, activity),
            self._wanted,
            folder,
            parallel=parallel,
            retry=retry,
            on_total=bar.total,
            on_note=self._report.note,
        )

    def _method(self, folder: "Folder", activity: "Activity") -> "Method":
        from services.cli.retrieve_methods import GetMethod, MoveListener, MoveMethod

        if self._listener is None:
            return GetMethod(self._source, folder, activity)
        listener = MoveListener(self._listener.ae_title, folder, self._listener.sender, self._report.note)
        return MoveMethod(self._source, activity, listener, self._listener.host, self._listener.port)


def wanted_of(
    studies: list[str] | None,
    series: list[str] | None,
    instances: list[str] | None,
    uid_list: Path | None,
    patient_id: str | None,
    *,
    to: str = "retrieve",
) -> "list[Wanted]":
    """What the options ask `to` do; exits where that makes no sense."""
    from services.cli.retrieve_keys import InvalidSelection, read_wanted

    try:
        return read_wanted(studies or (), series or (), instances or (), uid_list, patient_id or "", to=to)
    except InvalidSelection as error:
        usage_error(str(error))


def _refuse_move_options(
    listen: int | None, listen_host: str | None, move_dest: str | None, move_sender: str | None
) -> None:
    for option, value in (
        ("--listen", listen),
        ("--listen-host", listen_host),
        ("--move-dest", move_dest),
        ("--move-sender", move_sender),
    ):
        if value is not None:
            usage_error(f"{option} is for --method move: by C-GET, instances come on our own association")
