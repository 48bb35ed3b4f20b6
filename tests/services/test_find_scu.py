"""The C-FIND SCU against pynetdicom."""

import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from loops import LoopFactory, run
from peers import pynetdicom_scp
from services.find_scu import (
    FindFailed,
    InvalidAnswer,
    decode_identifier,
    encode_identifier,
    find,
    find_context,
    find_extended,
)
from services.scu import associate

IMPLICIT = "1.2.840.10008.1.2"
NAMES = {"called_ae": "PEER", "calling_ae": "SCU"}


def keys() -> Dataset:
    identifier = Dataset()
    identifier.PatientName = ""
    return identifier


def scp(handler: Any) -> Any:
    return pynetdicom_scp(
        (evt.EVT_C_FIND, handler),
        ae_title="PEER",
        configure=lambda ae: ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind),
    )


def test_closing_early_cancels_and_the_association_goes_on(loop_factory: LoopFactory) -> None:
    cancelled = threading.Event()

    def endless(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        while not event.is_cancelled:
            yield 0xFF00, keys()
            time.sleep(0.01)  # its other thread takes the C-CANCEL
        cancelled.set()
        yield 0xFE00, None

    async def test(port: int) -> None:
        async with associate("127.0.0.1", port, contexts=[find_context()], **NAMES) as association:
            for _ in range(2):
                cancelled.clear()
                async with aclosing(find(association, keys(), level="STUDY")) as answers:
                    assert "PatientName" in await anext(answers)
                assert cancelled.is_set()
                assert association.is_established

    with scp(endless) as peer:
        run(test(peer.port), loop_factory)


def test_a_failure_is_an_error_with_its_comment(loop_factory: LoopFactory) -> None:
    def refuse(event: Any) -> Iterator[tuple[Dataset, None]]:
        failure = Dataset()
        failure.Status, failure.ErrorComment, failure.OffendingElement = 0xA900, "no", [0x00100010]
        yield failure, None

    async def test(port: int) -> None:
        async with associate("127.0.0.1", port, contexts=[find_context()], **NAMES) as association:
            with pytest.raises(FindFailed) as caught:
                await anext(find(association, keys(), level="STUDY"))
        error = caught.value
        assert (error.status, error.comment, error.offending_elements) == (0xA900, "no", (0x00100010,))

    with scp(refuse) as peer:
        run(test(peer.port), loop_factory)


def test_text_is_decoded_by_its_character_set() -> None:
    answer = Dataset()
    answer.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    answer.PatientName = "Yamada^Tarou=山田^太郎"
    assert decode_identifier(encode_identifier(answer, IMPLICIT), IMPLICIT).PatientName == answer.PatientName


def test_a_value_not_of_its_vr_is_kept_and_what_is_no_data_set_refused() -> None:
    number = bytes.fromhex("2800100003000000") + b"abc"  # (0028,0010) US
    assert decode_identifier(number, IMPLICIT)[0x00280010].value == b"abc"
    with pytest.raises(InvalidAnswer):
        decode_identifier(b"\x10", IMPLICIT)


def test_only_what_is_asked_for_is_proposed() -> None:
    assert find_extended() == ()
    (item,) = find_extended(fuzzy=True)
    assert item.service_class_application_information == b"\x00\x00\x01"
