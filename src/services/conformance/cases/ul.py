"""Transport and PDUs: cases 1 to 37 (PS3.8 9.1 to 9.3)."""

from services.conformance.building import RELEASE_RQ, c_echo_rq, message, pdu
from services.conformance.case import Case, case
from services.conformance.steps import Expect, Send, aborted, associate, echo
from services.conformance.target import Target


def _until_artim(target: Target) -> float:
    return target.until_artim


CASES: tuple[Case, ...] = (
    case(
        "ul-1",
        "Nothing is sent",
        "PS3.8 9.1.4, 9.2: Evt18 in Sta2, AA-2",
        Expect("closed", "reset", within=_until_artim, why="ARTIM expires in Sta2, and AA-2 sends nothing"),
        waits=True,
    ),
    case(
        "ul-6",
        "P-DATA-TF as the first PDU",
        "PS3.8 9.2: Evt10 in Sta2, AA-1",
        Send("a P-DATA-TF with a C-ECHO-RQ", message(1, c_echo_rq(7))),
        aborted("0/0", "AA-1 sends an A-ABORT of the service user"),
    ),
    case(
        "ul-19a",
        "A-RELEASE-RQ of 0 bytes",
        "PS3.8 9.3.6",
        associate(),
        Send("an A-RELEASE-RQ with PDU-length 0", pdu(5, b"")),
        aborted("2/6", "its PDU-length is fixed at 4", "release response"),
    ),
    case(
        "ul-17",
        "A-RELEASE-RQ after a C-ECHO",
        "PS3.8 9.2: Evt12 in Sta6, AR-2; 9.3.7",
        associate(),
        echo(),
        Send("an A-RELEASE-RQ", RELEASE_RQ),
        Expect("release response"),
    ),
)
