"""Where an instance lies in the data directory. Every path of the archive is built here, and nowhere else."""

from services.archive.uids import check_uid, valid_uid

_ENDING = ".dcm"


def instance_path(study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> str:
    """The path of an instance, relative to the data directory: `<study>/<series>/<instance>.dcm`.

    A UID begins with a digit and has digits and dots only, so no path leaves the data directory or meets the
    names the server keeps for itself, which begin with a dot.

    Raises:
        InvalidUID: one of the three is no UID.
    """
    check_uid("Study Instance UID", study_instance_uid)
    check_uid("Series Instance UID", series_instance_uid)
    check_uid("SOP Instance UID", sop_instance_uid)
    return f"{study_instance_uid}/{series_instance_uid}/{sop_instance_uid}{_ENDING}"


def uids_of_path(path: str) -> tuple[str, str, str] | None:
    """Study, Series and SOP Instance UID of a path that `instance_path` makes; None for any other text."""
    parts = path.split("/")
    if len(parts) != 3 or not parts[2].endswith(_ENDING):
        return None
    study, series, instance = parts[0], parts[1], parts[2].removesuffix(_ENDING)
    return (study, series, instance) if all(map(valid_uid, (study, series, instance))) else None
