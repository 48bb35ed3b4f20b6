"""Scripts about the rest of an A-ASSOCIATE-AC: unusual and harmless, unreadable, the longest P-DATA-TF."""

import struct

from services.conformance.accepted import Association
from services.conformance.answering import (
    OUR_MAXIMUM,
    a_associate_ac,
    accept,
    accepting,
    agree,
    answered_context,
    syntaxes,
    user_data,
)
from services.conformance.building import (
    IMPLEMENTATION_CLASS,
    application_context,
    item,
    maximum_length,
    role,
    user_information,
    window,
)
from services.conformance.script import Script, Topic, script
from services.conformance.scripts_contexts import STOPS, wrongly_accepted
from services.conformance.scripts_steps import (
    GOES_ON,
    Make,
    React,
    accepted,
    gives_up,
    goes_on,
    reply,
    requested,
    served,
    to_the_end,
)

_TOPIC = Topic.NEGOTIATION


def _harmless(
    name: str, title: str, clause: str, make: Make, why: str, *tolerated: str, piece: int = 0
) -> Script:
    """An answer that looks unusual, and after which an SCU goes on as ever."""
    return script(
        f"accept-{name}",
        _TOPIC,
        title,
        clause,
        accepted("such an A-ASSOCIATE-AC", make, piece=piece),
        goes_on(*tolerated, why=why),
    )


# -- what is reserved, unknown, in another order


def _reserved_set(association: Association) -> bytes:
    agree(association)
    association.agreed.maximum = OUR_MAXIMUM
    contexts = [answered_context(c.id, 0, syntaxes(c)[1], reserved=0xFF) for c in association.rq.contexts]
    data = b"".join(item(each[0], each[4:], reserved=0xFF) for each in user_data(association))
    return a_associate_ac(
        association,
        item(0x10, application_context()[4:], reserved=0xFF),
        *contexts,
        item(0x50, data, reserved=0xFF),
        reserved=0xFF,
        titles=b"\xff" * 64,
    )


def _unknown_items(association: Association) -> bytes:
    agree(association)
    association.agreed.maximum = OUR_MAXIMUM
    return a_associate_ac(
        association,
        item(0x01, b"unknown"),
        application_context(),
        item(0x7F, b""),
        *accepting(association),
        user_information(*user_data(association)),
        item(0xFF, bytes(100)),
    )


def _reversed_items(association: Association) -> bytes:
    agree(association)
    association.agreed.maximum = OUR_MAXIMUM
    contexts = reversed(accepting(association))
    data = user_information(*user_data(association))
    return a_associate_ac(association, data, *contexts, application_context())


def _padded(association: Association) -> bytes:
    agree(association)

    def name(value: bytes) -> bytes:
        return value + b"\0" * (len(value) % 2)

    contexts = [answered_context(c.id, 0, name(syntaxes(c)[1])) for c in association.rq.contexts]
    return accept(association, contexts=contexts)


def _with_user_data(*sub_items: bytes) -> Make:
    def make(association: Association) -> bytes:
        agree(association)
        association.agreed.maximum = 0
        data = item(0x50, b"".join(sub_items))
        return a_associate_ac(association, application_context(), *accepting(association), data)

    return make


def _without_user_data(association: Association) -> bytes:
    agree(association)
    return a_associate_ac(association, application_context(), *accepting(association))


def _window_unasked(association: Association) -> bytes:
    for proposed in association.rq.sub_items(0x53):
        association.agreed.window = min(8, int.from_bytes(proposed.value[:2]) or 8)
    return accept(association, more=(window(8, 8),))


_HARMLESS = (
    _harmless(
        "reserved-set",
        "FFH in every reserved field, the titles among them",
        "PS3.8 9.3.3: not tested when received",
        _reserved_set,
        "reserved fields are not tested",
    ),
    _harmless(
        "unknown-items",
        "Items of types that do not exist before, between and behind the others",
        "PS3.8 9.3.1",
        _unknown_items,
        "items that are not known are skipped",
        "abort 2/4",
    ),
    _harmless(
        "unknown-sub-items",
        "User information sub-items of types that do not exist",
        "PS3.7 D.2; PS3.8 9.3.1",
        lambda a: accept(a, more=(item(0x7E, b"unknown"), item(0xFF, b""))),
        "sub-items that are not known are skipped",
    ),
    _harmless(
        "items-reversed",
        "The items in reverse order",
        "PS3.8 9.3.3",
        _reversed_items,
        "the item-type tells what an item is; the order is for the sender to keep",
        "abort 2/*",
    ),
    _harmless(
        "padded-syntaxes",
        "Transfer syntaxes padded to even length",
        "PS3.8 Annex F; PS3.5 9.1",
        _padded,
        "UIDs are not padded here, and the field is full of acceptors that do",
        "release|abort *",
    ),
    _harmless(
        "version-3",
        "Protocol version 0003H",
        "PS3.8 9.3.3",
        lambda a: accept(a, version=3),
        "only bit 0 is tested",
    ),
    _harmless(
        "byte-by-byte",
        "A right answer in segments of 1 byte",
        "PS3.8 9.1.3: TCP is a stream",
        accept,
        "where TCP cuts means nothing",
        piece=1,
    ),
    _harmless(
        "without-implementation",
        "No Implementation Class UID",
        "PS3.7 D.3.3.2",
        _with_user_data(maximum_length(OUR_MAXIMUM)),
        "it must be there; nothing depends on it",
        "abort *",
    ),
    _harmless(
        "without-maximum",
        "No Maximum Length",
        "PS3.8 D.1",
        _with_user_data(IMPLEMENTATION_CLASS),
        "it must be there; an SCU that sends short PDUs can go on",
        "abort *",
    ),
    _harmless(
        "identity-unasked",
        "A user identity response nobody asked for",
        "PS3.7 D.3.3.7.2",
        lambda a: accept(a, more=(item(0x59, b"\0\0"),)),
        "it says nothing an SCU could not pass over",
        "abort *",
    ),
    _harmless(
        "window-unasked",
        "An asynchronous operations window of 8/8, though none, or another, was offered",
        "PS3.7 D.3.3.3",
        _window_unasked,
        "the window is no wider than offered: the SCU goes on within its own",
        "abort *",
    ),
    _harmless(
        "role-unasked",
        "The SCP role granted for a SOP class the SCU proposed no role for",
        "PS3.7 D.3.3.4.2",
        lambda a: accept(a, more=(role(next((syntaxes(c)[0] for c in a.rq.contexts), b""), 0, 1),)),
        "roles are granted where they were proposed; the default holds",
        "abort *",
    ),
)

# -- what cannot be read, or does not fit


def _item_too_long(association: Association) -> bytes:
    agree(association)
    context = next(iter(association.rq.contexts))
    wrong = answered_context(context.id, 0, syntaxes(context)[1], length=0x7000)
    return accept(association, contexts=[wrong])


def _sub_item_too_long(association: Association) -> bytes:
    agree(association)
    return accept(association, more=(item(0x55, b"NAME", length=200),))


_UNREADABLE = (
    wrongly_accepted(
        "version-2",
        "Protocol version 0002H",
        "PS3.8 9.3.3",
        lambda a: accept(a, version=2),
        "bit 0 stands for the only version there is",
        GOES_ON,
        note="What an SCU does with another version is not said; to go on is tolerated.",
    ),
    wrongly_accepted(
        "another-application-context",
        "Another application context name",
        "PS3.8 9.3.3.1; PS3.7 A.2.1",
        lambda a: accept(a, name=b"1.2.840.10008.3.1.1.1.99"),
        "there is one, and it was not asked about another",
        GOES_ON,
        note="PS3.8 9.3.3 does not have the requestor test it; to go on is tolerated.",
    ),
    wrongly_accepted(
        "without-user-information",
        "No user information item",
        "PS3.8 9.3.3; PS3.7 D.3.3.1, D.3.3.2",
        _without_user_data,
        "it must be there, with the Maximum Length and the Implementation Class UID",
        GOES_ON,
    ),
    wrongly_accepted(
        "maximum-of-3-bytes",
        "A Maximum Length sub-item of 3 bytes",
        "PS3.8 D.1.1",
        _with_user_data(item(0x51, b"\0\x40\0"), IMPLEMENTATION_CLASS),
        "its item-length is fixed at 4",
    ),
    wrongly_accepted(
        "item-too-long",
        "A presentation context item that is longer than the PDU",
        "PS3.8 9.3.1, 9.3.3.2; 9.2: Evt19 in Sta5, AA-8",
        _item_too_long,
        "its length leads out of the PDU",
    ),
    wrongly_accepted(
        "sub-item-too-long",
        "A sub-item that is longer than the user information item",
        "PS3.8 9.3.1, 9.3.3.3; 9.2: Evt19 in Sta5, AA-8",
        _sub_item_too_long,
        "its length leads out of the item",
    ),
    wrongly_accepted(
        "of-4-bytes",
        "A-ASSOCIATE-AC with PDU-length 4",
        "PS3.8 9.3.3; 9.2: Evt19 in Sta5, AA-8",
        lambda a: struct.pack(">BBI", 2, 0, 4) + bytes(4),
        "its fixed fields alone take 68 bytes",
    ),
    script(
        "accept-twice",
        _TOPIC,
        "A second A-ASSOCIATE-AC on the association",
        "PS3.8 9.2: Evt3 in Sta6, AA-8",
        served(),
        reply("another A-ASSOCIATE-AC", accept),
        gives_up("2/2", why="an A-ASSOCIATE-AC is unexpected in Sta6"),
    ),
)

# -- the longest P-DATA-TF


def _tiny(maximum: int) -> Script:
    return script(
        f"maximum-{maximum}",
        _TOPIC,
        f"Maximum Length {maximum}",
        "PS3.8 D.1",
        accepted(f"an A-ASSOCIATE-AC with Maximum Length {maximum}", lambda a: accept(a, maximum=maximum)),
        React(
            "request *",
            "release|abort 0/*|abort 2/*",
            why=f"no P-DATA-TF longer than {maximum} bytes; not to use such an association at all is tolerated",
        ),
    )


def _useless(maximum: int) -> Script:
    return script(
        f"maximum-{maximum}",
        _TOPIC,
        f"Maximum Length {maximum}, in which no fragment fits",
        "PS3.8 D.1, E.1",
        requested(),
        reply(f"an A-ASSOCIATE-AC with Maximum Length {maximum}", lambda a: accept(a, maximum=maximum)),
        React(
            f"{STOPS}|abort 2/6",
            "abort 2/*",
            why="6 bytes of PDV header and 2 of data are the least it can send",
        ),
    )


_MAXIMUM = (
    *(_tiny(maximum) for maximum in (8, 128, 4096)),
    *(_useless(maximum) for maximum in (1, 7)),
    script(
        "maximum-0",
        _TOPIC,
        "Maximum Length 0: any length will do",
        "PS3.8 D.1",
        accepted("an A-ASSOCIATE-AC with Maximum Length 0", lambda a: accept(a, maximum=0)),
        to_the_end(),
    ),
    script(
        "maximum-largest",
        _TOPIC,
        "Maximum Length FFFFFFFFH",
        "PS3.8 D.1",
        accepted("an A-ASSOCIATE-AC with Maximum Length FFFFFFFFH", lambda a: accept(a, maximum=0xFFFFFFFF)),
        to_the_end(),
    ),
)

SCRIPTS: tuple[Script, ...] = (*_HARMLESS, *_UNREADABLE, *_MAXIMUM)
