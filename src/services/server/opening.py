"""What a configuration says of the archive and of recordings, for whichever process opens them."""

from typing import Any

from msgspec.structs import replace

from dul.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from services.archive.data_directory import Repair
from services.server.config import Config
from services.server.config_file import ConfigError, Problem
from services.server.log import get_logger
from services.trace.recorder import Recorder
from services.trace.recording import RecordingOptions


def archive_options(config: Config) -> dict[str, Any]:
    """Arguments of `Archive.open`."""
    limits = config.limits
    return {
        "durability": config.durability,
        "duplicates": config.duplicates,
        "max_instance_bytes": limits.instance_size,
        "free_space_reserve": limits.min_free_space,
        "max_depth": limits.data_set_depth,
        "max_elements": limits.data_set_elements,
        "implementation_class_uid": IMPLEMENTATION_CLASS_UID,
        "implementation_version_name": IMPLEMENTATION_VERSION_NAME,
    }


def recorder_of(config: Config, worker: int | None = None) -> Recorder | None:
    """Records every association, where that is wanted.

    Args:
        config: says where to.
        worker: one of several processes: each has its share of the limits, in a directory of its own.

    Raises:
        ConfigError: the directory cannot be written to.
    """
    trace = config.trace
    if trace.directory is None:
        return None
    options = RecordingOptions(
        directory=trace.directory,
        redact=trace.redact,
        max_file_size=trace.max_file_size,
        max_files=trace.max_files,
        max_total_size=trace.max_total_size,
    )
    if worker is not None:
        share = trace.max_total_size // config.workers
        options = replace(
            options,
            directory=trace.directory / f"worker-{worker}",
            max_file_size=min(trace.max_file_size, share),
            max_files=max(1, trace.max_files // config.workers),
            max_total_size=share,
        )
    log = get_logger()
    try:
        return Recorder(options, lambda event, fields: log.warning(event, **fields))
    except OSError as error:
        reason = error.strerror or str(error)
        text = f"cannot record in {options.directory}: {reason}; name a directory that this user may write"
        raise ConfigError([Problem("trace.directory", text)]) from None


def tell_repair(repair: Repair, who: str = "an earlier server") -> None:
    """Say what somebody who was stopped had left unfinished, where it had, and what else is wrong at start."""
    if repair.published or repair.unfinished:
        get_logger().warning(
            f"{who} was stopped while it stored",
            stored=repair.published - repair.elsewhere,
            discarded=repair.unfinished + repair.elsewhere,
        )
    if repair.unindexed:
        get_logger().warning(
            "the index is empty, but the data directory holds images, which nobody can find or retrieve: stop the "
            "server and run dicom-server reindex; or, if another database has their index, name it (databaseURL)",
            file=repair.unindexed,
        )
    for name in repair.unreadable:
        get_logger().error("left in the data directory: it cannot be recorded", file=name)
