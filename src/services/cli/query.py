"""`dicom-query`: ask a peer what it has (PS3.4 Annex C)."""

import logging
import os
import sys
import warnings
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from services.cli.client import (
    INTERRUPTED,
    CalledAE,
    CallingAE,
    Peer,
    TLSAuthorities,
    TLSCertificate,
    TLSInsecure,
    TLSPrivateKey,
    new_app,
    tls_context,
)
from services.cli.common import ExitCode, PeerAddress, usage_error
from services.printable import printable

if TYPE_CHECKING:
    import ssl

    from dimse.association import Association
    from dimse.messages import Response
    from services.cli.query_keys import Wanted
    from services.cli.query_output import Printer

Level: TypeAlias = Literal["patient", "study", "series", "image", "instance"]
Model: TypeAlias = Literal["study", "patient"]
Format: TypeAlias = Literal["table", "json", "csv", "compact"]

_PENDING_WARNING = 0xFF01

app = new_app("dicom-query")


@app.command()
def main(
    peer: Peer,
    aet: CallingAE = "DICOM_QUERY",
    called_ae: CalledAE = "DICOM_SERVER",
    patient: Annotated[
        str | None, typer.Option("--patient", "--patient-name", help="Name, as DOE^JOHN or DOE*.")
    ] = None,
    patient_id: Annotated[str | None, typer.Option(help="Patient ID.")] = None,
    study_uid: Annotated[str | None, typer.Option(help="Study Instance UID.")] = None,
    series_uid: Annotated[str | None, typer.Option(help="Series Instance UID.")] = None,
    instance_uid: Annotated[str | None, typer.Option(help="SOP Instance UID.")] = None,
    study_date: Annotated[
        str | None, typer.Option(help="A day, 20240131, or a range, 20240101-20240131, 20240101-, -20240131.")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="Such as CT; of a study, one that it has among its modalities.")
    ] = None,
    accession: Annotated[
        str | None, typer.Option("--accession", "--accession-number", help="Accession Number.")
    ] = None,
    study_description: Annotated[str | None, typer.Option(help="Study Description.")] = None,
    referring_physician: Annotated[str | None, typer.Option(help="Referring Physician's Name.")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            "-k",
            metavar="KEY[=VALUE]",
            help="A further key, to match or only to be told: a keyword, a tag gggg,eeee, "
            "or a path into sequences with dots. May be given several times.",
        ),
    ] = None,
    level: Annotated[
        Level | None,
        typer.Option(
            "--level", "-l", help="What to list.", show_default="that of the lowest UID given, else study"
        ),
    ] = None,
    model: Annotated[
        Model | None,
        typer.Option(help="Information model.", show_default="patient at the patient level, else study"),
    ] = None,
    format: Annotated[
        Format, typer.Option("--format", "-f", help="How to print the matches, see below.")
    ] = "table",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Cancel the query after so many matches.", show_default="no limit"),
    ] = None,
    fuzzy: Annotated[
        bool, typer.Option("--fuzzy", help="Match names by how they sound, where the peer agrees.")
    ] = False,
    relational: Annotated[
        bool,
        typer.Option("--relational", help="Series or images without the UIDs above, where the peer agrees."),
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each answer.")] = 60.0,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say what is asked, and how it ended.")
    ] = False,
    tls_ca: TLSAuthorities = None,
    tls_certificate: TLSCertificate = None,
    tls_private_key: TLSPrivateKey = None,
    tls_insecure: TLSInsecure = False,
) -> None:
    """Ask a DICOM peer with C-FIND which patients, studies, series or images it has.

    Values match as a whole; * stands for any characters and ? for one, in names, IDs and descriptions. Several UIDs
    are separated by backslashes. Text that is not ASCII is sent in UTF-8. Another
    character set is declared with -k SpecificCharacterSet=...

    \b
    Examples:
      dicom-query pacs://localhost:11112 --aet TEST_SCU --called-ae MY_PACS --patient "DOE^JOHN"
      dicom-query pacs://localhost:11112 --called-ae MY_PACS --patient "DOE*" --study-date 20240101- --modality CT
      dicom-query pacs://localhost:11112 --called-ae MY_PACS --level series --study-uid 1.2.3.4.5
      dicom-query pacs://localhost:11112 --called-ae MY_PACS --level patient --format csv > patients.csv
      dicom-query pacs://localhost:11112 --called-ae MY_PACS -k StudyID=4711 -k InstitutionName --format json
      dicom-query pacs://localhost:11112 --called-ae MY_PACS --level series --relational \\
          -k RequestAttributesSequence.ScheduledProcedureStepID=SPS1

    \b
    Formats:
      table    columns for the level, and the keys given with -k; plain aligned text in a pipe
      json     an array in the DICOM JSON Model (PS3.18 F), keys are tags as 00100010; one match on a line
      csv      a header row of keywords, then all keys asked for; what a spreadsheet would take for a formula has an
               apostrophe before it, several values are joined by backslashes
      compact  the columns of the table separated by |, without a header; | in a value is written \\|

    Only matches go to standard output. Ctrl+C and --limit send a C-CANCEL.

    Exit code 0 means that the query was answered, be it with nothing; 1 that the peer or the network failed, 2 that
    the command line makes no sense, 130 that Ctrl+C came first.
    """
    tls = tls_context(peer, tls_ca, tls_certificate, tls_private_key, tls_insecure)
    # What pydicom thinks of odd values in answers is nobody's business here.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    values = {
        "PatientName": patient,
        "PatientID": patient_id,
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": series_uid,
        "SOPInstanceUID": instance_uid,
        "StudyDate": study_date,
        "Modality": modality,
        "AccessionNumber": accession,
        "StudyDescription": study_description,
        "ReferringPhysicianName": referring_physician,
    }
    from services.cli.query_keys import InvalidKey, build_identifier

    try:
        wanted = build_identifier(
            values, key or (), level="image" if level == "instance" else level, model=model
        )
    except InvalidKey as error:
        usage_error(str(error))
    query = QueryCommand(peer, aet, called_ae, tls, timeout, wanted, limit, verbose)
    raise typer.Exit(query.run(format, fuzzy=fuzzy, relational=relational))


class QueryCommand:
    """One query, and how it went.

    Attributes:
        matches: how many were printed.
    """

    def __init__(
        self,
        peer: PeerAddress,
        calling_ae: str,
        called_ae: str,
        tls: "ssl.SSLContext | None",
        timeout: float,
        wanted: "Wanted",
        limit: int | None,
        verbose: bool,
    ) -> None:
        self.matches = 0
        self._peer = peer
        self._calling_ae = calling_ae
        self._called_ae = called_ae
        self._where = f"{called_ae} at {peer.host}:{peer.port}"
        self._tls = tls
        self._timeout = timeout
        self._wanted = wanted
        self._limit = limit
        self._verbose = verbose
        self._stopped = False
        self._warned = False

    def run(self, format: Format, *, fuzzy: bool, relational: bool) -> int:
        """Ask, and print the matches as they come; returns the exit code."""
        from dimse.errors import DimseError
        from dul.errors import NetworkError
        from services.cli.query_output import printer
        from services.find_scu import InvalidAnswer
        from services.loop import run as run_loop

        code: int = ExitCode.FAILURE
        try:
            output = printer(format, self._wanted.level, self._wanted.columns)
            try:
                code = run_loop(self._query(output, fuzzy, relational))
            except KeyboardInterrupt:
                code = INTERRUPTED
            except TimeoutError:
                self._failed(f"no answer to the C-FIND within {self._timeout:g} s")
            except (NetworkError, DimseError, InvalidAnswer, ValueError) as error:
                self._failed(error)
            output.end()
        except BrokenPipeError:
            # Whoever read our output, `head` perhaps, has had enough; nothing more can be written there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.SUCCESS
        self._summarize(code)
        return code

    async def _query(self, output: "Printer", fuzzy: bool, relational: bool) -> int:
        from services.find_scu import find_context, find_extended
        from services.scu import associate

        model = self._wanted.model
        async with associate(
            self._peer.host,
            self._peer.port,
            calling_ae=self._calling_ae,
            called_ae=self._called_ae,
            contexts=[find_context(model)],
            extended=find_extended(model, fuzzy=fuzzy, relational=relational),
            tls=self._tls,
            timeout=self._timeout,
        ) as association:
            self._begin(association, fuzzy, relational)
            return await self._print_matches(association, output)

    async def _print_matches(self, association: "Association", output: "Printer") -> int:
        """Print them until there are no more, there are enough, or Ctrl+C comes; then the query is cancelled."""
        import asyncio

        from services.find_scu import find

        answers = find(
            association,
            self._wanted.identifier,
            model=self._wanted.model,
            timeout=self._timeout,
            on_response=self._responded,
        )
        try:
            async with aclosing(answers):
                async for answer in answers:
                    output.print(answer)
                    self.matches += 1
                    if self.matches == self._limit:
                        self._stopped = True
                        break
        except asyncio.CancelledError:
            # Ctrl+C cancels the program's task: the peer was told, and the association is released in order.
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            return INTERRUPTED
        return ExitCode.SUCCESS

    def _begin(self, association: "Association", fuzzy: bool, relational: bool) -> None:
        from services.find_scu import agreed_options

        agreed = agreed_options(association, self._wanted.model)
        if fuzzy and not agreed.fuzzy:
            _note(f"{self._where} does not agree to fuzzy matching: names are matched as usual")
        if relational and not agreed.relational:
            _note(f"{self._where} does not agree to relational queries: it may refuse this one")
        if self._verbose:
            keys = ", ".join(self._wanted.matching) or "all"
            _note(f"asking {self._where}, {self._wanted.model} root, {self._wanted.level} level: {keys}")

    def _responded(self, response: "Response") -> None:
        from dimse import status

        if response.status == _PENDING_WARNING and not self._warned:
            self._warned = True
            _note(
                f"{self._where} does not support each key for matching: there may be more than what matches"
            )
        if self._verbose and not status.is_pending(response.status):
            _note(f"{self._where} ended the query: {status.describe(response.status)}")

    def _failed(self, error: Exception | str) -> None:
        from services.cli.hints import hint

        _note(f"error: {self._where}: {error}{_offending(error)}")
        if isinstance(error, Exception):
            text = _hint(error, self._wanted) or hint(error)
            if text is not None:
                _note(f"hint: {text}")

    def _summarize(self, code: int) -> None:
        """On standard error, so that standard output holds matches only."""
        found = f"{self.matches} match{'' if self.matches == 1 else 'es'}"
        if code == INTERRUPTED:
            _note(f"interrupted after {found}")
        elif code != ExitCode.SUCCESS:
            if self.matches:
                _note(f"the list is not complete: {found} before the error")
        elif self._stopped:
            _note(f"stopped after {found}, as --limit says; there may be more")
        elif not self.matches:
            keys = ", ".join(self._wanted.matching)
            _note(f"nothing found for {keys}" if keys else f"{self._where} has nothing to list")
        elif sys.stdout.isatty() or self._verbose:
            _note(found)


def _note(text: str) -> None:
    typer.echo(printable(text), err=True)


def _offending(error: Any) -> str:
    """The attributes the peer names as the reason of its failure."""
    from pydicom.datadict import keyword_for_tag

    tags = getattr(error, "offending_elements", ())
    if not tags:
        return ""
    names = (f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword_for_tag(tag)}".strip() for tag in tags)
    return f"; offending element: {', '.join(names)}"


def _hint(error: Exception, wanted: "Wanted") -> str | None:
    """What to change in the query."""
    from dimse import status
    from dimse.errors import DimseError
    from dul.errors import AssociationAborted

    if isinstance(error, AssociationAborted):
        return (
            "some peers abort a query from an AE title that they do not know: see --aet, and the peer's log"
        )
    if not isinstance(error, DimseError):
        return None
    if error.status == status.SOP_CLASS_NOT_SUPPORTED:
        other = "study" if wanted.model == "patient" else "patient"
        return f"does the peer answer queries at all? Some know only the other model: --model {other}"
    if error.status == status.OUT_OF_RESOURCES:
        return "ask for less: more keys, a shorter range of dates"
    if error.status == status.IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS and wanted.level in ("series", "image"):
        above = "--study-uid" if wanted.level == "series" else "--study-uid and --series-uid"
        return f"at the {wanted.level} level most peers want {above}; --relational asks to do without"
    return None
