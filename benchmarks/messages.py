"""The bytes the load is made of, encoded once before anything is timed."""

import functools
from collections.abc import Mapping

import pydicom
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dimse.command_set import encode_command_set
from dimse.messages import CEchoRQ, CStoreRQ, Message
from dul.encode import encode_pdu
from dul.negotiation import ProposedContext, build_request
from dul.pdus import PDV, AReleaseRQ, PDataTF
from real_files import real_file
from services.sop_classes import storage_sop_classes

VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
VERIFICATION_ID, CT_ID = 1, 3
LONGEST = 131072
"""Bytes of the longest P-DATA-TF we send or announce."""

RELEASE_RQ = encode_pdu(AReleaseRQ())
_COUNTER_DIGITS = 11
_INSTANCE = "2.25.7" + "0" * (
    _COUNTER_DIGITS + 3
)  # 3 digits for the worker, 11 for the counter: 20 characters


def associate_rq(called_ae: str, contexts: int = 2) -> bytes:
    """An A-ASSOCIATE-RQ for verification, CT images, and further storage classes up to `contexts`."""
    others = [uid for uid in sorted(storage_sop_classes()) if uid != CT_IMAGE_STORAGE]
    abstract_syntaxes = [VERIFICATION, CT_IMAGE_STORAGE, *others][:contexts]
    proposed = [ProposedContext(uid, (EXPLICIT_LE, IMPLICIT_LE)) for uid in abstract_syntaxes]
    return encode_pdu(
        build_request(called_ae=called_ae, calling_ae="LOAD", contexts=proposed, maximum_length=LONGEST)
    )


def c_echo() -> bytes:
    """A C-ECHO-RQ in its P-DATA-TF."""
    command = encode_command_set(CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION))
    return encode_pdu(PDataTF((PDV(VERIFICATION_ID, 3, command),)))


class Instances:
    """One C-STORE-RQ after the other, all in the same buffer: a new SOP Instance UID is written over the last.

    Args:
        size: bytes of the data set.
        maximum_length: the longest P-DATA-TF the peer takes; 0: any.
    """

    def __init__(self, size: int, maximum_length: int) -> None:
        self.buffer = bytearray(_c_store(size, maximum_length))
        self._positions = find_all(self.buffer, _INSTANCE.encode(), limit=16384)
        assert len(self._positions) == 2, "once in the command, once in the data set"
        study = find_all(self.buffer, b"2.25.8000", limit=16384)
        self._worker_positions = [at + 6 for at in self._positions + study]

    def become(self, worker: int) -> None:
        """Give worker `worker`, 0 to 999, UIDs of its own: study, series and instances."""
        for at in self._worker_positions:
            self.buffer[at : at + 3] = b"%03d" % worker

    @property
    def counters(self) -> tuple[slice, slice]:
        """Where the number of the instance stands, 11 digits in both places."""
        first, second = (at + 9 for at in self._positions)
        return slice(first, first + _COUNTER_DIGITS), slice(second, second + _COUNTER_DIGITS)


@functools.lru_cache(maxsize=2)
def _c_store(size: int, maximum_length: int) -> bytes:
    command = CStoreRQ(
        message_id=1, affected_sop_class_uid=CT_IMAGE_STORAGE, affected_sop_instance_uid=_INSTANCE
    )
    values = {
        "SOPInstanceUID": _INSTANCE,
        "StudyInstanceUID": "2.25.80001",
        "SeriesInstanceUID": "2.25.80002",
    }
    return p_data(CT_ID, command, ct_image(size, values), maximum_length)


def p_data(context_id: int, command: Message, data_set: bytes, maximum_length: int) -> bytes:
    """A message with a data set in its P-DATA-TFs, the command in one of its own.

    Args:
        maximum_length: the longest P-DATA-TF the peer takes; 0: any.
    """
    data = memoryview(data_set)
    step = min(maximum_length or LONGEST, LONGEST) - 6
    pdus = [encode_pdu(PDataTF((PDV(context_id, 3, encode_command_set(command)),)))]
    for start in range(0, len(data), step):
        fragment = data[start : start + step]
        pdus.append(encode_pdu(PDataTF((PDV(context_id, 2 if start + step >= len(data) else 0, fragment),))))
    return b"".join(pdus)


def ct_image(size: int, values: Mapping[str, str]) -> bytes:
    """A real CT image, private elements and all, its pixels made so many that it takes `size` bytes.

    Args:
        values: what is put in place of its own, by keyword.
    """
    ds = dcmread(real_file("CT_small.dcm"))
    del ds[0xFFFCFFFC]
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.PixelData = b""
    ds["PixelData"].VR = "OW"
    pixels = size - len(encode_data_set(ds))
    assert pixels > 0, f"{size} bytes are too few for the header alone"
    ds.Columns = next(columns for columns in (128, 512, 8192) if pixels // (2 * columns) < 65536)
    ds.Rows = pixels // (2 * ds.Columns)
    ds.PixelData = bytes(pixels)
    return encode_data_set(ds)


def encode_data_set(ds: pydicom.Dataset) -> bytes:
    """In Explicit VR Little Endian."""
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = False, True
    write_dataset(out, ds)
    encoded: bytes = out.getvalue()
    return encoded


def find_all(data: bytes | bytearray, what: bytes, *, limit: int) -> list[int]:
    """Where something stands in the first `limit` bytes."""
    found = []
    at = data.find(what, 0, limit)
    while at >= 0:
        found.append(at)
        at = data.find(what, at + 1, limit)
    return found
