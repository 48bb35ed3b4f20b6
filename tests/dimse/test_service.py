"""Which service performs a request, and with which status it is refused otherwise."""

import pytest

from dimse import status
from dimse.enums import CommandField
from dimse.errors import DimseError
from dimse.messages import CEchoRQ, CFindRQ, CStoreRQ, NGetRQ, Request
from dimse.service import ServiceRegistry
from dimse_services import CT_IMAGE, IMPLICIT, STUDY_ROOT_FIND, VERIFICATION, Performs
from dul.negotiated import PresentationContext

ECHO = Performs(CommandField.C_ECHO_RQ, VERIFICATION, lambda operation: None)
STORE = Performs(CommandField.C_STORE_RQ, CT_IMAGE, lambda operation: None)
REGISTRY = ServiceRegistry([ECHO, STORE])


def context(abstract_syntax: str, *, as_scp: bool = True) -> PresentationContext:
    return PresentationContext(1, abstract_syntax, IMPLICIT, not as_scp, as_scp)


def store_rq(sop_class: str | None) -> CStoreRQ:
    return CStoreRQ(message_id=1, affected_sop_class_uid=sop_class, affected_sop_instance_uid="2.25.1")


def test_every_service_says_what_is_accepted() -> None:
    assert set(REGISTRY.supported) == {VERIFICATION, CT_IMAGE}
    assert STUDY_ROOT_FIND not in REGISTRY.supported
    assert len(ServiceRegistry().supported) == 0


def test_command_and_sop_class_together_find_the_service() -> None:
    assert (
        REGISTRY.find(CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION), context(VERIFICATION))
        is ECHO
    )
    assert REGISTRY.find(store_rq(CT_IMAGE), context(CT_IMAGE)) is STORE


@pytest.mark.parametrize(
    ("request_", "where", "code"),
    [
        (store_rq(VERIFICATION), context(VERIFICATION), status.UNRECOGNIZED_OPERATION),
        (
            CFindRQ(message_id=1, affected_sop_class_uid=CT_IMAGE),
            context(CT_IMAGE),
            status.UNRECOGNIZED_OPERATION,
        ),
        (
            NGetRQ(message_id=1, requested_sop_class_uid=VERIFICATION, requested_sop_instance_uid="2.25.1"),
            context(VERIFICATION),
            status.UNRECOGNIZED_OPERATION,
        ),
        (store_rq(CT_IMAGE), context(CT_IMAGE, as_scp=False), status.SOP_CLASS_NOT_SUPPORTED),
        (store_rq(None), context(CT_IMAGE), status.MISSING_ATTRIBUTE),
        (store_rq(VERIFICATION), context(CT_IMAGE), status.SOP_CLASS_NOT_SUPPORTED),
    ],
    ids=["C-STORE on Verification", "C-FIND", "N-GET", "we are no SCP", "no class", "another class"],
)
def test_what_nobody_performs_is_refused(request_: Request, where: PresentationContext, code: int) -> None:
    with pytest.raises(DimseError) as raised:
        REGISTRY.find(request_, where)
    assert raised.value.status == code
