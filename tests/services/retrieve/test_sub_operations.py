"""Sub-operations counted and summed up (PS3.7 9.1.3; PS3.4 C.4.2.1.5, C.4.3.1.4)."""

from types import SimpleNamespace
from typing import Any

import pytest

from dimse.messages import CGetRQ, CGetRSP
from dimse.operation import Operation
from finding import decoded
from services.query.keys import STUDY_ROOT
from services.retrieve.sub_operations import SubOperations
from services.sop_classes import IMPLICIT_VR_LITTLE_ENDIAN


def operation() -> Operation:
    context: Any = SimpleNamespace(transfer_syntax=IMPLICIT_VR_LITTLE_ENDIAN)
    association: Any = None
    return Operation(association, context, CGetRQ(message_id=7, affected_sop_class_uid=STUDY_ROOT.get))


def after(total: int, *codes: int | None) -> SubOperations:
    sub_operations = SubOperations(total)
    for number, code in enumerate(codes):
        sub_operations.record(f"1.2.{number}", code)
    return sub_operations


@pytest.mark.parametrize(
    ("total", "codes", "expected", "failed"),
    [
        (0, (), 0x0000, None),
        (2, (0, 0), 0x0000, None),
        (2, (0, 0xB007), 0xB000, []),
        (3, (0, 0xA700, None), 0xB000, ["1.2.1", "1.2.2"]),
        (2, (0xC000, None), 0xA702, ["1.2.0", "1.2.1"]),
        (3, (0xC000,), 0xFE00, ["1.2.0"]),
    ],
)
def test_final(total: int, codes: tuple[int | None, ...], expected: int, failed: list[str] | None) -> None:
    response, data = after(total, *codes).final(operation())
    assert isinstance(response, CGetRSP)
    assert response.status == expected
    assert (response.number_of_remaining_suboperations is not None) is (expected == 0xFE00)
    if failed is None:
        assert data is None
        return
    assert isinstance(data, bytes)
    listed = decoded(data, IMPLICIT_VR_LITTLE_ENDIAN).FailedSOPInstanceUIDList
    assert [uid for uid in ([listed] if isinstance(listed, str) else listed) if uid] == failed


def test_pending_has_every_count() -> None:
    response, data = after(6, 0, 0, 0xB000, 0xA700).pending(operation())
    assert data is None
    assert isinstance(response, CGetRSP)
    assert response.status == 0xFF00
    assert (
        response.number_of_remaining_suboperations,
        response.number_of_completed_suboperations,
        response.number_of_failed_suboperations,
        response.number_of_warning_suboperations,
    ) == (2, 2, 1, 1)


def test_counters_saturate() -> None:
    sub_operations = after(200_000, 0)
    assert sub_operations.counts(remaining=True)["number_of_remaining_suboperations"] == 65_535
    sub_operations.completed = 70_000
    assert sub_operations.counts(remaining=True)["number_of_completed_suboperations"] == 65_535


def test_what_has_gone_meanwhile_is_not_missed() -> None:
    sub_operations = after(3, 0, 0)
    sub_operations.no_more()
    assert sub_operations.final(operation())[0].status == 0x0000


def test_a_failed_list_that_is_too_long_ends_at_a_whole_uid() -> None:
    sub_operations = SubOperations(5000)
    for number in range(5000):
        sub_operations.record(f"1.2.840.99999.{number}", None)
    data = sub_operations.final(operation())[1]
    assert isinstance(data, bytes)
    listed = decoded(data, IMPLICIT_VR_LITTLE_ENDIAN).FailedSOPInstanceUIDList
    assert list(listed) == [f"1.2.840.99999.{number}" for number in range(len(listed))]
    assert 3000 < len(listed) < 5000
