import subprocess
import sys

import pytest

from services.sop_classes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED,
    StorageContexts,
    is_private,
    name_of,
    storage_sop_classes,
    storage_transfer_syntaxes,
)

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


def test_every_class_of_patients_composite_instances_is_stored() -> None:
    classes = storage_sop_classes()
    assert len(classes) >= 192
    assert len(set(classes)) == len(classes)
    assert CT_IMAGE_STORAGE in classes
    assert "1.2.840.10008.5.1.4.1.1.6" in classes  # Ultrasound Image Storage, retired
    assert "1.2.840.10008.5.1.4.34.7" in classes  # RT Beams Delivery Instruction Storage


@pytest.mark.parametrize("tail", ["200.1", "200.3", "200.7", "201.1"])
def test_what_belongs_to_no_patient_is_not(tail: str) -> None:
    assert f"1.2.840.10008.5.1.4.1.1.{tail}" not in storage_sop_classes()


def test_what_is_no_storage_class_is_not() -> None:
    for uid in ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.20.1"):
        assert uid not in storage_sop_classes()


def test_transfer_syntaxes() -> None:
    syntaxes = storage_transfer_syntaxes()
    assert syntaxes[:3] == UNCOMPRESSED
    assert "1.2.840.10008.1.2.5" in syntaxes  # RLE
    for tail in ("50", "57", "70", "53", "80", "90", "100", "102", "107", "201"):
        assert f"1.2.840.10008.1.2.4.{tail}" in syntaxes
    for tail in ("94", "95", "204", "205"):  # JPIP: the pixel data is elsewhere
        assert f"1.2.840.10008.1.2.4.{tail}" not in syntaxes


def test_deflated_is_taken_only_when_asked_for() -> None:
    assert DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN not in storage_transfer_syntaxes()
    assert DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN in storage_transfer_syntaxes(deflated=True)
    contexts = StorageContexts(deflated=True)
    assert DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN in contexts[CT_IMAGE_STORAGE].transfer_syntaxes


def test_contexts_of_the_standard() -> None:
    contexts = StorageContexts()
    assert list(contexts) == list(storage_sop_classes())
    assert len(contexts) == len(storage_sop_classes())
    assert EXPLICIT_VR_LITTLE_ENDIAN in contexts[CT_IMAGE_STORAGE].transfer_syntaxes
    with pytest.raises(KeyError):
        contexts["1.2.3.4"]


def test_private_classes_by_name() -> None:
    contexts = StorageContexts(private=("1.2.3.4",))
    assert "1.2.3.4" in contexts
    assert "1.2.3.5" not in contexts
    assert len(contexts) == len(storage_sop_classes()) + 1


def test_every_private_class_by_option_and_no_other_class_of_the_standard() -> None:
    contexts = StorageContexts(any_private=True)
    assert "1.2.3.4" in contexts
    assert "1.2.840.10008.1.20.1" not in contexts


def test_what_is_private() -> None:
    assert is_private("1.2.840.113619.4.27")
    assert not is_private(CT_IMAGE_STORAGE)


def test_names() -> None:
    assert name_of(CT_IMAGE_STORAGE) == "CT Image Storage"
    assert name_of("1.2.3.4") == "1.2.3.4"


def test_constants_cost_no_import_of_pydicom() -> None:
    program = "import sys, services.sop_classes; assert 'pydicom' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
