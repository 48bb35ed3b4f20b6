"""Scripts about the end of an association: release collisions, data behind a release, no answer, no farewell."""

from services.conformance.accepted import Association
from services.conformance.answering import COMMAND, accept, in_pdus
from services.conformance.building import NO_DATA, RELEASE_RP, RELEASE_RQ, VERIFICATION, command, pdu, ui, us
from services.conformance.script import Script, Topic, script
from services.conformance.scripts_steps import (
    WAITS,
    Act,
    React,
    accepted,
    ends,
    gives_up,
    released,
    reply,
    requested,
    served,
)

_TOPIC = Topic.RELEASE
_AR_3 = "AR-3 closes the connection"


def _stray(association: Association) -> bytes:
    """A C-ECHO-RSP that answers nothing, on the first context."""
    number = next(iter(association.agreed.contexts), 1)
    command_set = command(
        ui(0x0002, VERIFICATION), us(0x0100, 0x8030), us(0x0120, 0xFFFE), us(0x0800, NO_DATA), us(0x0900, 0)
    )
    return in_pdus(association, number, COMMAND, command_set)


async def _finish_sending(association: Association) -> None:
    connection = association.connection
    if connection.tls_version is not None:
        association.not_applicable("TLS knows no half close")
    connection.finish_sending()


def _half_close() -> Act:
    return Act("closes its half of the connection (FIN)", _finish_sending)


SCRIPTS: tuple[Script, ...] = (
    script(
        "release-collision",
        _TOPIC,
        "An A-RELEASE-RQ instead of an A-RELEASE-RP: both have asked",
        "PS3.8 9.2: Evt12 in Sta7, AR-8; Sta9, AR-9; Sta11, AR-3",
        accepted(),
        released(),
        reply("an A-RELEASE-RQ", RELEASE_RQ),
        React("release response", why="the requestor of the association answers first: AR-8, AR-9"),
        reply("an A-RELEASE-RP", RELEASE_RP),
        ends(_AR_3),
        note="PS3.7 A.5 lets the requestor alone ask; the Upper Layer of PS3.8 knows the collision.",
    ),
    script(
        "release-collision-abort",
        _TOPIC,
        "An A-RELEASE-RQ instead of an A-RELEASE-RP, and an A-ABORT behind it",
        "PS3.8 9.2: Evt12 in Sta7, AR-8; Evt16 in Sta9 or Sta11, AA-3",
        accepted(),
        released(),
        reply("an A-RELEASE-RQ", RELEASE_RQ),
        React("release response", "abort 0/*", why="AR-8, AR-9"),
        reply("an A-ABORT", pdu(7, bytes(4))),
        ends("AA-3 closes the connection"),
    ),
    script(
        "release-by-acceptor",
        _TOPIC,
        "An A-RELEASE-RQ of the acceptor instead of a response",
        "PS3.8 9.2: Evt12 in Sta6, AR-2, AR-4; PS3.7 A.5",
        served(),
        reply("an A-RELEASE-RQ", RELEASE_RQ),
        React(
            "release response|abort 0/*", "abort 2/*", why="the Upper Layer answers it; PS3.7 A.5 forbids it"
        ),
    ),
    script(
        "release-then-data",
        _TOPIC,
        "A P-DATA-TF after the SCU's A-RELEASE-RQ, then the A-RELEASE-RP",
        "PS3.8 9.2: Evt10 in Sta7, AR-6",
        accepted(),
        released(),
        reply("a response to nothing, and the A-RELEASE-RP", lambda a: _stray(a) + RELEASE_RP),
        React(
            "closed|reset|abort 0/0",
            "abort 0/*",
            why="AR-6 takes the data, AR-3 closes; its user may abort over data that answers nothing",
        ),
    ),
    script(
        "release-then-accept",
        _TOPIC,
        "An A-ASSOCIATE-AC after the SCU's A-RELEASE-RQ",
        "PS3.8 9.2: Evt3 in Sta7, AA-8",
        accepted(),
        released(),
        reply("an A-ASSOCIATE-AC", accept),
        gives_up("2/2", why="an A-ASSOCIATE-AC is unexpected in Sta7"),
    ),
    script(
        "release-then-garbage",
        _TOPIC,
        "Bytes that are no PDU after the SCU's A-RELEASE-RQ",
        "PS3.8 9.2: Evt19 in Sta7, AA-8",
        accepted(),
        released(),
        reply("32 bytes FFH", b"\xff" * 32),
        gives_up("2/1", why="AA-8"),
    ),
    *(
        script(
            f"release-response-of-{length}-bytes",
            _TOPIC,
            f"An A-RELEASE-RP with PDU-length {length}",
            "PS3.8 9.3.7; 9.2: Evt19 in Sta7, AA-8",
            accepted(),
            released(),
            reply("such an A-RELEASE-RP", pdu(6, bytes(length))),
            gives_up(
                "2/6", "closed", "reset", why="its PDU-length is fixed at 4; the association is over anyhow"
            ),
        )
        for length in (0, 8)
    ),
    script(
        "release-response-reserved-set",
        _TOPIC,
        "An A-RELEASE-RP with FFH in its reserved fields, byte by byte",
        "PS3.8 9.3.7: not tested when received",
        accepted(),
        released(),
        reply("such an A-RELEASE-RP", pdu(6, b"\xff" * 4, reserved=0xFF), piece=1),
        ends(_AR_3),
    ),
    script(
        "release-then-talk",
        _TOPIC,
        "An A-RELEASE-RP, and a P-DATA-TF behind it",
        "PS3.8 9.2: Evt13 in Sta7, AR-3; then there is no association",
        accepted(),
        released(),
        reply("an A-RELEASE-RP and a P-DATA-TF in one segment", lambda a: RELEASE_RP + _stray(a)),
        ends(_AR_3, unread=True),
    ),
    script(
        "release-never-answered",
        _TOPIC,
        "The A-RELEASE-RP never comes",
        "PS3.8 9.2: Evt15 in Sta7, AA-1; the time-out is a local matter",
        accepted(),
        released(),
        React("abort 0/*", "closed", "reset", WAITS, why="it gives up in time", within=lambda a: a.patience),
        waits=True,
        note="The standard sets no time-out: an SCU that waits longer than the tester is tolerated.",
    ),
    script(
        "release-closed",
        _TOPIC,
        "The connection is closed instead of an A-RELEASE-RP",
        "PS3.8 9.2: Evt17 in Sta7, AA-4",
        accepted(),
        released(),
        _half_close(),
        ends("AA-4: there is nobody left"),
    ),
    script(
        "close-before-accept",
        _TOPIC,
        "The connection is closed instead of an A-ASSOCIATE-AC",
        "PS3.8 9.2: Evt17 in Sta5, AA-4",
        requested(),
        _half_close(),
        ends("AA-4: there is nobody left"),
    ),
    script(
        "close-after-request",
        _TOPIC,
        "The connection is closed instead of a response",
        "PS3.8 9.2: Evt17 in Sta6, AA-4",
        served(),
        _half_close(),
        ends("AA-4: there is nobody left"),
    ),
    script(
        "close-within-accept",
        _TOPIC,
        "The connection is closed after the first 20 bytes of an A-ASSOCIATE-AC",
        "PS3.8 9.2: Evt17 in Sta5, AA-4",
        requested(),
        reply("20 bytes of an A-ASSOCIATE-AC", lambda a: accept(a)[:20]),
        _half_close(),
        ends("AA-4: there is nobody left"),
    ),
)
