"""What each field is for, in a sentence or two, and where the standard defines it: one table for every view."""

from typing import NamedTuple


class Text(NamedTuple):
    """Clause and explanation of a field."""

    clause: str
    explanation: str


PDU_NAMES = {
    1: "A-ASSOCIATE-RQ",
    2: "A-ASSOCIATE-AC",
    3: "A-ASSOCIATE-RJ",
    4: "P-DATA-TF",
    5: "A-RELEASE-RQ",
    6: "A-RELEASE-RP",
    7: "A-ABORT",
}

PDU_CLAUSES = {
    1: "PS3.8 9.3.2",
    2: "PS3.8 9.3.3",
    3: "PS3.8 9.3.4",
    4: "PS3.8 9.3.5",
    5: "PS3.8 9.3.6",
    6: "PS3.8 9.3.7",
    7: "PS3.8 9.3.8",
}

ITEM_NAMES = {
    0x10: "Application Context Item",
    0x20: "Presentation Context Item (proposed)",
    0x21: "Presentation Context Item (answered)",
    0x30: "Abstract Syntax Sub-Item",
    0x40: "Transfer Syntax Sub-Item",
    0x50: "User Information Item",
    0x51: "Maximum Length Sub-Item",
    0x52: "Implementation Class UID Sub-Item",
    0x53: "Asynchronous Operations Window Sub-Item",
    0x54: "SCP/SCU Role Selection Sub-Item",
    0x55: "Implementation Version Name Sub-Item",
    0x56: "SOP Class Extended Negotiation Sub-Item",
    0x57: "SOP Class Common Extended Negotiation Sub-Item",
    0x58: "User Identity Sub-Item",
    0x59: "User Identity Response Sub-Item",
}

_UNKNOWN_ITEM = Text("PS3.8 9.3.1", "Of a type nobody defined here. A receiver skips it by its length.")

_FIELDS = {
    # the PDU
    "PDU-type": Text(
        "PS3.8 9.3.1", "Says which of the seven PDUs this is. Any other value is an unrecognized PDU (Evt19)."
    ),
    "PDU-length": Text(
        "PS3.8 9.3.1",
        "Bytes from the next one to the last one of the PDU. Whoever miscounts loses step with the stream, "
        "and no later PDU can be found.",
    ),
    "Reserved": Text(
        "PS3.8 9.3.1", "Sent as zero, and never tested by the receiver: whatever stands here is no fault."
    ),
    "Surplus bytes": Text(
        "PS3.8 9.3.1",
        "They are inside by the length that was announced, and no field is left that they could be.",
    ),
    "Unreadable bytes": Text(
        "PS3.8 9.3.1",
        "What follows bytes that are no PDU: nothing says where the next one begins, so that the association "
        "can only be aborted.",
    ),
    "Not shown": Text("PS3.8 9.3.1", "More fields than anybody reads one by one."),
    # A-ASSOCIATE
    "Protocol-version": Text(
        "PS3.8 9.3.2",
        "A bit for each version spoken. Bit 0 is version 1, the only one there is; without it the request is "
        "rejected (1/2/2).",
    ),
    "Called-AE-title": Text(
        "PS3.8 9.3.2",
        "Who is asked for: the name of the application, 16 characters padded with spaces. Many servers reject "
        "a request that asks for somebody else (1/1/7).",
    ),
    "Calling-AE-title": Text(
        "PS3.8 9.3.2",
        "Who is asking. A claim, no proof: anybody can write anything here. Servers that know their peers by "
        "name reject others (1/1/3).",
    ),
    "Item-type": Text("PS3.8 9.3.1", "Says what the item is. Unknown ones are skipped by their length."),
    "Item-length": Text(
        "PS3.8 9.3.1",
        "Bytes from the next one to the last one of the item; the next item begins there. It must end where, or "
        "before, the one around it does.",
    ),
    "Data": _UNKNOWN_ITEM,
    "Unknown item": _UNKNOWN_ITEM,
    "Application-context-name": Text(
        "PS3.7 A.2.1", "1.2.840.10008.3.1.1.1 is the DICOM application context, the only one defined."
    ),
    "Presentation-context-ID": Text(
        "PS3.8 9.3.2.2", "The number of the offer: odd, from 1 to 255, and used once. PDVs refer to it."
    ),
    "Result/Reason": Text(
        "PS3.8 9.3.3.2",
        "What became of the offer. With anything but 0 the transfer syntax behind it means nothing, and nothing "
        "can be sent on this context.",
    ),
    "Abstract-syntax-name": Text(
        "PS3.8 9.3.2.2.1", "The UID of a SOP class: what kind of service or object the context is for."
    ),
    "Transfer-syntax-name": Text(
        "PS3.8 9.3.2.2.2", "The UID of an encoding: byte order, explicit or implicit VR, compression."
    ),
    "Maximum-length-received": Text(
        "PS3.8 D.1",
        "In bytes, without the six of the PDU's header. 0 stands for no limit. It binds the other side only.",
    ),
    "Implementation-class-UID": Text(
        "PS3.7 D.3.3.2.1", "Every implementation has one of its own. Nothing may depend on what it is."
    ),
    "Implementation-version-name": Text("PS3.7 D.3.3.2.3", "Free text of 1 to 16 characters, for people."),
    "Maximum-number-operations-invoked": Text(
        "PS3.7 D.3.3.3",
        "How many operations the requestor of the association may have outstanding. 0 stands for any number.",
    ),
    "Maximum-number-operations-performed": Text(
        "PS3.7 D.3.3.3",
        "How many the requestor of the association may be asked to perform at once, as in C-GET. 0: any number.",
    ),
    "UID-length": Text("PS3.7 D.3.3", "Bytes of the UID behind it."),
    "SOP-class-UID": Text("PS3.7 D.3.3", "The SOP class that the sub-item is about."),
    "SCU-role": Text(
        "PS3.7 D.3.3.4",
        "1 where the association's requestor may be SCU of the class, 0 where not. In the answer: 1 agrees.",
    ),
    "SCP-role": Text(
        "PS3.7 D.3.3.4",
        "1 where the association's requestor may be SCP of the class, 0 where not. In the answer: 1 agrees. "
        "Without it no instance comes back by C-GET.",
    ),
    "Service-class-application-information": Text(
        "PS3.7 D.3.3.5", "A byte for each option; the service class defines them."
    ),
    "Sub-item-version": Text("PS3.7 D.3.3.6", "Version of the sub-item; 0 is the only one there is."),
    "Service-class-UID": Text("PS3.7 D.3.3.6", "The service class that the SOP class belongs to."),
    "Related general SOP classes": Text("PS3.7 D.3.3.6", "Any number of them, one after the other."),
    "Related-general-SOP-class-UID": Text(
        "PS3.7 D.3.3.6", "A more general SOP class, whose receiver can make something of this one too."
    ),
    "User-Identity-Type": Text(
        "PS3.7 D.3.3.7.1", "What the primary field holds: a name, a ticket, an assertion, a token."
    ),
    "Positive-response-requested": Text(
        "PS3.7 D.3.3.7.1", "1 where the requestor wants to hear that it was believed; else 0."
    ),
    "Primary-field": Text(
        "PS3.7 D.3.3.7.1", "The user's name, or what proves who it is. Proof is never shown here."
    ),
    "Secondary-field": Text(
        "PS3.7 D.3.3.7.1",
        "The passcode, and only with type 2. It travels in clear where the connection is not encrypted; it is "
        "never shown here.",
    ),
    "Server-response": Text(
        "PS3.7 D.3.3.7.2", "What the acceptor's identity service has to say; empty with a user name."
    ),
    "Field-length": Text("PS3.7 D.3.3", "Bytes of the field behind it."),
    # A-ASSOCIATE-RJ; for A-ABORT see below
    "Result": Text(
        "PS3.8 9.3.4",
        "1, permanent: the same request will be rejected again. 2, transient: later it may not be.",
    ),
    "Source": Text(
        "PS3.8 9.3.4",
        "Whose decision it was: the application's (service-user) or the protocol machinery's (service-provider).",
    ),
    "Reason/Diag.": Text("PS3.8 9.3.4", "Why. The number means something only together with the source."),
    # P-DATA-TF
    "PDV": Text(
        "PS3.8 9.3.5.1",
        "Presentation data value: a fragment of a message. A message is a command set and, where that says so, a "
        "data set behind it.",
    ),
    "PDV-item-length": Text(
        "PS3.8 9.3.5.1", "Bytes of context id, control header and fragment: two more than the fragment has."
    ),
    "Message-control-header": Text(
        "PS3.8 E.2",
        "Bit 0: the fragment is of a command set, not of a data set. Bit 1: it is the last one. The other bits are "
        "sent as zero and not tested.",
    ),
    "Fragment": Text(
        "PS3.8 E.1",
        "A piece of a command set or data set, of an even length. Only joined to the others it is one.",
    ),
    # command sets
    "Command element": Text(
        "PS3.7 E.1",
        "An element of the command set; always in Implicit VR Little Endian, whatever was negotiated.",
    ),
    "Unknown command element": Text(
        "PS3.7 E.1", "None of the elements that the standard has for command sets."
    ),
    # data sets
    "Data element": Text(
        "PS3.5 7.1", "One attribute: what it is (tag), how it is written (VR), and its value."
    ),
    "Tag": Text("PS3.5 7.1", "Group and element number: what the value is. Within a set they ascend."),
    "VR": Text(
        "PS3.5 6.2",
        "Value representation: how the value is written. In implicit VR it is not sent, and the receiver has to know "
        "it by the tag.",
    ),
    "Value-length": Text(
        "PS3.5 7.1.1",
        "Bytes of the value, an even number. Where it is undefined (FFFFFFFFH), a delimiter says where the value ends.",
    ),
    "Value": Text("PS3.5 7.1", "The value itself, padded to an even length."),
    "Item": Text("PS3.5 7.5.1", "One item of a sequence: a data set in the data set."),
    "Item Delimitation Item": Text("PS3.5 7.5.2", "Ends an item whose length was undefined."),
    "Sequence Delimitation Item": Text("PS3.5 7.5.2", "Ends a value whose length was undefined."),
    "Basic Offset Table": Text(
        "PS3.5 A.4", "Where the frames begin, in bytes from the first fragment on; it may be empty."
    ),
    "Pixel data fragment": Text("PS3.5 A.4", "A piece of the compressed pixels; a frame may have several."),
    "Deflated data set": Text(
        "PS3.5 A.5", "Compressed as a whole, so that no element can be seen before all of it is inflated."
    ),
    "Cut off": Text("PS3.8 E.1", "The data set goes on in later fragments, or it ended inside an element."),
    "Not followed": Text(
        "PS3.5 7", "Whatever this is, it is no element, and nothing says where the next one begins."
    ),
}
"""By the name of the field."""

_FIELDS_OF = {
    (7, "Source"): Text(
        "PS3.8 9.3.8",
        "Who gave up: the application (service-user), or the protocol machinery (service-provider), which found "
        "something it cannot go on with.",
    ),
    (7, "Reason/Diag."): Text(
        "PS3.8 9.3.8",
        "What the protocol machinery found. An application gives no reason: then it is 0, and not tested.",
    ),
    (2, "Protocol-version"): Text(
        "PS3.8 9.3.3", "The versions the acceptor speaks, a bit for each; bit 0 is set."
    ),
    (2, "Called-AE-title"): Text(
        "PS3.8 9.3.3", "Reserved: sent back as it came in the request, and not tested."
    ),
    (2, "Calling-AE-title"): Text(
        "PS3.8 9.3.3", "Reserved: sent back as it came in the request, and not tested."
    ),
    (4, "Presentation-context-ID"): Text(
        "PS3.8 9.3.5.1",
        "Which of the accepted contexts this belongs to, and so which SOP class and which transfer syntax.",
    ),
    (0x21, "Presentation-context-ID"): Text(
        "PS3.8 9.3.3.2", "Which offer this answers. Every offer is answered once."
    ),
    (0x54, "UID-length"): Text("PS3.7 D.3.3.4", "Bytes of the UID behind it."),
    (0x54, "SOP-class-UID"): Text("PS3.7 D.3.3.4", "The SOP class whose roles are negotiated."),
    (0x56, "UID-length"): Text("PS3.7 D.3.3.5", "Bytes of the UID behind it."),
    (0x56, "SOP-class-UID"): Text("PS3.7 D.3.3.5", "The SOP class whose options are negotiated."),
    (0x57, "UID-length"): Text("PS3.7 D.3.3.6", "Bytes of the UID behind it."),
    (0x57, "SOP-class-UID"): Text("PS3.7 D.3.3.6", "The SOP class that is told about."),
    (0x57, "Field-length"): Text("PS3.7 D.3.3.6", "Bytes of all the related general SOP classes together."),
    (0x58, "Field-length"): Text("PS3.7 D.3.3.7.1", "Bytes of the field behind it."),
    (0x59, "Field-length"): Text("PS3.7 D.3.3.7.2", "Bytes of the field behind it."),
    **{
        (kind, "PDU-type"): Text(clause, _FIELDS["PDU-type"].explanation)
        for kind, clause in PDU_CLAUSES.items()
    },
}
"""By the type of the PDU or item, and the name of the field: where the same name means something of its own."""

_ITEMS = {
    0x10: Text(
        "PS3.8 9.3.2.1",
        "Names the application that both sides talk about. There is one for DICOM, and it must be there.",
    ),
    0x20: Text(
        "PS3.8 9.3.2.2",
        "An offer: one kind of service (abstract syntax) and the encodings (transfer syntaxes) it could be spoken in. "
        "Every message later says by this number which offer it belongs to.",
    ),
    0x21: Text(
        "PS3.8 9.3.3.2",
        "The answer to the offer with the same number: accepted with one transfer syntax, or refused.",
    ),
    0x30: Text(
        "PS3.8 9.3.2.2.1", "What the context is for: a SOP class, such as CT Image Storage or Verification."
    ),
    0x40: Text(
        "PS3.8 9.3.2.2.2", "An encoding of data sets. In the answer there is exactly one, which was offered."
    ),
    0x50: Text(
        "PS3.8 9.3.2.3", "Everything else the two have to know of each other, as sub-items in any order."
    ),
    0x51: Text(
        "PS3.8 D.1",
        "The longest P-DATA-TF its sender is ready to receive. The other side must cut its messages accordingly.",
    ),
    0x52: Text("PS3.7 D.3.3.2", "Names the implementation, for service people: which software speaks here."),
    0x53: Text(
        "PS3.7 D.3.3.3",
        "How many operations may be under way at once. Without it there is one: ask, wait for the answer, ask again.",
    ),
    0x54: Text(
        "PS3.7 D.3.3.4",
        "Who may be SCU and who SCP of a SOP class. Needed where the requestor wants to be SCP, as in C-GET.",
    ),
    0x55: Text("PS3.7 D.3.3.2.3", "A name for the implementation's version, for people."),
    0x56: Text("PS3.7 D.3.3.5", "Options of one SOP class; each service class says what the bytes mean."),
    0x57: Text(
        "PS3.7 D.3.3.6",
        "Tells of which service class and general kind a SOP class is. Only ever in a request.",
    ),
    0x58: Text(
        "PS3.7 D.3.3.7.1", "Who the user is, and how that can be proven. Servers that do not care ignore it."
    ),
    0x59: Text("PS3.7 D.3.3.7.2", "The answer to a user identity that asked for one."),
}
"""The items and sub-items, by their type."""

_COMMAND_ELEMENTS = {
    0x0000: "How many bytes of the command set follow it. Always the first element.",
    0x0002: "The SOP class of the instance that the operation works on, or of the service that is asked for.",
    0x0003: "The SOP class of the instance that the operation is asked to work on.",
    0x0100: "Which message this is; the highest bit says that it is a response.",
    0x0110: "The number by which the sender tells its requests apart. A response brings it back.",
    0x0120: "The Message ID of the request that this answers, or is to cancel. It must be one that is outstanding.",
    0x0600: "The AE title to which the instances are to be sent; the server has to know its address.",
    0x0700: "How urgent it is: 0 medium, 1 high, 2 low. Most servers take no notice.",
    0x0800: "Whether a data set follows: 0101H is no, everything else is yes. A wrong one makes the next message "
    "look like something else.",
    0x0900: "How it went: 0000H success, FF00H and FF01H more to come, FE00H cancelled, Bxxx a warning, most others a "
    "failure.",
    0x0901: "The elements that the failure is about.",
    0x0902: "What went wrong, in words of up to 64 characters.",
    0x0903: "A number of the implementation's own for what went wrong.",
    0x1000: "The instance that the operation works on; in a C-STORE it must be the one in the data set.",
    0x1001: "The instance that the operation is asked to work on.",
    0x1002: "What happened, by the numbers of the SOP class.",
    0x1005: "The attributes that are asked for; without it all of them.",
    0x1008: "What is to be done, by the numbers of the SOP class.",
    0x1020: "Sub-operations that are still to come.",
    0x1021: "Sub-operations that went well.",
    0x1022: "Sub-operations that failed.",
    0x1023: "Sub-operations that ended with a warning.",
    0x1030: "Who asked for the C-MOVE that this C-STORE belongs to.",
    0x1031: "The Message ID of the C-MOVE that this C-STORE belongs to.",
}
"""The elements of command sets by their number."""

_NOTHING = Text("", "")


def text_of(name: str, kind: int = 0) -> Text:
    """Clause and explanation of a field.

    Args:
        name: of the field.
        kind: type of the PDU or item it stands in; 0 for none.

    Returns:
        empty ones for a name nobody explained.
    """
    return _FIELDS_OF.get((kind, name)) or _FIELDS.get(name, _NOTHING)


def text_of_item(kind: int) -> Text:
    """Clause and explanation of an item or sub-item."""
    return _ITEMS.get(kind, _UNKNOWN_ITEM)


def text_of_command_element(tag: int) -> Text:
    """Clause and explanation of an element of a command set."""
    explanation = _COMMAND_ELEMENTS.get(tag)
    return Text("PS3.7 E.1", explanation) if explanation else _FIELDS["Unknown command element"]
