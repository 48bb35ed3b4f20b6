"""C-FIND asked by DCMTK, GDCM and pynetdicom, and what dcmqrscp and Orthanc answer to the same over the same images."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from finding import AE_TITLE, find_scp, identifier, matches_of
from index_samples import Sample, scanned
from peers import HOST, dcmqrscp, findscu, gdcmscu, orthanc, storescu
from real_files import real_file
from scps import in_a_thread

FILES = ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "chrH31.dcm", "chrKoreanMulti.dcm", "chrRuss.dcm")

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def instances() -> list[Sample]:
    """The files, as a scan of them tells the index."""
    found = []
    for name in FILES:
        ds = dcmread(real_file(name), stop_before_pixels=True, specific_tags=list(UIDS))
        study, series, instance = (str(ds[uid].value) for uid in UIDS)
        found.append(scanned(real_file(name), place=f"{study}/{series}/{instance}.dcm"))
    return found


@contextmanager
def our_scp(database: Any) -> Iterator[int]:
    """An SCP of ours that has indexed the files; its port."""
    with matches_of(database, instances()) as matches, in_a_thread(find_scp(matches)) as port:
        yield port


def asked_by_findscu(port: int, directory: Path, *options: str, called: str = AE_TITLE) -> list[Dataset]:
    """The identifiers that findscu got."""
    directory.mkdir()
    outcome = findscu(port, *options, "-X", "-od", str(directory), called=called)
    assert outcome.ok, outcome
    return [dcmread(file, force=True) for file in sorted(directory.glob("rsp*.dcm"))]


MR = dcmread(real_file("MR_small.dcm"), stop_before_pixels=True)
STUDY_KEYS = ("-k", "StudyInstanceUID", "-k", "PatientID", "-k", "StudyDate")

QUERIES: dict[str, tuple[str, ...]] = {
    "everything": ("-S", "-k", "QueryRetrieveLevel=STUDY", *STUDY_KEYS, "-k", "PatientName"),
    "a patient": ("-S", "-k", "QueryRetrieveLevel=STUDY", *STUDY_KEYS, "-k", f"PatientID={MR.PatientID}"),
    "a beginning": ("-S", "-k", "QueryRetrieveLevel=STUDY", *STUDY_KEYS, "-k", "PatientName=CompressedS*"),
    "dates": ("-S", "-k", "QueryRetrieveLevel=STUDY", *STUDY_KEYS, "-k", "StudyDate=20040101-20041231"),
    "nothing": ("-S", "-k", "QueryRetrieveLevel=STUDY", *STUDY_KEYS, "-k", "PatientID=NOBODY AT ALL"),
    "patients": ("-P", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID"),
    "series": (
        *("-S", "-k", "QueryRetrieveLevel=SERIES", "-k", "Modality", "-k", "SeriesInstanceUID"),
        *("-k", f"StudyInstanceUID={MR.StudyInstanceUID}"),
    ),
    "instances": (
        *("-S", "-k", "QueryRetrieveLevel=IMAGE", "-k", "SOPInstanceUID"),
        *("-k", f"StudyInstanceUID={MR.StudyInstanceUID}", "-k", f"SeriesInstanceUID={MR.SeriesInstanceUID}"),
    ),
}


def told(answers: list[Dataset]) -> list[tuple[str, ...]]:
    """What each answer says in the attributes that all three support, sorted."""
    keywords = ("PatientID", "StudyDate", "Modality", *UIDS)
    return sorted(tuple(str(ds.get(keyword) or "") for keyword in keywords) for ds in answers)


@pytest.mark.peer("findscu", "storescu", "dcmqrscp", "Orthanc")
def test_the_same_answers_as_dcmqrscp_and_orthanc(database: Any, tmp_path: Path) -> None:
    """Over the same files, to questions that the standard leaves no choice in."""
    files = [real_file(name) for name in FILES]
    with (
        our_scp(database) as port,
        dcmqrscp(tmp_path / "dcmqrscp") as dcmtk,
        orthanc(
            tmp_path / "orthanc", rest=False, DicomCheckCalledAet=False, DicomAlwaysAllowFind=True
        ) as peer,
    ):
        for each in (dcmtk, peer):
            outcome = storescu(each.port, *files, options=("-xs", "-R"), called=each.ae_title)
            if not outcome.ok:  # the syntaxes that are not compressed are in the other contexts
                outcome = storescu(each.port, *files, called=each.ae_title)
            assert outcome.ok, outcome
        for name, options in QUERIES.items():
            ours = told(asked_by_findscu(port, tmp_path / f"ours {name}", *options))
            for each in (dcmtk, peer):
                directory = tmp_path / f"{each.name} {name}"
                theirs = told(asked_by_findscu(each.port, directory, *options, called=each.ae_title))
                assert ours == theirs, (name, each.name)
            assert bool(ours) is (name != "nothing")


@pytest.mark.peer("findscu")
def test_findscu_cancels(database: Any) -> None:
    with our_scp(database) as port:
        outcome = findscu(
            port,
            "-d",
            "-S",
            "--cancel",
            "1",
            "-k",
            "QueryRetrieveLevel=STUDY",
            "-k",
            "PatientID",
            called=AE_TITLE,
        )
    assert outcome.ok, outcome
    assert "0xfe00" in outcome.output or "Success" in outcome.output


@pytest.mark.peer("findscu")
def test_findscu_is_told_what_is_wrong(database: Any) -> None:
    with our_scp(database) as port:
        outcome = findscu(port, "-d", "-S", "-k", "QueryRetrieveLevel=SERIES", called=AE_TITLE)
    assert "0xa900" in outcome.output, outcome
    assert "SERIES needs a single StudyInstanceUID" in outcome.output, outcome


@pytest.mark.peer("gdcmscu")
def test_gdcmscu(database: Any) -> None:
    with our_scp(database) as port:
        keys = ("--study", "--studyroot", "--key", f"10,20,{MR.PatientID}", "--key", "20,d,")
        outcome = gdcmscu(port, *keys, mode="--find", called=AE_TITLE)
    assert outcome.ok, outcome
    # It ends before it would show identifiers: FF00 is printed twice for each match.
    assert outcome.output.count("(US) 65280") == 2, outcome
    assert "C-Find was successful" in outcome.output, outcome


def test_pynetdicom_with_everything_negotiated(database: Any) -> None:
    from pynetdicom import AE
    from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = "1.2.840.10008.5.1.4.1.2.2.1"
    item.service_class_application_information = b"\1\1\1\1\1"
    ae = AE("PYNETDICOM")
    ae.add_requested_context(item.sop_class_uid)
    with our_scp(database) as port:
        association = ae.associate(HOST, port, ae_title=AE_TITLE, ext_neg=[item])
        assert association.is_established
        agreed = association.acceptor.sop_class_extended[item.sop_class_uid]
        request = identifier("SERIES", SeriesInstanceUID="", PatientName="Kompresedsamples")
        answers = list(association.send_c_find(request, item.sop_class_uid))
        association.release()
    assert agreed == b"\1\1\1\0\0"
    assert [status.Status for status, _ in answers][-1] == 0
    assert all(status.Status == 0xFF00 for status, _ in answers[:-1])
    assert [str(ds.PatientName) for _, ds in answers[:-1]] == [
        "CompressedSamples^CT1",
        "CompressedSamples^MR1",
    ]
