import pydicom.uid
import pytest

from services.archive.transfer_syntaxes import encoding_of

STANDARD = [*pydicom.uid.AllTransferSyntaxes]
NOT_YET_IN_PYDICOM = ["1.2.840.10008.1.2.4.205"]  # JPIP HTJ2K Referenced Deflate


@pytest.mark.parametrize("uid", STANDARD, ids=str)
def test_agrees_with_pydicom(uid):
    encoding = encoding_of(uid)
    assert encoding.implicit_vr == uid.is_implicit_VR
    assert encoding.little_endian == uid.is_little_endian
    assert encoding.deflated == (uid.is_deflated or "Deflate" in uid.name)


def test_unknown_ones_are_explicit_little_endian():
    encoding = encoding_of("1.2.3")
    assert (encoding.implicit_vr, encoding.little_endian, encoding.deflated) == (False, True, False)
