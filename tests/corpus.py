"""The real files as a corpus: each under a SOP Instance UID of its own, so that an archive keeps all of them.

Many real files are one image in several encodings. The second and every further one under a UID gets another of the
same length, byte for byte in its place: nothing else of the file changes, not even an offset. What is not sent, and
what a server has to refuse, is named here with the reason.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.filereader import _read_file_meta_info

from real_files import real_files

DEFLATED = "1.2.840.10008.1.2.1.99"

NOT_SENT = {
    **dict.fromkeys(
        (
            "DICOMDIR",
            "DICOMDIR-bigEnd",
            "DICOMDIR-empty.dcm",
            "DICOMDIR-implicit",
            "DICOMDIR-nooffset",
            "DICOMDIR-nopatient",
            "DICOMDIR-reordered",
        ),
        "a directory of files, and no instance of a storage SOP class",
    ),
    **dict.fromkeys(
        ("empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm"),
        "the File Meta Information has no SOP class: there is no presentation context for it",
    ),
}
"""Real files that nobody sends, and why."""


@dataclass(frozen=True)
class Sample:
    """A file of the corpus. The UIDs are those of its File Meta Information."""

    path: Path
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    data_set: bytes

    @property
    def name(self) -> str:
        return self.path.name


def make_corpus(folder: Path) -> list[Sample]:
    """Write every real file that is not in NOT_SENT into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[bytes] = set()
    samples = []
    for source in real_files():
        if source.name in NOT_SENT:
            continue
        content = source.read_bytes()
        for uid in _instance_uids(source):
            fresh = _not_in(taken, uid)
            taken.add(fresh)
            content = content.replace(uid, fresh)
        path = folder / source.name
        path.write_bytes(content)
        samples.append(_sample(path, content))
    assert len({sample.sop_instance for sample in samples}) == len(samples)
    return samples


def _instance_uids(path: Path) -> set[bytes]:
    """The SOP Instance UIDs of the File Meta Information and of the data set: one, or two in a few odd files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that are odd on purpose
        dataset = dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
        uids = {dataset.file_meta.MediaStorageSOPInstanceUID, dataset.get("SOPInstanceUID")}
    return {uid.encode() for uid in uids if uid}


def _not_in(taken: set[bytes], uid: bytes) -> bytes:
    """`uid`, or the next one of the same length that is not taken: another number as its last component."""
    if uid not in taken:
        return uid
    head, dot, last = uid.rpartition(b".")
    lowest, count = (0, 10) if len(last) == 1 else (10 ** (len(last) - 1), 9 * 10 ** (len(last) - 1))
    for step in range(count):
        number = lowest + (int(last) - lowest + step) % count
        candidate = head + dot + b"%d" % number
        if candidate not in taken:
            return candidate
    raise AssertionError(f"no UID like {uid.decode()} is left")


def _sample(path: Path, content: bytes) -> Sample:
    with path.open("rb") as file:
        file.seek(132)
        meta = _read_file_meta_info(file)
        offset = file.tell()
    return Sample(
        path,
        str(meta.MediaStorageSOPClassUID),
        str(meta.MediaStorageSOPInstanceUID),
        str(meta.TransferSyntaxUID),
        content[offset:],
    )
