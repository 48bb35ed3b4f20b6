"""What comes to a DICOM port that was meant for another, and what hides in the names of an association."""

from services.conformance.building import item, pdu, user_identity
from services.conformance.case import Case, case
from services.conformance.cases.ul_steps import ECHO, IfAccepted, several, until_artim
from services.conformance.conversation import Conversation
from services.conformance.steps import Do, Expect, Send, Step, aborted, associate, echo, proposal, reconnect
from services.conformance.target import Target

_AA_1 = "AA-1 answers what is no PDU with an A-ABORT of the service user"
_MANY = 40

_STOW_RS = (
    b"POST /studies HTTP/1.1\r\nHost: pacs\r\nContent-Type: multipart/related\r\nContent-Length: 2000\r\n\r\n"
    + b"x" * 2000
)
_PROXY_2 = bytes.fromhex("0d0a0d0a000d0a515549540a 2111000c c0000201c0000202dc042b68")
_FOREIGN = (
    ("a", "An HTTP request with a body (STOW-RS)", _STOW_RS),
    ("b", "An SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n"),
    ("c", "An HL7 message (MLLP)", b"\x0bMSH|^~\\&|A|B|C|D|20200101||ADT^A01|1|P|2.5\r\x1c\r"),
    ("d", "A header of the PROXY protocol, as text", b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 11112\r\n"),
    ("e", "A header of the PROXY protocol, as bytes", _PROXY_2),
    ("f", "An SMB negotiation", bytes.fromhex("00000045 ff534d42 72") + bytes(64)),
    ("g", "A Redis command", b"*1\r\n$4\r\nPING\r\n"),
    ("h", "A JSON object", b'{"jsonrpc": "2.0", "method": "ping", "id": 1}\n'),
    ("i", "An HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
)

_PROTOCOLS = (
    *(
        case(
            f"security-210{letter}",
            f"{title} as the first bytes",
            "PS3.8 9.2: Evt19 in Sta2, AA-1",
            Send(title[0].lower() + title[1:], data),
            aborted("0/0", _AA_1),
        )
        for letter, title, data in _FOREIGN
    ),
    case(
        "security-210j",
        "A connection request of RDP (TPKT), which looks like an A-ASSOCIATE-RJ",
        "PS3.8 9.2: Evt4 or Evt19 in Sta2, AA-1",
        Send(
            "a TPKT packet: 03H, and what would be a PDU-length of 000B06E0H",
            bytes.fromhex("0300000b06e00000000000"),
        ),
        Expect(
            "abort 0/0",
            "abort 0/*",
            "closed",
            "reset",
            within=until_artim,
            why="no A-ASSOCIATE-RJ is as long, and none is expected; to wait for the rest until ARTIM is tolerated",
        ),
        waits=True,
    ),
    case(
        "security-211",
        "An HTTP request on an established association",
        "PS3.8 9.2: Evt19 in Sta6, AA-8",
        associate(),
        Send("an HTTP request", b"GET /admin HTTP/1.1\r\nHost: pacs\r\n\r\n"),
        aborted("2/1", "AA-8: 47H is no PDU type"),
    ),
)

# -- names


def _called(id: str, what: str, title: bytes) -> Case:
    return case(
        id,
        f"A called AE title that is {what}",
        "PS3.8 9.3.2, 9.3.4; PS3.5 6.2: every character of it is allowed",
        Send(
            f"an A-ASSOCIATE-RQ that calls '{title.decode()}'",
            lambda target: target.proposing(called=title),
        ),
        Expect(
            "reject 1/1/7",
            "accept",
            "reject 1/*",
            why="it is the name of nobody, and nothing more than a name",
        ),
        IfAccepted(echo()),
        needs=ECHO,
        note="A peer that answers to every title is tolerated; it must serve on.",
    )


def _calling(id: str, what: str, title: bytes) -> Case:
    return case(
        id,
        f"A calling AE title that is {what}",
        "PS3.8 9.3.2, 9.3.4; PS3.5 6.2: every character of it is allowed",
        Send(
            f"an A-ASSOCIATE-RQ of '{title.decode()}'",
            lambda target: target.proposing(calling=title),
        ),
        Expect("accept|reject 1/1/3", "reject *", why="it is a title like others: let in, or not recognized"),
        IfAccepted(echo()),
        needs=ECHO,
    )


_HOSTILE = (
    ("a", "a place in a file system above", b"../../../secret"),
    ("b", "two dots", b".."),
    ("c", "part of an SQL statement", b"' OR 1=1; --"),
    ("d", "a command for a shell", b"$(reboot)`id`"),
    ("e", "a format string", b"%s%n%x{0}%d"),
    ("f", "part of an HTML page", b"<script src=//x>"),
    ("g", "a formula of a spreadsheet", b"=cmd|'/C calc'!"),
)


def _hostile_version(target: Target) -> bytes:
    return target.proposing(sub_items=(item(0x55, b"$(id)%n<b>\x1b[2J"),))


def _hostile_identity(target: Target) -> bytes:
    name = b"../' OR 1=1; -- $(reboot) %n <script>\r\n\x1b[2J\0"
    return target.proposing(sub_items=(user_identity(2, 1, name, b"\0" * 64),))


def _long_identity(target: Target) -> bytes:
    return target.proposing(sub_items=(user_identity(2, 1, b"u" * 30000, b"p" * 30000),))


_NAMES = (
    *(_called(f"security-212{letter}", what, title) for letter, what, title in _HOSTILE),
    *(_calling(f"security-213{letter}", what, title) for letter, what, title in _HOSTILE),
    case(
        "security-214a",
        "An Implementation Version Name with an escape sequence, a command and HTML",
        "PS3.7 D.3.3.2.3; PS3.5 6.2",
        Send("such an A-ASSOCIATE-RQ", _hostile_version),
        Expect("accept", "reject *", "abort 0/*", why="it is shown, if at all, and never obeyed"),
        IfAccepted(echo()),
        needs=ECHO,
    ),
    case(
        "security-214b",
        "A user identity with commands, line ends and NULs in its name",
        "PS3.7 D.3.3.7",
        Send("such an A-ASSOCIATE-RQ", _hostile_identity),
        Expect(
            "accept|reject 1/2/1",
            "reject *",
            "abort 0/*",
            why="it is nobody's name, and nothing more than a name",
        ),
        IfAccepted(echo()),
        needs=ECHO,
    ),
    case(
        "security-214c",
        "A user identity with a name and a passcode of 30000 bytes each",
        "PS3.7 D.3.3.7",
        Send("such an A-ASSOCIATE-RQ", _long_identity),
        Expect("accept|reject 1/2/1", "reject *", "abort 0/*", why="it is nobody's name"),
        IfAccepted(echo()),
        needs=ECHO,
    ),
)

# -- many at once


def _attack(title: str, data: bytes) -> tuple[Step, ...]:
    """Open many connections, say the same on each, keep them open; then a good association must be served."""

    async def run(conversation: Conversation) -> None:
        for _ in range(_MANY - 1):
            await conversation.connect()
        for connection in conversation.connections:
            await connection.send(data, timeout=conversation.target.timeout)

    return (
        several(),
        Do(f"opens {_MANY - 1} more connections and sends {title} on each", run),
        reconnect(),
        Send("an A-ASSOCIATE-RQ", proposal),
        Expect("accept", "reject 2/3/*", why="those who say little must not lock out those who do"),
        IfAccepted(echo()),
    )


_LOAD = (
    case(
        "security-215a",
        f"{_MANY} connections that claim an A-ASSOCIATE-RQ of 1 MiB and send 32 KiB of it, then a good one",
        "PS3.8 9.1.4 note 1, 9.3.1; a local limit",
        _attack("32 KiB of such an A-ASSOCIATE-RQ", pdu(1, bytes(32 << 10), length=1 << 20)),
        needs=ECHO,
    ),
    case(
        "security-215b",
        f"{_MANY} connections with 5 bytes each, then a good one",
        "PS3.8 9.1.4 note 1; a local limit",
        _attack("the first 5 bytes of an A-ASSOCIATE-RQ", bytes.fromhex("0100000000")),
        needs=ECHO,
    ),
)

CASES: tuple[Case, ...] = (*_PROTOCOLS, *_NAMES, *_LOAD)
