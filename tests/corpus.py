"""The real files as a corpus: each under a SOP Instance UID of its own, so that an archive keeps all of them.

Many real files are one image in several encodings. The second and every further one under a UID gets another of the
same length, byte for byte in its place: nothing else of the file changes, not even an offset. What is not sent, and
what a server has to refuse, is named here with the reason.
"""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.filereader import _read_file_meta_info

from real_files import real_files

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

PALETTES = frozenset(
    f"{name}.dcm"
    for name in ("fall", "hotiron", "hotmetalblue", "pet", "pet20step", "spring", "summer", "winter")
)
"""Color Palette Storage, which belongs to no patient: the server accepts no context for it (PS3.4 GG)."""

DAMAGED = frozenset(
    {
        "MR_truncated.dcm",  # ends inside the pixels
        "SC_rgb_jpeg.dcm",  # Implicit VR where the transfer syntax says Explicit VR
        "emri_small_jpeg_2k_lossless_too_short.dcm",  # ends inside the fragments of the pixels
        "rtplan_truncated.dcm",  # ends inside a sequence, after an odd number of bytes
    }
)
"""Damaged on purpose: C000H."""

WITHOUT_IDENTITY = frozenset(
    {
        "UN_sequence.dcm",
        "chrSQEncoding.dcm",
        "chrSQEncoding1.dcm",
        "no_meta_group_length.dcm",
        "priv_SQ.dcm",
    }
)
"""Without SOP Class and SOP Instance UID in the data set: A900H, where they are sent at all."""

WITHOUT_STUDY = frozenset(
    {
        "JPEGLSNearLossless_08.dcm",
        "JPEGLSNearLossless_16.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
    }
)
"""Without Study and Series Instance UID: A900H."""

INVALID_UID = frozenset({"bad_sequence.dcm"})
"""Its SOP Instance UID is a hash in hexadecimal: 0117H, where that is what is announced."""

META_DIFFERS = frozenset(
    {
        "badVR.dcm",
        "bad_sequence.dcm",
        "chrJapMulti.dcm",
        "chrJapMultiExplicitIR6.dcm",
        "rtdose.dcm",
        "rtdose_1frame.dcm",
        "rtdose_expb.dcm",
        "rtdose_expb_1frame.dcm",
        "rtplan.dcm",
        "rtplan_truncated.dcm",
    }
)
"""Another SOP Instance UID in the File Meta Information than in the data set: A900H for who announces the former."""

UIDS_AS_UN = frozenset({"explicit_VR-UN.dcm", "rtdose_rle.dcm", "rtdose_rle_1frame.dcm"})
"""With UIDs in VR UN, out of which DCMTK reads none, or announces their hexadecimal dump."""

UNFIT = PALETTES | DAMAGED | WITHOUT_IDENTITY
"""What toolkits do not send, or only as another data set than the file has."""


@dataclass(frozen=True)
class Sample:
    """A file of the corpus.

    Attributes:
        sop_class, transfer_syntax: of its File Meta Information.
        meta_instance: the SOP Instance UID there.
        sop_instance: that of the data set; that of the File Meta Information where there is none.
        data_set: what is behind the File Meta Information.
    """

    path: Path
    sop_class: str
    transfer_syntax: str
    meta_instance: str
    sop_instance: str
    data_set: bytes

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def padded(self) -> bytes:
        """The data set as it has to be sent: an odd one gets the byte that its writer owed (PS3.5 A.5)."""
        return self.data_set + b"\0" * (len(self.data_set) % 2)


@contextmanager
def corpus(folder: Path) -> Iterator[list[Sample]]:
    """Every real file that is not in NOT_SENT, written into `folder`, which is removed after."""
    folder.mkdir(parents=True)
    try:
        yield _write(folder)
    finally:
        shutil.rmtree(folder)


def _write(folder: Path) -> list[Sample]:
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
    assert len({sample.meta_instance for sample in samples}) == len(samples)
    assert len({sample.sop_instance for sample in samples}) == len(samples)
    return samples


def _instance_uids(path: Path) -> list[bytes]:
    """The SOP Instance UIDs of the File Meta Information and of the data set: one, or two in META_DIFFERS."""
    sample = _sample(path, path.read_bytes())
    return [uid.encode() for uid in dict.fromkeys((sample.meta_instance, sample.sop_instance))]


def _not_in(taken: set[bytes], uid: bytes) -> bytes:
    """`uid`, or the next one of the same length that is not taken: another number as its last component."""
    if uid not in taken:
        return uid
    head, dot, last = uid.rpartition(b".")
    lowest, count = (0, 10) if len(last) == 1 else (10 ** (len(last) - 1), 9 * 10 ** (len(last) - 1))
    for step in range(count):
        candidate = head + dot + b"%d" % (lowest + (int(last) - lowest + step) % count)
        if candidate not in taken:
            return candidate
    raise AssertionError(f"no UID like {uid.decode()} is left")


def _sample(path: Path, content: bytes) -> Sample:
    with path.open("rb") as file:
        file.seek(132)
        meta = _read_file_meta_info(file)
        offset = file.tell()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that are odd on purpose
        own = dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).get("SOPInstanceUID")
    announced = str(meta.MediaStorageSOPInstanceUID)
    return Sample(
        path=path,
        sop_class=str(meta.MediaStorageSOPClassUID),
        transfer_syntax=str(meta.TransferSyntaxUID),
        meta_instance=announced,
        sop_instance=_text(own) or announced,
        data_set=content[offset:],
    )


def _text(uid: object) -> str:
    """A UID as text, also where its VR is UN."""
    text = uid.decode("latin-1") if isinstance(uid, bytes) else str(uid or "")
    return text.rstrip("\0 ")
