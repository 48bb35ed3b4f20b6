"""How a transfer syntax encodes a data set (PS3.5 Annex A).

Only the encoding of the elements is told here; what a compressed pixel value holds is nobody's business in
the archive. This file must not know files, associations or pydicom.
"""

from msgspec import Struct

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

_DEFLATED = frozenset(
    {
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
    }
)


class DataSetEncoding(Struct, frozen=True, gc=False):
    """How the elements of a data set are written."""

    implicit_vr: bool = False
    little_endian: bool = True
    deflated: bool = False


def encoding_of(transfer_syntax_uid: str) -> DataSetEncoding:
    """The encoding that a transfer syntax prescribes.

    Every compressed and every unknown (private) transfer syntax is Explicit VR Little Endian (PS3.5 A.4).

    Args:
        transfer_syntax_uid: without padding.

    Returns:
        the encoding of the data set; `deflated` means that it is the encoding of the inflated bytes.
    """
    return DataSetEncoding(
        implicit_vr=transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN,
        little_endian=transfer_syntax_uid != EXPLICIT_VR_BIG_ENDIAN,
        deflated=transfer_syntax_uid in _DEFLATED,
    )
