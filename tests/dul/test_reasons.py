import pytest

from dul.reasons import AbortReason, RejectReason

# PS3.8 Table 9-21: source, reason.
REJECT = {
    "NO_REASON_GIVEN": (1, 1),
    "APPLICATION_CONTEXT_NAME_NOT_SUPPORTED": (1, 2),
    "CALLING_AE_TITLE_NOT_RECOGNIZED": (1, 3),
    "CALLED_AE_TITLE_NOT_RECOGNIZED": (1, 7),
    "ACSE_NO_REASON_GIVEN": (2, 1),
    "PROTOCOL_VERSION_NOT_SUPPORTED": (2, 2),
    "TEMPORARY_CONGESTION": (3, 1),
    "LOCAL_LIMIT_EXCEEDED": (3, 2),
}

# PS3.8 Table 9-26: source, reason.
ABORT = {
    "SERVICE_USER": (0, 0),
    "NOT_SPECIFIED": (2, 0),
    "UNRECOGNIZED_PDU": (2, 1),
    "UNEXPECTED_PDU": (2, 2),
    "UNRECOGNIZED_PDU_PARAMETER": (2, 4),
    "UNEXPECTED_PDU_PARAMETER": (2, 5),
    "INVALID_PDU_PARAMETER_VALUE": (2, 6),
}


@pytest.mark.parametrize(("kind", "table"), [(RejectReason, REJECT), (AbortReason, ABORT)])
def test_names_have_the_numbers_of_the_standard(kind, table):
    named = {name: value for name, value in vars(kind).items() if isinstance(value, kind)}
    assert {name: (value.source, value.reason) for name, value in named.items()} == table


@pytest.mark.parametrize(("kind", "table"), [(RejectReason, REJECT), (AbortReason, ABORT)])
def test_every_name_has_words_of_its_own(kind, table):
    texts = {str(kind(*numbers)).partition(" (source")[0] for numbers in table.values()}
    assert len(texts) == len(table)
    assert "reserved" not in texts


def test_words_come_with_their_numbers():
    assert str(RejectReason(1, 7)) == "called AE title not recognized (source 1, reason 7)"
    assert str(AbortReason(2, 2)) == "unexpected PDU (source 2, reason 2)"


@pytest.mark.parametrize(
    "reason", [RejectReason(1, 4), RejectReason(9, 9), AbortReason(2, 3), AbortReason(1, 0)]
)
def test_reserved_codes_keep_their_numbers(reason):
    assert str(reason) == f"reserved (source {reason.source}, reason {reason.reason})"


def test_only_source_2_is_the_service_provider():
    assert [source for source in range(256) if AbortReason(source, 0).by_service_provider] == [2]


def test_the_same_numbers_are_the_same_reason_but_not_across_kinds():
    assert AbortReason(2, 2) == AbortReason.UNEXPECTED_PDU
    assert AbortReason(2, 2) != RejectReason(2, 2)
