"""The tiny data sets under fixtures/ are what their script makes."""

from pathlib import Path
from runpy import run_path

import pydicom
import pytest

FOLDER = Path(__file__).parents[3] / "fixtures" / "datasets"
MADE = run_path(str(FOLDER / "make_datasets.py"))["build"]()


def test_all_of_them_are_there():
    assert {path.name for path in FOLDER.glob("*.dcm")} == MADE.keys()


@pytest.mark.parametrize("name", sorted(MADE.keys() - {"sr_deflated.dcm"}))
def test_the_bytes(name):
    assert (FOLDER / name).read_bytes() == MADE[name]


def test_the_deflated_one(tmp_path):
    made = tmp_path / "made.dcm"
    made.write_bytes(MADE["sr_deflated.dcm"])
    assert pydicom.dcmread(FOLDER / "sr_deflated.dcm") == pydicom.dcmread(made)
