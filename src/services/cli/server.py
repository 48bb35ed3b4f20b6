"""`dicom-server`: start a server, ask it how it is, stop it.

Thin: what is given on the command line becomes a configuration, or a question to the control socket. What
costs time to import is imported by the command that needs it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from services.cli.common import ExitCode, ae_title, fail, usage_error
from services.cli.maintenance_backup import backup, restore
from services.cli.maintenance_import import import_
from services.cli.maintenance_index import reindex, verify
from services.cli.maintenance_migrate import migrate
from services.server.config import Config, LogFormat

if TYPE_CHECKING:
    from services.server.config_file import ConfigError, Problem

_DEFAULT = Config()

_OPTIONS = {
    "aeTitle": "--aet",
    "host": "--host",
    "port": "--port",
    "dataDirectory": "--data-dir",
    "database": "--database",
    "databaseURL": "--database-url",
    "durability": "--durability",
    "duplicates": "--duplicates",
    "workers": "--workers",
    "maxConcurrentConnections": "--max-connections",
    "maxPDUSize": "--max-pdu-size",
    "allowedCallingAETitles": "--allowed-ae",
    "blockedCallingAETitles": "--blocked-ae",
    "enableTLS": "--tls",
    "tlsCertificate": "--tls-certificate",
    "tlsPrivateKey": "--tls-private-key",
    "log.format": "--log-format",
    "trace.directory": "--trace",
    "trace.redact": "--redact",
    "verbose": "--verbose",
}
"""The field of the configuration that each option sets."""

app = typer.Typer(
    name="dicom-server",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A DICOM server: receives images over the network, keeps them, finds them and gives them back.",
)

ConfigFile: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="Configuration file, JSON or TOML.", metavar="FILE")
]
DataDirectory: TypeAlias = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data directory of the server.", metavar="DIR", show_default="./data"),
]
OutputFormat: TypeAlias = Annotated[LogFormat, typer.Option("--format", help="How to print it.")]


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"dicom-server {version('dicom-server')}")
    except PackageNotFoundError:
        typer.echo("dicom-server, not installed: run from its source tree")
    raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def start(
    config: ConfigFile = None,
    aet: Annotated[
        str | None,
        typer.Option("--aet", "-a", help="AE title of the server.", show_default=_DEFAULT.ae_title),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="TCP port.", show_default=str(_DEFAULT.port))
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; 0.0.0.0 is every IPv4 one.", show_default=_DEFAULT.host),
    ] = None,
    data_dir: DataDirectory = None,
    durability: Annotated[
        str | None,
        typer.Option(
            help="What a stored image survives before success is answered: the death of the process, or "
            "the loss of power.",
            metavar="[process|power]",
            show_default=_DEFAULT.durability,
        ),
    ] = None,
    duplicates: Annotated[
        str | None,
        typer.Option(
            help="What happens to an image that is already held.",
            metavar="[keep|replace|reject]",
            show_default=_DEFAULT.duplicates,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that serve associations, best one for each core.",
            show_default=str(_DEFAULT.workers),
        ),
    ] = None,
    max_connections: Annotated[
        int | None,
        typer.Option(help="Associations at one time.", show_default=str(_DEFAULT.max_concurrent_connections)),
    ] = None,
    max_pdu_size: Annotated[
        int | None,
        typer.Option(help="Longest P-DATA-TF we take, in bytes.", show_default=str(_DEFAULT.max_pdu_size)),
    ] = None,
    allowed_ae: Annotated[
        str | None, typer.Option(help='Calling AE titles that may connect; "*" is everyone.', metavar="A,B")
    ] = None,
    blocked_ae: Annotated[
        str | None, typer.Option(help="Calling AE titles that may not, whatever else is said.", metavar="C,D")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="Which database keeps the index; none: images are only kept.",
            metavar="[sqlite|postgres|none]",
            show_default="sqlite, or what --database-url names",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            help="Where the index is kept: sqlite:///FILE or postgresql://user:password@host/name.",
            metavar="URL",
            show_default="index.db in the data directory",
        ),
    ] = None,
    tls: Annotated[
        bool | None, typer.Option("--tls/--no-tls", help="Take TLS connections only.", show_default="no-tls")
    ] = None,
    tls_certificate: Annotated[
        str | None, typer.Option(help="Certificate chain, PEM.", metavar="FILE")
    ] = None,
    tls_private_key: Annotated[str | None, typer.Option(help="Its private key, PEM.", metavar="FILE")] = None,
    log_format: Annotated[
        str | None,
        typer.Option(help="How the log is written.", metavar="[text|json]", show_default=_DEFAULT.log.format),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Record every association in this directory, patient data included; off by default.",
            metavar="DIR",
        ),
    ] = None,
    redact: Annotated[
        bool | None,
        typer.Option(
            "--redact/--no-redact", help="With --trace: blank identifiers.", show_default="no-redact"
        ),
    ] = None,
    verbose: Annotated[
        bool | None, typer.Option("--verbose/--quiet", "-v", help="Log at level debug.", show_default="quiet")
    ] = None,
) -> None:
    """Run the server until it is told to stop.

    Ctrl+C, SIGTERM and dicom-server stop all end it in order. An option wins over the same field of the
    configuration file.

    \b
    Examples:
      dicom-server start
      dicom-server start --aet MY_PACS --port 11112 --data-dir /var/lib/dicom --verbose
      dicom-server start --config /etc/dicom-server.conf
      dicom-server start --host 0.0.0.0 --allowed-ae CT1,MR1
      dicom-server start --database-url postgresql://pacs:secret@localhost/pacs
      dicom-server start --tls --tls-certificate server.crt --tls-private-key server.key
      dicom-server start --trace traces --redact
    """
    given: dict[str, object] = {
        "aeTitle": aet,
        "host": host,
        "port": port,
        "dataDirectory": None if data_dir is None else str(data_dir),
        "database": database,
        "databaseURL": database_url,
        "durability": durability,
        "duplicates": duplicates,
        "workers": workers,
        "maxConcurrentConnections": max_connections,
        "maxPDUSize": max_pdu_size,
        "allowedCallingAETitles": _titles(allowed_ae),
        "blockedCallingAETitles": _titles(blocked_ae),
        "enableTLS": tls,
        "tlsCertificate": tls_certificate,
        "tlsPrivateKey": tls_private_key,
        "log.format": log_format,
        "trace.directory": None if trace is None else str(trace),
        "trace.redact": redact,
        "verbose": verbose,
    }
    settings = _load(config, {name: value for name, value in given.items() if value is not None})
    from services.server.config_file import ConfigError
    from services.server.program import run

    try:
        code = run(settings)
    except (
        ConfigError
    ) as error:  # what only the machine can tell: unreadable certificates, too few open files
        fail(str(error), ExitCode.USAGE)
    raise typer.Exit(code)


@app.command()
def status(
    data_dir: DataDirectory = None,
    config: ConfigFile = None,
    host: Annotated[
        str | None, typer.Option(help="Ask over the network, by C-ECHO without TLS, instead.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="With --host.")] = None,
    calling_ae: Annotated[
        str | None, typer.Option(parser=ae_title, metavar="AE", help="With --host: who we say we are.")
    ] = None,
    called_ae: Annotated[
        str | None, typer.Option(parser=ae_title, metavar="AE", help="With --host: whom we ask for.")
    ] = None,
    format: OutputFormat = "text",
) -> None:
    """Say whether a server runs and how it is.

    The server on this machine is found by its data directory; any DICOM server is asked with --host,
    over plain TCP; where it speaks TLS, dicom-echo dicoms://HOST:PORT asks.

    \b
    Examples:
      dicom-server status
      dicom-server status --data-dir /var/lib/dicom --format json
      dicom-server status --host localhost --port 11112 --called-ae MY_PACS

    Exit code 0 means that it answered, 1 that it did not.
    """
    if all(option is None for option in (host, port, calling_ae, called_ae)):
        _print(_ask(data_dir, config, "status"), format)
        return
    if data_dir is not None or config is not None:
        usage_error("--data-dir and --config ask the server on this machine; --host asks over the network")
    host = host or "localhost"
    port = port or _DEFAULT.port
    called_ae = called_ae or _DEFAULT.ae_title
    seconds = echo_status(host, port, calling_ae or "DICOM_ECHO", called_ae)
    answer = {"host": host, "port": port, "calledAE": called_ae, "milliseconds": round(seconds * 1000, 1)}
    if format == "json":
        _print(answer, format)
    else:
        typer.echo(f"{called_ae} at {host}:{port} answered in {answer['milliseconds']} ms")


@app.command()
def stats(data_dir: DataDirectory = None, config: ConfigFile = None, format: OutputFormat = "text") -> None:
    """Print what the server has done since it started.

    \b
    Examples:
      dicom-server stats
      dicom-server stats --config /etc/dicom-server.conf --format json
    """
    snapshot = _ask(data_dir, config, "stats")
    if format == "json":
        _print(snapshot, format)
        return
    from services.server.statistics import report

    typer.echo(report(snapshot))


@app.command()
def stop(
    data_dir: DataDirectory = None,
    config: ConfigFile = None,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait until it has stopped.")] = 30.0,
) -> None:
    """Stop the server and wait until it has stopped.

    Associations that are open get the time of timers.grace to end.

    \b
    Examples:
      dicom-server stop
      dicom-server stop --data-dir /var/lib/dicom
    """
    from services.server import control

    directory = _directory(data_dir, config)
    try:
        stopped = control.stop(directory, timeout)
    except control.ControlError as error:
        fail(str(error))
    if not stopped:
        fail(f"the server on {directory} was told to stop, and still runs after {timeout:g} s")
    typer.echo(f"the server on {directory} has stopped")


app.command()(migrate)
app.command()(reindex)
app.command()(verify)
app.command("import")(import_)
app.command()(backup)
app.command()(restore)


@app.command()
def conformance_statement(config: ConfigFile = None) -> None:
    """Print the DICOM conformance statement (PS3.2) of a configuration, as Markdown.

    \b
    Examples:
      dicom-server conformance-statement > conformance.md
      dicom-server conformance-statement --config /etc/dicom-server.conf
    """
    settings = _load(config, {})
    from services.server.conformance_statement import conformance_statement as make

    typer.echo(make(settings), nl=False)


def echo_status(host: str, port: int, calling_ae: str, called_ae: str, timeout: float = 10.0) -> float:
    """One C-ECHO; returns its round trip in seconds, or exits with what went wrong."""
    import asyncio

    from dimse.errors import DimseError
    from dul.errors import ConnectionLost, NetworkError
    from services.printable import printable
    from services.verification import echo_once

    where = f"{called_ae} at {host}:{port}"
    try:
        return asyncio.run(echo_once(host, port, calling_ae, called_ae, timeout))
    except TimeoutError:
        fail(f"{where} did not answer within {timeout:g} s")
    except (NetworkError, DimseError, OSError) as error:
        from services.cli.hints import hint

        advice = hint(error)
        if isinstance(error, ConnectionLost):
            asking = (
                f"where it speaks TLS, ask with: dicom-echo dicoms://{host}:{port} --called-ae '{called_ae}'"
            )
            advice = asking if advice is None else f"{advice} ({asking})"
        typer.echo(f"error: {printable(f'{where}: {error}')}", err=True)
        if advice is not None:
            typer.echo(f"hint: {printable(advice)}", err=True)
        raise typer.Exit(int(ExitCode.FAILURE)) from None


def _load(path: Path | None, overrides: dict[str, object]) -> Config:
    from services.server.config_file import ConfigError, load_config

    try:
        return load_config(path, overrides)
    except ConfigError as error:
        fail("\n".join(_describe(error, problem, overrides) for problem in error.problems), ExitCode.USAGE)


def _describe(error: "ConfigError", problem: "Problem", overrides: dict[str, object]) -> str:
    """One mistake, by the option where it was made, else by the field."""
    field = problem.field.partition("[")[0]
    if field in overrides:
        return f"{_OPTIONS[field]}: {problem.text}"
    return f"{error.source}: {problem}" if error.source else str(problem)


def _directory(data_dir: Path | None, config: Path | None) -> Path:
    if data_dir is not None and config is not None:
        usage_error("--data-dir and --config both name a data directory; give one of them")
    return _load(config, {}).data_directory if data_dir is None else data_dir


def _ask(data_dir: Path | None, config: Path | None, command: str) -> dict[str, Any]:
    from services.server.control import ControlError, request

    try:
        return request(_directory(data_dir, config), command)
    except ControlError as error:
        fail(str(error))


def _print(answer: dict[str, Any], format: LogFormat) -> None:
    typer.echo(json.dumps(answer, indent=2) if format == "json" else "\n".join(_lines(answer)))


def _lines(answer: dict[str, Any], prefix: str = "") -> list[str]:
    from services.printable import printable

    lines: list[str] = []
    for name, value in answer.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"{prefix}{name}: {printable(text)}")
    return lines


def _titles(text: str | None) -> list[str] | None:
    return None if text is None else [title.strip() for title in text.split(",")]
