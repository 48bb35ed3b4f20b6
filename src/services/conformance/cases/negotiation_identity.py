"""User identity: cases 77 to 82 (PS3.7 D.3.3.7).

The tester knows nobody's passcode. What a peer makes of an identity is its own affair; what counts is that it says so
in the right way.
"""

from services.conformance.building import item, user_identity
from services.conformance.case import Case, case
from services.conformance.cases.negotiation_items import invalid, surplus, with_user_data
from services.conformance.cases.ul_steps import ECHO, IfAccepted
from services.conformance.checks_user_information import absent, identity_response_is_empty
from services.conformance.conversation import Check
from services.conformance.steps import Expect, Send, echo

_IDENTITY = "PS3.7 D.3.3.7"
_REFUSED = (
    "user identity that is refused is rejected by the service provider, without a reason (PS3.7 D.3.3.7.3)"
)
_NO_RESPONSE = absent(0x59, "user identity response", "none was asked for (PS3.7 D.3.3.7)")
_NOT_VERIFIED = absent(0x59, "user identity response", "nobody can have verified it (PS3.7 D.3.3.7)")


def _identified(
    id: str, title: str, identity: bytes, check: Check, *answers: str, why: str = _REFUSED, note: str = ""
) -> Case:
    """Accepted, or refused as an identity is."""
    strict, *tolerated = answers or ("accept|reject 1/2/1", "reject *")
    return case(
        id,
        title,
        _IDENTITY,
        Send("the A-ASSOCIATE-RQ", with_user_data(*([identity] if identity else []))),
        Expect(strict, *tolerated, why=why),
        IfAccepted(echo(), check=check),
        needs=ECHO,
        note=note,
    )


_TYPES = (
    _identified(
        "negotiation-77a",
        "A user name, no response requested",
        user_identity(1, 0, b"somebody"),
        _NO_RESPONSE,
    ),
    _identified(
        "negotiation-77b",
        "A user name of 0 bytes, no response requested",
        user_identity(1, 0, b""),
        _NO_RESPONSE,
    ),
    _identified(
        "negotiation-77c",
        "A user name, a response requested",
        user_identity(1, 1, b"somebody"),
        identity_response_is_empty,
    ),
    _identified(
        "negotiation-78",
        "A user name and a passcode, a response requested",
        user_identity(2, 1, b"somebody", b"secret"),
        identity_response_is_empty,
        note="Whether they are good only the peer knows: any answer passes that has the right form.",
    ),
    _identified(
        "negotiation-79a",
        "A passcode that nobody can have",
        user_identity(2, 1, b"nobody", b"\xf0\x9f\x97\x9d of no door"),
        identity_response_is_empty,
        note="A peer without user identity accepts and makes no response (PS3.7 D.3.3.7); one with the basic profile "
        "need not verify the passcode, and responds (PS3.15 B.4). Where passcodes are verified this one is refused.",
    ),
    _identified(
        "negotiation-79b",
        "A passcode of 0 bytes, no response requested",
        user_identity(2, 0, b"nobody"),
        _NO_RESPONSE,
    ),
    *(
        _identified(
            f"negotiation-80{letter}",
            f"{what} that proves nothing, a response requested",
            user_identity(kind, 1, b"no token at all"),
            _NOT_VERIFIED,
        )
        for letter, what, kind in (
            ("a", "A Kerberos ticket", 3),
            ("b", "A SAML assertion", 4),
            ("c", "A JSON Web Token", 5),
        )
    ),
    _identified(
        "negotiation-80d",
        "A SAML assertion of 60000 bytes, no response requested",
        user_identity(4, 0, b"<" * 60000),
        _NO_RESPONSE,
    ),
    *(
        _identified(
            f"negotiation-81{letter}",
            f"A user identity of type {kind}, a response requested",
            user_identity(kind, 1, b"somebody"),
            _NOT_VERIFIED,
            "accept|reject 1/2/1",
            "abort 0/*",
            why="reserved types are taken as not supported",
        )
        for letter, kind in (("a", 0), ("b", 6), ("c", 255))
    ),
    _identified(
        "negotiation-81d",
        "A user name with a secondary field, no response requested",
        user_identity(1, 0, b"somebody", b"secret"),
        _NO_RESPONSE,
        "accept|reject 1/2/1",
        "abort 0/*",
        why="the secondary field belongs to type 2 alone; elsewhere it has no meaning",
    ),
    *(
        (surplus if letter == "i" else invalid)(
            f"negotiation-81{letter}",
            f"A user identity {what}",
            "PS3.7 D.3.3.7.1",
            with_user_data(item(0x58, value)),
        )
        for letter, what, value in (
            ("e", "whose primary field is longer than the sub-item", b"\1\0" + b"\0\x09name" + b"\0\0"),
            ("f", "whose secondary field is longer than the sub-item", b"\2\0" + b"\0\4name" + b"\0\1"),
            ("g", "of 1 byte", b"\1"),
            ("h", "without a secondary field length", b"\1\0" + b"\0\4name"),
            ("i", "with bytes behind its last field", b"\1\0" + b"\0\4name" + b"\0\0" + b"??"),
        )
    ),
    _identified(
        "negotiation-81j",
        "A positive-response-requested of 2",
        user_identity(1, 2, b"somebody"),
        identity_response_is_empty,
        "accept|reject 1/2/1",
        "abort 0/*",
        why="1 asks for a response; what 2 asks for is not said",
    ),
    _identified(
        "negotiation-81k",
        "Two user identities",
        user_identity(1, 0, b"somebody") + user_identity(1, 0, b"another"),
        _NO_RESPONSE,
        "accept|reject 1/2/1|abort 0/0",
        "abort 0/*",
        "reject 1/*",
        why="there is one at most; which one counts is not said",
    ),
    _identified(
        "negotiation-82",
        "No user identity",
        b"",
        _NO_RESPONSE,
        "accept|reject 1/2/1",
        why="accepted where none is demanded; where one is, " + _REFUSED,
    ),
)

CASES: tuple[Case, ...] = _TYPES
