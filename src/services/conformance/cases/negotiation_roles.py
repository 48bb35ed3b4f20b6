"""SCP/SCU role selection: cases 70 to 72, and what goes beyond them (PS3.7 D.3.3.4)."""

from services.conformance.building import (
    DATA,
    IMPLICIT,
    VERIFICATION,
    command,
    context,
    message,
    role,
    ui,
    us,
)
from services.conformance.case import Case, case
from services.conformance.cases.negotiation_items import accepted, with_user_data
from services.conformance.cases.negotiation_titles import DEFAULT_CONTEXT
from services.conformance.cases.ul_steps import ECHO, accepted_then_echo
from services.conformance.checks import all_of
from services.conformance.checks_user_information import (
    absent,
    no_role_for,
    role_is_answered,
    roles_within_the_proposal,
)
from services.conformance.conversation import Check, Conversation
from services.conformance.data_sets import STUDY_UID, Instance, identifier, instance
from services.conformance.steps import (
    GET_CONTEXT,
    STORE_CONTEXT,
    UNKNOWN_SYNTAX,
    Do,
    Send,
    associate,
    close,
    echo,
    reconnect,
)
from services.conformance.storing import delivers, for_storage
from services.conformance.target import STUDY_ROOT_GET, Service, Target


def _selecting(*roles: tuple[int, int]) -> Send:
    """A request for Verification and storage, with these roles (SCU, SCP) for storage."""

    def request(target: Target) -> bytes:
        return target.proposing(
            DEFAULT_CONTEXT,
            context(STORE_CONTEXT, target.storage_class, IMPLICIT),
            sub_items=tuple(role(target.storage_class, *each) for each in roles),
        )

    return Send("the A-ASSOCIATE-RQ", request)


def _storage_role(
    id: str, title: str, *roles: tuple[int, int], check: Check, also: tuple[str, ...] = (), why: str = ""
) -> Case:
    return case(
        id,
        title,
        "PS3.7 D.3.3.4",
        _selecting(*roles),
        accepted_then_echo(why or "roles that are not granted are no reason to refuse", *also, check=check),
        needs=(*ECHO, Service.STORAGE),
    )


_ANSWERED = all_of(
    roles_within_the_proposal, role_is_answered(lambda conversation: conversation.target.storage_class)
)

_ROLES = (
    *(
        _storage_role(
            f"negotiation-70{letter}",
            f"Role selection for storage: SCU {scu}, SCP {scp}",
            (scu, scp),
            check=_ANSWERED,
        )
        for letter, scu, scp in (("a", 0, 1), ("b", 1, 1), ("c", 1, 0))
    ),
    accepted(
        "negotiation-70d",
        "Role selection for Verification: SCU 1, SCP 1",
        "PS3.7 D.3.3.4",
        with_user_data(role(VERIFICATION, 1, 1)),
        check=roles_within_the_proposal,
    ),
    accepted(
        "negotiation-71a",
        "Role selection for a class of no context",
        "PS3.7 D.3.3.4.1",
        with_user_data(role(b"1.2.840.10008.5.1.4.1.1.128", 1, 1)),
        why="it is ignored",
        check=all_of(roles_within_the_proposal, no_role_for(b"1.2.840.10008.5.1.4.1.1.128")),
    ),
    accepted(
        "negotiation-71b",
        "Role selection for a class that nobody knows",
        "PS3.7 D.3.3.4.1",
        with_user_data(role(UNKNOWN_SYNTAX, 1, 1)),
        why="it is ignored",
        check=all_of(roles_within_the_proposal, no_role_for(UNKNOWN_SYNTAX)),
    ),
    _storage_role(
        "negotiation-205a",
        "The same role selection twice",
        (1, 1),
        (1, 1),
        check=roles_within_the_proposal,
    ),
    _storage_role(
        "negotiation-205b",
        "Two role selections for one class that differ",
        (1, 0),
        (1, 1),
        check=roles_within_the_proposal,
    ),
    _storage_role(
        "negotiation-205c",
        "Role selection: neither SCU nor SCP",
        (0, 0),
        check=roles_within_the_proposal,
        why="it proposes nothing; Verification is not concerned",
    ),
    _storage_role(
        "negotiation-205d",
        "Role selection with the values 2 and 255",
        (2, 255),
        check=roles_within_the_proposal,
        also=("abort 0/*", "reject *"),
        why="values that mean nothing are no reason to refuse; to take them for an error is tolerated",
    ),
    accepted(
        "negotiation-205e",
        "No role selection",
        "PS3.7 D.3.3.4",
        lambda target: target.proposing(),
        check=absent(0x54, "role selection", "nobody asked for one (PS3.7 D.3.3.4)"),
    ),
)

# -- C-GET without a role

_GET_ID = 9


def _one_instance(target: Target) -> Instance:
    return instance(target, "72")


def _c_get(target: Target) -> bytes:
    request = command(
        ui(0x0002, STUDY_ROOT_GET),
        us(0x0100, 0x0010),
        us(0x0110, _GET_ID),
        us(0x0700, 0),
        us(0x0800, DATA),
    )
    return message(GET_CONTEXT, request, identifier(b"STUDY", {STUDY_UID: _one_instance(target).study}))


async def _until_failed(conversation: Conversation) -> None:
    """The final response; what is pending before may come as well, but no C-STORE."""
    while True:
        event = await conversation.expect(
            f"C-GET-RSP {_GET_ID} FF00|C-GET-RSP {_GET_ID} B000|C-GET-RSP {_GET_ID} A702",
            f"C-GET-RSP {_GET_ID} A7??",
            f"C-GET-RSP {_GET_ID} C???",
            "abort 0/*",
            why="without the SCP role no C-STORE may be sent to us: every sub-operation fails (PS3.4 C.4.3)",
        )
        if not event.text.endswith("FF00"):
            return


_WITHOUT_A_ROLE = case(
    "negotiation-72",
    "C-GET without role selection for the storage class",
    "PS3.7 D.3.3.4; PS3.4 C.4.3, C.5.3.1",
    for_storage(),
    delivers(lambda target: (_one_instance(target),), "an instance"),
    close(),
    reconnect(),
    associate("echo", "store", "get"),
    Send("a C-GET-RQ for its study", _c_get),
    Do("expects a final C-GET-RSP of status B000 or A702, and no C-STORE-RQ before", _until_failed),
    echo(),
    needs=(*ECHO, Service.STORAGE, Service.GET),
    writes=True,
)

CASES: tuple[Case, ...] = (*_ROLES, _WITHOUT_A_ROLE)
