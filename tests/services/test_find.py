"""The C-FIND SCP over the wire: statuses, identifiers, models, C-CANCEL, limits, failures; over memory and an index."""

import asyncio
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from dimse.enums import NO_DATA_SET
from dimse.messages import CCancelRQ, CFindRQ
from finding import AE_TITLE, Shelf, ask, find_scp, finding, identifier, matches_of
from index_samples import sample, scanned
from loops import LoopFactory, run
from real_files import real_file
from services.find import negotiate_find
from services.query.keys import PATIENT_ROOT, PATIENT_STUDY_ONLY, STUDY_ROOT
from services.query.requests import Record
from services.sop_classes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from services.storage import encode_dataset

PENDING, UNSUPPORTED, SUCCESS, CANCEL = 0xFF00, 0xFF01, 0x0000, 0xFE00

STUDY: Record = {"0020000D": "1.2", "00100010": "Doe^John", "00100020": "1", "00080020": "20240102"}


def answers_of(
    matches: Any,
    request: Dataset | bytes,
    factory: LoopFactory = asyncio.new_event_loop,
    *,
    sop_class: str = STUDY_ROOT.find,
    transfer_syntax: str = IMPLICIT_VR_LITTLE_ENDIAN,
    extended: bytes = b"",
    **options: Any,
) -> tuple[list[tuple[Any, Dataset]], Any]:
    """The pending responses and the final one to one request."""

    async def work() -> tuple[list[tuple[Any, Dataset]], Any]:
        scp = find_scp(matches, **options)
        kind: dict[str, Any] = {"sop_class": sop_class, "transfer_syntax": transfer_syntax}
        async with finding(scp, **kind, extended=extended) as association:
            return await ask(association, request, sop_class=sop_class)

    return run(work(), factory)


@pytest.mark.parametrize(
    "syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN]
)
def test_an_answer_has_what_was_asked_for(loop_factory: LoopFactory, syntax: str) -> None:
    shelf = Shelf([STUDY])
    request = identifier("STUDY", StudyInstanceUID="", PatientName="doe*", StudyDescription="")
    ((response, ds),), final = answers_of(shelf, request, loop_factory, transfer_syntax=syntax)
    assert response.status == PENDING
    assert final.status == SUCCESS
    assert {element.keyword: element.value for element in ds} == {
        "QueryRetrieveLevel": "STUDY",
        "RetrieveAETitle": AE_TITLE,
        "StudyInstanceUID": "1.2",
        "PatientName": "Doe^John",
        "StudyDescription": "",
    }
    assert shelf.closed == 1


def test_no_match_is_one_response() -> None:
    pending, final = answers_of(Shelf(), identifier("STUDY", PatientID="1"))
    assert (pending, final.status) == ([], SUCCESS)
    assert final.command_data_set_type == NO_DATA_SET


def test_what_is_found_is_matched_again() -> None:
    others = [{**STUDY, "00100010": "Roe^Jane"}, STUDY, {**STUDY, "00100010": ""}]
    pending, _ = answers_of(Shelf(others), identifier("STUDY", PatientName="DOE^JOHN"))
    assert [ds.PatientName for _, ds in pending] == ["Doe^John"]


def test_a_key_that_is_not_supported() -> None:
    pending, final = answers_of(Shelf([STUDY]), identifier("STUDY", PatientID="", SliceThickness=""))
    assert [response.status for response, _ in pending] == [UNSUPPORTED]
    assert "SliceThickness" not in pending[0][1]
    assert final.status == SUCCESS


def test_where_it_can_be_retrieved() -> None:
    request = identifier("STUDY", InstanceAvailability="", RetrieveAETitle="")
    ((_, ds),), _ = answers_of(Shelf([STUDY]), request)
    assert (ds.InstanceAvailability, ds.RetrieveAETitle) == ("ONLINE", AE_TITLE)


def test_somewhere_else_is_nothing() -> None:
    pending, _ = answers_of(Shelf([STUDY]), identifier("STUDY", RetrieveAETitle="ELSEWHERE"))
    assert pending == []


REFUSED = [
    (identifier("FRAMES"), 0xA900, (0x00080052,)),
    (Dataset(), 0xA900, (0x00080052,)),
    (identifier("PATIENT", PatientID="1"), 0xA900, (0x00080052,)),
    (identifier("SERIES", StudyInstanceUID=""), 0xA900, (0x0020000D,)),
    (identifier("IMAGE", SOPInstanceUID="1.2"), 0xA900, (0x0020000D, 0x0020000E)),
    (b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", 0xC000, None),
    (b"\x10\0\x20\0\xf0\xff\xff\xffabcd", 0xC000, None),
]


@pytest.mark.parametrize(("request_", "status", "offending"), REFUSED)
def test_what_cannot_be_answered_is_refused(
    request_: Dataset | bytes, status: int, offending: tuple[int, ...] | None
) -> None:
    shelf = Shelf([STUDY])
    pending, final = answers_of(shelf, request_)
    assert (pending, final.status, final.offending_element) == ([], status, offending)
    assert final.error_comment
    assert shelf.asked == []


def test_a_date_that_is_none_is_refused() -> None:
    ds = identifier("STUDY")
    ds.add_new(0x00080020, "LO", "yesterday")
    _, final = answers_of(Shelf([STUDY]), ds)
    assert (final.status, final.offending_element) == (0xA900, (0x00080020,))


def test_a_request_without_an_identifier(loop_factory: LoopFactory) -> None:
    async def work() -> None:
        async with finding(find_scp(Shelf())) as association:
            response, _ = await association.invoke(
                lambda message_id: CFindRQ(
                    message_id=message_id,
                    affected_sop_class_uid=STUDY_ROOT.find,
                    command_data_set_type=NO_DATA_SET,
                ),
                association.context_for(STUDY_ROOT.find),
            )
            assert response.status == 0xC000

    run(work(), loop_factory)


def test_an_identifier_that_is_too_long_is_refused() -> None:
    request = identifier("STUDY", StudyInstanceUID=[f"1.2.1{number:050}" for number in range(1, 24_000)])
    pending, final = answers_of(Shelf(), request)
    assert (pending, final.status) == ([], 0x0213)


# -- many matches


def page(count: int, start: int = 0) -> list[Record]:
    return [{**STUDY, "0020000D": f"1.2.{number}"} for number in range(start, start + count)]


ALL = identifier("STUDY", StudyInstanceUID="", PatientName="")


def test_several_pages(loop_factory: LoopFactory) -> None:
    pending, final = answers_of(Shelf(page(500), page(500, 500), page(3, 1000)), ALL, loop_factory)
    assert [ds.StudyInstanceUID for _, ds in pending] == [f"1.2.{number}" for number in range(1003)]
    assert final.status == SUCCESS


@pytest.mark.parametrize(("limit", "status"), [(None, SUCCESS), (11, SUCCESS), (10, SUCCESS), (9, 0xA700)])
def test_a_limit(limit: int | None, status: int) -> None:
    shelf = Shelf(page(6), page(4, 6))
    pending, final = answers_of(shelf, ALL, maximum_matches=limit)
    assert (len(pending), final.status) == (10 if status == SUCCESS else 9, status)
    assert shelf.closed == 1
    if status != SUCCESS:
        assert final.error_comment == "there are more than 9 matches"


def test_a_cancel_stops_it_within_one_response(loop_factory: LoopFactory) -> None:
    shelf = Shelf(*(page(500, start) for start in range(0, 100_000, 500)))

    async def work() -> None:
        async with finding(find_scp(shelf)) as association:
            context = association.context_for(STUDY_ROOT.find)
            count = 0
            async for response, _ in association.invoke_many(
                lambda message_id: CFindRQ(message_id=message_id, affected_sop_class_uid=STUDY_ROOT.find),
                context,
                encode_dataset(ALL, context.transfer_syntax),
            ):
                if count == 3:
                    cancel = CCancelRQ(message_id_being_responded_to=response.message_id_being_responded_to)
                    await association.send(context, cancel)
                count += 1
            assert response.status == CANCEL
            assert count < 50_000
            # the association goes on
            assert (await ask(association, identifier("STUDY", StudyInstanceUID="1.2.7")))[
                1
            ].status == SUCCESS

    run(work(), loop_factory)
    assert shelf.closed == 2


class Waiting:
    """A search that finds nothing until it is told to, or given up."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.closed = asyncio.Event()

    async def search(self, level: Any, conditions: Any, tags: Any) -> Any:
        self.begun.set()
        try:
            while True:
                await asyncio.sleep(0.01)
                yield [{**STUDY, "00100010": "Nobody"}]
        finally:
            self.closed.set()


def test_a_cancel_is_seen_where_nothing_matches(loop_factory: LoopFactory) -> None:
    async def work() -> None:
        waiting = Waiting()
        async with finding(find_scp(waiting)) as association:
            context = association.context_for(STUDY_ROOT.find)
            asked = asyncio.ensure_future(ask(association, identifier("STUDY", PatientName="Somebody")))
            await asyncio.wait_for(waiting.begun.wait(), 5)
            await association.send(context, CCancelRQ(message_id_being_responded_to=1))
            pending, final = await asyncio.wait_for(asked, 5)
            assert (pending, final.status) == ([], CANCEL)
            assert waiting.closed.is_set()

    run(work(), loop_factory)


def test_a_search_ends_with_the_association(loop_factory: LoopFactory) -> None:
    async def work() -> None:
        waiting = Waiting()
        scp = find_scp(waiting)
        with pytest.raises(ZeroDivisionError):
            async with finding(scp) as association:
                asked = asyncio.ensure_future(ask(association, identifier("STUDY", PatientName="Somebody")))
                await asyncio.wait_for(waiting.begun.wait(), 5)
                asked.cancel()
                raise ZeroDivisionError
        await asyncio.wait_for(waiting.closed.wait(), 5)

    run(work(), loop_factory)


# -- failures


@pytest.mark.parametrize(
    ("error", "status"),
    [(TimeoutError("the index did not answer within 60 s"), 0xA700), (RuntimeError("disk"), 0xC001)],
)
def test_an_index_that_fails(
    error: Exception, status: int, loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """What was found before is answered; what went wrong is logged, and not told to the peer."""
    pending, final = answers_of(Shelf(page(3), error=error), ALL, loop_factory)
    assert (len(pending), final.status) == (3, status)
    assert "disk" not in (final.error_comment or "")
    assert ("an operation failed" in caplog.text) is (status == 0xC001)


# -- negotiation


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        (b"\1", b"\1"),
        (b"\1\1\1\1\1\1\1", b"\1\1\1\0\0\1\1"),
        (b"\0\0\1", b"\0\0\1"),
        (b"\1\1\1\1\1\1\1\1\1", b"\1\1\1\0\0\1\1"),
        (b"", None),
    ],
)
def test_extended_negotiation(information: bytes, expected: bytes | None) -> None:
    for model in (PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY):
        assert negotiate_find(model.find, information) == expected
        assert negotiate_find(model.get, information) is None


@pytest.mark.parametrize(("extended", "status"), [(b"", 0xA900), (b"\0", 0xA900), (b"\1", SUCCESS)])
def test_relational_queries_need_their_negotiation(extended: bytes, status: int) -> None:
    request = identifier("SERIES", StudyInstanceUID="", Modality="CT")
    record = {"0020000D": "1.2", "00080060": "CT"}
    pending, final = answers_of(Shelf([record]), request, extended=extended)
    assert (len(pending), final.status) == (int(status == SUCCESS), status)


@pytest.mark.parametrize(("extended", "count"), [(b"", 0), (b"\0\0\1", 1)])
def test_fuzzy_names_need_their_negotiation(extended: bytes, count: int) -> None:
    pending, _ = answers_of(Shelf([STUDY]), identifier("STUDY", PatientName="Dough^Jon"), extended=extended)
    assert len(pending) == count


def test_a_star_for_a_date_is_for_who_is_allowed_to() -> None:
    request = identifier("STUDY")
    request.add_new(0x00080020, "LO", "*")
    assert answers_of(Shelf([STUDY]), request)[1].status == 0xA900
    assert len(answers_of(Shelf([STUDY]), request, universal_star=lambda operation: True)[0]) == 1


def test_utf_8_is_for_who_can_take_it() -> None:
    record = {**STUDY, "00100010": "山田^太郎"}
    request = identifier("STUDY", PatientName="")
    ((_, ds),), _ = answers_of(Shelf([record]), request)
    assert (ds.SpecificCharacterSet, ds.PatientName) == ("ISO_IR 192", "山田^太郎")
    ((_, ds),), _ = answers_of(Shelf([record]), request, utf_8_allowed=lambda operation: False)
    assert "ISO_IR 192" not in ds.get("SpecificCharacterSet", "")
    assert ds.PatientName == "??^??"


# -- over an index


def few() -> list[Any]:
    doe: dict[str, Any] = {"PatientName": "Doe^John", "PatientID": "1", "PatientSex": "M"}
    a = doe | {"StudyDate": "20240102", "StudyTime": "0830", "StudyDescription": "First"}
    return [
        sample("1.1.1.1", "1.1.1", "1.1", **a, Modality="CT", SeriesNumber="1", InstanceNumber="1"),
        sample("1.1.1.2", "1.1.1", "1.1", **a, Modality="CT", SeriesNumber="1", InstanceNumber="2"),
        sample("1.1.2.1", "1.1.2", "1.1", **a, Modality="MR", SeriesNumber="2", InstanceNumber="1"),
        sample("1.2.1.1", "1.2.1", "1.2", **doe, StudyDate="20240303", Modality="CT"),
        sample("1.3.1.1", "1.3.1", "1.3", PatientName="Roe^Jane", PatientID="2", Modality="US"),
    ]


LEVELS: list[tuple[Any, Dataset, list[str]]] = [
    (PATIENT_ROOT, identifier("PATIENT", PatientID="", PatientName=""), ["1", "2"]),
    (PATIENT_ROOT, identifier("PATIENT", PatientID="2", NumberOfPatientRelatedInstances=""), ["2"]),
    (PATIENT_ROOT, identifier("STUDY", PatientID="1", StudyInstanceUID=""), ["1.1", "1.2"]),
    (
        PATIENT_ROOT,
        identifier("SERIES", PatientID="1", StudyInstanceUID="1.1", SeriesInstanceUID=""),
        ["1.1.1", "1.1.2"],
    ),
    (
        PATIENT_ROOT,
        identifier(
            "IMAGE", PatientID="1", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", SOPInstanceUID=""
        ),
        ["1.1.1.1", "1.1.1.2"],
    ),
    (
        PATIENT_ROOT,
        identifier(
            "IMAGE", PatientID="2", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", SOPInstanceUID=""
        ),
        [],
    ),
    (STUDY_ROOT, identifier("STUDY", PatientName="DOE^J*", StudyInstanceUID=""), ["1.1", "1.2"]),
    (STUDY_ROOT, identifier("STUDY", ModalitiesInStudy="MR", StudyInstanceUID=""), ["1.1"]),
    (STUDY_ROOT, identifier("STUDY", StudyDate="20240101-20240201", StudyInstanceUID=""), ["1.1"]),
    (
        STUDY_ROOT,
        identifier("SERIES", StudyInstanceUID="1.1", SeriesNumber="2", SeriesInstanceUID=""),
        ["1.1.2"],
    ),
    (
        STUDY_ROOT,
        identifier(
            "IMAGE", StudyInstanceUID="1.1", SeriesInstanceUID="1.1.1", InstanceNumber="2", SOPInstanceUID=""
        ),
        ["1.1.1.2"],
    ),
    (PATIENT_STUDY_ONLY, identifier("PATIENT", PatientSex="M", PatientID=""), ["1"]),
    (PATIENT_STUDY_ONLY, identifier("STUDY", PatientID="1", StudyInstanceUID=""), ["1.1", "1.2"]),
]
UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}


def test_each_model_and_level_over_an_index(database: Any, loop_factory: LoopFactory) -> None:
    async def work(matches: Any) -> None:
        for model, request, expected in LEVELS:
            async with finding(find_scp(matches), sop_class=model.find) as association:
                pending, final = await ask(association, request, sop_class=model.find)
            found = [ds[UNIQUE[request.QueryRetrieveLevel]].value for _, ds in pending]
            assert (found, final.status) == (expected, SUCCESS)
            assert all(ds.QueryRetrieveLevel == request.QueryRetrieveLevel for _, ds in pending)

    with matches_of(database, few()) as matches:
        run(work(matches), loop_factory)


def test_computed_keys_over_an_index(database: Any) -> None:
    request = identifier(
        "STUDY",
        StudyInstanceUID="1.1",
        ModalitiesInStudy="",
        SOPClassesInStudy="",
        NumberOfStudyRelatedSeries="",
        NumberOfStudyRelatedInstances="",
    )
    with matches_of(database, few()) as matches:
        ((_, ds),), _ = answers_of(matches, request)
    assert list(ds.ModalitiesInStudy) == ["CT", "MR"]
    assert ds.SOPClassesInStudy == few()[0].sop_class_uid
    assert (ds.NumberOfStudyRelatedSeries, ds.NumberOfStudyRelatedInstances) == (2, 3)


def test_more_than_a_page_over_an_index(database: Any) -> None:
    instances = [sample(f"1.9.{n}.3", f"1.9.{n}.2", f"1.9.{n}", PatientID=f"P{n}") for n in range(1203)]
    with matches_of(database, instances) as matches:
        pending, final = answers_of(matches, identifier("STUDY", StudyInstanceUID="", PatientID="P*"))
    assert {ds.StudyInstanceUID for _, ds in pending} == {f"1.9.{n}" for n in range(1203)}
    assert len(pending) == 1203
    assert final.status == SUCCESS


# -- real names, from the file to the answer

CHARACTER_SETS = {
    "chrGerm.dcm": "ISO_IR 100",
    "chrFren.dcm": "ISO_IR 100",
    "chrFrenMulti.dcm": "ISO_IR 100",
    "chrRuss.dcm": "ISO_IR 144",
    "chrGreek.dcm": "ISO_IR 126",
    "chrArab.dcm": "ISO_IR 127",
    "chrHbrw.dcm": "ISO_IR 138",
    "chrH31.dcm": "\\ISO 2022 IR 87",
    "chrH32.dcm": "ISO 2022 IR 13\\ISO 2022 IR 87",
    "chrJapMulti.dcm": "\\ISO 2022 IR 87",
    "chrI2.dcm": "\\ISO 2022 IR 149",
    "chrKoreanMulti.dcm": "\\ISO 2022 IR 149",
    "chrX1.dcm": "ISO_IR 192",
    "chrX2.dcm": "GB18030",
}
"""Files of pydicom's, and what a peer that speaks their language says to understand."""


def test_real_names_in_every_character_set(database: Any) -> None:
    """The name that pydicom reads in the file is in the answer: in the peer's character sets, and in UTF-8 to who says
    none; and it finds itself when it is the key, in those character sets."""
    instances, names = [], {}
    for number, file in enumerate(CHARACTER_SETS):
        uid = f"1.2.{number}"
        instances.append(scanned(real_file(file), place=f"{uid}/{uid}.1/{uid}.1.1.dcm"))
        instances[-1].values.pop(0x0020000D)
        names[uid] = str(dcmread(real_file(file)).PatientName)

    async def work(matches: Any) -> None:
        async with finding(find_scp(matches)) as association:
            for (uid, name), sets in zip(names.items(), CHARACTER_SETS.values(), strict=True):
                for declared in (None, sets):
                    for key in ("", name):
                        request = identifier("STUDY", StudyInstanceUID=uid)
                        if declared or key:
                            request.SpecificCharacterSet = sets.split("\\")
                        request.PatientName = key
                        ((_, ds),), _ = await ask(association, request)
                        assert str(ds.PatientName) == name, (uid, declared, key)
                        wanted = sets.split("\\") if declared or key else ["ISO_IR 192"]
                        if not name.isascii():
                            assert list(_several(ds.SpecificCharacterSet)) == wanted

    with matches_of(database, instances) as matches:
        run(work(matches), asyncio.new_event_loop)


def _several(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
