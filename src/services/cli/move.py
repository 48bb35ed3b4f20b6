"""`dicom-move`: have a peer send studies, series or instances to somebody else (PS3.4 C.4.2)."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

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
from services.cli.common import ExitCode, ae_title
from services.cli.retrieve import InstanceUIDs, PatientID, SeriesUIDs, StudyUIDs, UIDList, wanted_of
from services.cli.retrieve_report import (
    NAMED,
    complain,
    count,
    destination_hint,
    peer_fields,
    print_json,
    progress_bar,
)
from services.cli.stoppable import run_until_stopped, unless_stopped

if TYPE_CHECKING:
    from dimse.association import Association
    from services.cli.retrieve_keys import Wanted
    from services.cli.retrieve_methods import Source
    from services.cli.retrieve_report import Bar
    from services.retrieve.requesting import Told
    from services.retrieve.selection import Selection

app = new_app("dicom-move")


@app.command()
def main(
    peer: Peer,
    dest: Annotated[
        str,
        typer.Option(
            "--dest",
            "--move-dest",
            parser=ae_title,
            metavar="AE",
            help="The AE title to send to, which the peer has to know; 16 characters at most, so that few "
            "host:port:AE of a server with allowAdHocDestinations fit.",
        ),
    ],
    aet: CallingAE = "DICOM_MOVE",
    called_ae: CalledAE = "DICOM_SERVER",
    study_uid: StudyUIDs = None,
    series_uid: SeriesUIDs = None,
    instance_uid: InstanceUIDs = None,
    uid_list: UIDList = None,
    patient_id: PatientID = None,
    retry: Annotated[
        int, typer.Option(min=0, help="Further tries after a lost association or a transient rejection.")
    ] = 0,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds of silence after which the peer is given up.")
    ] = 300.0,
    format: Annotated[OutputFormat, typer.Option("--format", help="How to print the summary.")] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for each response.")] = False,
    tls_ca: TLSAuthorities = None,
    tls_certificate: TLSCertificate = None,
    tls_private_key: TLSPrivateKey = None,
    tls_insecure: TLSInsecure = False,
) -> None:
    """Have a DICOM peer send studies, series or instances to a destination with C-MOVE.

    The peer opens an association to the destination; it has to know address and port of that AE title.

    \b
    Examples:
      dicom-move pacs://localhost:11112 --aet TEST_SCU --called-ae MY_PACS --dest WORKSTATION --study-uid 1.2.3.4.5
      dicom-move pacs://localhost:11112 --called-ae MY_PACS --dest WORKSTATION --patient-id 4711
      dicom-move pacs://localhost:11112 --called-ae MY_PACS --dest WORKSTATION --uid-list studies.txt --format json

    Exit code 0 means that the peer says it sent all of it, 1 that something failed or there was nothing to send, 2 that
    the command line makes no sense, 130 that Ctrl+C came first; it sends a C-CANCEL.
    """
    tls = tls_context(peer, tls_ca, tls_certificate, tls_private_key, tls_insecure)
    wanted = wanted_of(study_uid, series_uid, instance_uid, uid_list, patient_id, to="move")
    from services.cli.retrieve_methods import Source

    source = Source(
        host=peer.host, port=peer.port, called_ae=called_ae, calling_ae=aet, tls=tls, timeout=timeout
    )
    raise typer.Exit(MoveCommand(source, dest, retry, verbose=verbose).run(wanted, format))


class MoveCommand:
    """Moves, and how they went.

    Args:
        source: whom to ask.
        destination: the AE title to send to.
        retry: further tries of a move whose association was lost, or refused for now.
        verbose: a line for each response.

    Attributes:
        completed, failed, warning: sub-operations, by the peer's count.
        failed_uids: instances that failed, as far as the peer names them.
        problems: what did not go well, in words, and the status where there is one.
    """

    def __init__(self, source: "Source", destination: str, retry: int, *, verbose: bool) -> None:
        self.completed = self.failed = self.warning = 0
        self.failed_uids: list[str] = []
        self.problems: list[tuple[str, int | None, str]] = []
        self._source = source
        self._destination = destination
        self._retry = retry
        self._verbose = verbose
        self._where = f"{source.called_ae} at {source.host}:{source.port}"
        self._moves: deque[tuple[Wanted, Selection]] = deque()
        self._under_way: Told | None = None
        self._total = 0
        self._stop = asyncio.Event()

    def run(self, wanted: "Sequence[Wanted]", format: OutputFormat) -> int:
        """Move, with a progress bar on a terminal, and print the summary; returns the exit code."""
        from dimse.errors import DimseError
        from dul.errors import NetworkError
        from services.loop import run as run_loop

        self._moves.extend((each, selection) for each in wanted for selection in each.selections())
        stopped = False
        with progress_bar(f"moving to {self._destination}", quiet=self._verbose) as bar:
            try:
                stopped = run_loop(run_until_stopped(self._all(bar), self._stop.set))
            except KeyboardInterrupt:
                stopped = True
            except (NetworkError, DimseError, TimeoutError) as error:
                self._problem("nothing more can be moved", None, str(error), error)
        self._summarize(format, stopped)
        if stopped:
            return INTERRUPTED
        return ExitCode.FAILURE if self.problems else ExitCode.SUCCESS

    async def _all(self, bar: "Bar") -> None:
        """Move one after the other, on as few associations as it takes."""
        from dul.errors import NetworkError
        from services.retrieve.move_scu import move_context
        from services.sending import may_pass, retry_delay

        tries = 0
        while self._moves and not self._stop.is_set():
            model, established = self._moves[0][0].model, False
            try:
                async with self._source.associate([move_context(model)]) as association:
                    established = True
                    while self._moves and self._moves[0][0].model == model and association.is_established:
                        if not await self._next(association, bar):
                            return
                        tries = 0
            except (NetworkError, TimeoutError) as error:
                tries += 1
                if tries <= self._retry and (isinstance(error, TimeoutError) or may_pass(error)):
                    delay = retry_delay(tries)
                    complain(f"{self._where}: {error}; again in {delay:g} s")
                    await unless_stopped(self._stop, asyncio.sleep(delay))
                elif established and self._moves:
                    wanted, _ = self._moves.popleft()
                    self._problem(str(wanted), None, str(error), error)
                else:
                    raise

    async def _next(self, association: "Association", bar: "Bar") -> bool:
        """Do the first of the moves; False where Ctrl+C came first."""
        wanted, selection = self._moves[0]
        told = await unless_stopped(self._stop, self._one(association, selection, wanted, bar))
        if told is None:
            return False
        self._moves.popleft()
        self._conclude(wanted, told)
        return True

    async def _one(
        self, association: "Association", selection: "Selection", wanted: "Wanted", bar: "Bar"
    ) -> "Told":
        from services.retrieve.move_scu import move

        if self._verbose:
            complain(f"{self._where}: asked to move {wanted} to {self._destination}")
        responses = move(
            association,
            selection,
            self._destination,
            model=wanted.model,
            timeout=self._source.timeout,
            cancel_timeout=self._source.cancel_timeout,
        )
        before = self.completed + self.failed + self.warning
        told = None
        async with aclosing(responses):
            async for told in responses:
                self._under_way = told
                if told.total is not None:
                    bar.total(self._total + told.total)
                bar.done(before + _ended(told))
                if self._verbose:
                    complain(f"  {_counts(told)}: {told}")
        assert told is not None, "there is a final response, or an error"
        return told

    def _conclude(self, wanted: "Wanted", told: "Told") -> None:
        """Add up what a final response says, and say what is wrong with it."""
        from dimse import status

        self._add(told)
        self.failed_uids += told.failed_uids
        category = status.category(told.status)
        if category is status.StatusCategory.SUCCESS:
            if not _ended(told) and told.completed is not None:
                self._problem(str(wanted), told.status, "there is nothing of it to move")
        elif told.failed or category is not status.StatusCategory.WARNING:
            self._problem(str(wanted), told.status, str(told))
            self._explain(told)
        else:
            complain(f"warning: {self._where}: {wanted}: {told}")

    def _add(self, told: "Told") -> None:
        self.completed += told.completed or 0
        self.failed += told.failed or 0
        self.warning += told.warning or 0
        self._total += _ended(told)
        self._under_way = None

    def _explain(self, told: "Told") -> None:
        from dimse import status

        if told.status == status.MOVE_DESTINATION_UNKNOWN:
            complain(destination_hint(self._source, self._destination))
        elif told.failed and not told.completed:
            complain(
                f"hint: does {self._destination} run where {self._source.called_ae} looks for it, and take instances "
                "from it? The peer's log says more"
            )
        elif not _ended(told) and status.category(told.status) is status.StatusCategory.FAILURE:
            complain(
                f"hint: does {self._source.called_ae} know {self._destination}? The peer's log says more"
            )

    def _problem(self, what: str, code: int | None, reason: str, error: Exception | None = None) -> None:
        from services.cli.hints import hint

        self.problems.append((what, code, reason))
        complain(f"error: {self._where}: {what}: {reason}")
        silent = isinstance(error, TimeoutError)  # of which the hint is about connecting
        advice = None if error is None or silent else hint(error)
        if advice is not None:
            complain(f"hint: {advice}")

    def _summarize(self, format: OutputFormat, stopped: bool) -> None:
        if self._under_way is not None:
            self._add(self._under_way)
        for uid in self.failed_uids[:NAMED]:
            complain(f"failed: {uid}")
        if len(self.failed_uids) > NAMED:
            complain(f"and {len(self.failed_uids) - NAMED} more failed")
        if stopped:
            complain(
                "interrupted: what was not moved yet is not moved, unless the peer passes over a C-CANCEL"
            )
        if format == "json":
            print_json(
                {
                    **peer_fields(self._source),
                    "destination": self._destination,
                    "completed": self.completed,
                    "failed": self.failed,
                    "warning": self.warning,
                    "interrupted": stopped,
                    "failedInstances": self.failed_uids,
                    "problems": [
                        {"what": what, "status": None if code is None else f"{code:04X}", "reason": reason}
                        for what, code, reason in self.problems
                    ],
                }
            )
            return
        also = f", {self.warning} with a warning" if self.warning else ""
        moved = count(self.completed + self.warning, "instance")
        typer.echo(f"{self._where} moved {moved} to {self._destination}{also}, {self.failed} failed")


def _ended(told: "Told") -> int:
    return (told.completed or 0) + (told.failed or 0) + (told.warning or 0)


def _counts(told: "Told") -> str:
    remaining = "?" if told.remaining is None else told.remaining
    warning = f", {told.warning} with a warning" if told.warning else ""
    return f"{told.completed or 0} completed, {told.failed or 0} failed{warning}, {remaining} to go"
