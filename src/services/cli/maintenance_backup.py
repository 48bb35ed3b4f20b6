"""`dicom-server backup` and `dicom-server restore`: index and configuration, files by option, in one file."""

import os
from pathlib import Path
from typing import Annotated

import typer

from services.cli.common import ExitCode, fail, progress, usage_error
from services.cli.maintenance import (
    ConfigFile,
    DatabaseURL,
    DataDirectoryOption,
    existing,
    failures,
    open_index,
    schema_of,
    settings,
)
from services.printable import printable


def backup(
    file: Annotated[Path, typer.Argument(help="The backup to write.", metavar="FILE")],
    data_dir: DataDirectoryOption = None,
    config: ConfigFile = None,
    database_url: DatabaseURL = None,
    files: Annotated[bool, typer.Option("--files", help="Take all stored images along.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it is there.")] = False,
) -> None:
    """Write index and configuration into one file, while the server runs.

    In it are every row of the index, which names patients, and the configuration file given by --config, without the
    password in databaseURL. Not in it are TLS certificates and keys, recordings, and, without --files, the images.

    \b
    Examples:
      dicom-server backup pacs.backup --config /etc/dicom-server.conf
      dicom-server backup /mnt/nas/pacs.backup --data-dir /var/lib/dicom --files

    Exit code 0 means that the backup is whole, 1 that there is none, or that files were missing.
    """
    chosen = settings(config, data_dir, database_url)
    root = existing(chosen)
    if file.is_dir():
        usage_error(f"{file} is a folder; name the file to write")
    if file.exists() and not force:
        usage_error(f"{file} is there already; --force replaces it")
    with failures("write the backup", "there is no new backup"), open_index(chosen, migrate=False) as index:
        from sqlalchemy import func, select

        from services.archive.index.schema import instances
        from services.archive.maintenance.backup import backup as run
        from services.server.config_file import parse

        schema = schema_of(index)
        with index.database.engine.connect() as connection:
            number = connection.execute(select(func.count()).select_from(instances)).scalar_one()
        with progress("backing up", number) as advance:
            done = run(
                root,
                index.database,
                file,
                schema=schema,
                configuration=None if config is None else parse(config.read_bytes(), str(config)),
                with_files=files,
                advance=advance,
            )
    typer.echo(f"{file}: {done.instances} instances in the index, {done.files} files, {done.size} bytes")
    for path, reason in zip(done.missing, done.reasons, strict=True):
        typer.echo(f"missing: {printable(path)}: {printable(reason)}", err=True)
    if done.missing:
        typer.echo(
            "these files could not be read and are not in the backup; everything else is. Bring them back (another "
            "backup, or whoever sent them), or see to the disk, and back up again with --force",
            err=True,
        )
        raise typer.Exit(ExitCode.FAILURE)


def restore(
    file: Annotated[Path, typer.Argument(help="The backup to read.", metavar="FILE")],
    data_dir: DataDirectoryOption = None,
    config: ConfigFile = None,
    database_url: DatabaseURL = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace an index that has rows, and files that differ; other files stay, and dicom-server verify "
            "lists them.",
        ),
    ] = False,
    write_config: Annotated[
        Path | None,
        typer.Option("--write-config", help="Write the configuration of the backup here.", metavar="FILE"),
    ] = None,
) -> None:
    """Take the index, and the images where the backup has them, back to a backup.

    The server must not run. The whole backup is checked before anything changes. A backup of SQLite can be restored
    into PostgreSQL, and the other way round.

    \b
    Examples:
      dicom-server restore pacs.backup --data-dir /var/lib/dicom
      dicom-server restore pacs.backup --data-dir /var/lib/dicom --force --write-config /etc/dicom-server.conf

    Exit code 0 means that everything in the backup is restored, 1 that it is not.
    """
    chosen = settings(config, data_dir, database_url)
    if not file.is_file():
        usage_error(f"{file}: there is no such file")
    if write_config is not None and write_config.exists() and not force:
        usage_error(f"{write_config} is there already; --force replaces it")
    with failures("restore the backup", "the index is as it was; restore again"):
        from services.archive.data_directory import DataDirectory
        from services.archive.identity import check_identity, identity_for
        from services.archive.maintenance.restore import check
        from services.archive.maintenance.restore import restore as run

        with progress("checking", file.stat().st_size) as advance:
            checked = check(file, advance)
        if write_config is not None and not checked.configuration:
            fail(f"{file} holds no configuration; restore without --write-config")
        directory = DataDirectory.open(chosen.data_directory, keep_published=True)
        try:
            with open_index(chosen, migrate=True) as index:
                if not force:  # or the index of another directory would become that of this one
                    check_identity(directory, index.database)
                tables = checked.manifest.tables
                steps = checked.manifest.files + sum(
                    table.rows for table in tables if table.name == "instances"
                )
                with progress("restoring", steps) as advance:
                    done = run(
                        checked,
                        directory,
                        index.database,
                        schema=schema_of(index),
                        identity=identity_for(directory, index.database),
                        force=force,
                        advance=advance,
                    )
        finally:
            directory.close()
        if write_config is not None:
            _write_private(write_config, checked.configuration)
    typer.echo(
        f"{done.instances} instances in the index, {done.files} files restored, {done.kept} were there already"
    )


def _write_private(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
