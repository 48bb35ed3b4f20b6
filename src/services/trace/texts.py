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

ITEMS = {
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
    0x55: Text("PS3.7 D.3.3.2.3", "A name for the implementation's version, 1 to 16 characters, for people."),
    0x56: Text("PS3.7 D.3.3.5", "Options of one SOP class; each service class says what the bytes mean."),
    0x57: Text("PS3.7 D.3.3.6", "Tells of which general kind a SOP class is. Only ever in a request."),
    0x58: Text("PS3.7 D.3.3.7", "Who the user is, and how that can be proven."),
    0x59: Text("PS3.7 D.3.3.7", "The answer to a user identity that asked for one."),
}

FIELDS = {
    "PDU-type": Text(
        "PS3.8 9.3.1", "Says which of the seven PDUs this is. Any other value is an unrecognized PDU (Evt19)."
    ),
    "PDU-length": Text(
        "PS3.8 9.3.1",
        "Bytes from the next one to the last one of the PDU. Whoever miscounts loses step with the stream.",
    ),
    "Reserved": Text("PS3.8 9.3.1", "Sent as zero, and never tested by the receiver."),
    "Protocol-version": Text(
        "PS3.8 9.3.2", "A bit for each version spoken. Bit 0 is version 1, the only one there is."
    ),
    "Called-AE-title": Text(
        "PS3.8 9.3.2", "Who is asked for: the name of the application, 16 characters padded with spaces."
    ),
    "Calling-AE-title": Text(
        "PS3.8 9.3.2", "Who is asking. A claim, no proof: anybody can write anything here."
    ),
    "Item-type": Text("PS3.8 9.3.1", "Says what the item is. Unknown ones are skipped by their length."),
    "Item-length": Text("PS3.8 9.3.1", "Bytes from the next one to the last one of the item."),
    "Application-context-name": Text(
        "PS3.7 A.2.1", "1.2.840.10008.3.1.1.1 is the DICOM application context."
    ),
    "Presentation-context-ID": Text(
        "PS3.8 9.3.2.2", "The number of the offer: odd, from 1 to 255, and used once. PDVs refer to it."
    ),
    "Result/Reason": Text(
        "PS3.8 9.3.3.2",
        "What became of the offer. With anything but 0 the transfer syntax behind it means nothing.",
    ),
    "Abstract-syntax-name": Text("PS3.8 9.3.2.2.1", "The UID of a SOP class."),
    "Transfer-syntax-name": Text("PS3.8 9.3.2.2.2", "The UID of an encoding."),
    "Maximum-length-received": Text(
        "PS3.8 D.1", "In bytes, without the six of the PDU's header. 0 stands for no limit."
    ),
    "Implementation-class-UID": Text("PS3.7 D.3.3.2.1", "Every implementation has one of its own."),
    "Implementation-version-name": Text("PS3.7 D.3.3.2.3", "Free text of 1 to 16 characters."),
    "Maximum-number-operations-invoked": Text(
        "PS3.7 D.3.3.3", "How many operations the requestor may have under way. 0 stands for any number."
    ),
    "Maximum-number-operations-performed": Text(
        "PS3.7 D.3.3.3",
        "How many the requestor may be asked to perform at once, as C-GET does. 0: any number.",
    ),
    "UID-length": Text("PS3.7 D.3.3.4", "Bytes of the UID behind it."),
    "SOP-class-UID": Text("PS3.7 D.3.3.4", "The SOP class that the sub-item is about."),
    "SCU-role": Text(
        "PS3.7 D.3.3.4", "1 where the association's requestor may be SCU of the class, 0 where not."
    ),
    "SCP-role": Text(
        "PS3.7 D.3.3.4", "1 where the association's requestor may be SCP of the class, 0 where not."
    ),
    "Service-class-application-information": Text(
        "PS3.7 D.3.3.5", "A byte for each option; the service class defines them."
    ),
    "Sub-item-version": Text("PS3.7 D.3.3.6", "Version of the sub-item; 0 is the only one."),
    "Service-class-UID": Text("PS3.7 D.3.3.6", "The service class that the SOP class belongs to."),
    "Related-general-SOP-class-UID": Text(
        "PS3.7 D.3.3.6", "A more general SOP class that can stand in for it."
    ),
    "User-Identity-Type": Text(
        "PS3.7 D.3.3.7.1", "What the primary field holds: a name, a ticket, an assertion, a token."
    ),
    "Positive-response-requested": Text(
        "PS3.7 D.3.3.7.1", "1 where the requestor wants to hear that it was believed."
    ),
    "Primary-field": Text(
        "PS3.7 D.3.3.7.1", "The user's name, or what proves who it is. Proof is not shown here."
    ),
    "Secondary-field": Text("PS3.7 D.3.3.7.1", "The passcode, in clear. It is not shown here."),
    "Server-response": Text(
        "PS3.7 D.3.3.7.2", "What the acceptor's identity service has to say; mostly nothing."
    ),
    "Field-length": Text("PS3.7 D.3.3", "Bytes of the field behind it."),
    "Result": Text("PS3.8 9.3.4", "1: do not try again like this. 2: try again later."),
    "Source": Text(
        "PS3.8 9.3.4", "Whose decision it was: the application's (service-user) or the protocol machinery's."
    ),
    "Reason/Diag.": Text("PS3.8 9.3.4", "Why. It is read together with the source."),
    "PDV-item-length": Text(
        "PS3.8 9.3.5.1", "Bytes of context id, control header and fragment: two more than the fragment."
    ),
    "PDV": Text(
        "PS3.8 9.3.5.1",
        "A fragment of a message. A message is a command and, where it says so, a data set behind it.",
    ),
    "Message-control-header": Text(
        "PS3.8 E.2", "Bit 0: the fragment is of a command, not of a data set. Bit 1: it is the last one."
    ),
    "Fragment": Text(
        "PS3.8 E.1",
        "A piece of a command set or data set; even in length, so that elements stay whole words.",
    ),
    "Command element": Text(
        "PS3.7 6.3.1", "Tag, length, value: always Implicit VR Little Endian, whatever was negotiated."
    ),
    "Tag": Text("PS3.5 7.1", "Group and element number: what the value is."),
    "Value-length": Text("PS3.5 7.1", "Bytes of the value; even."),
    "VR": Text("PS3.5 6.2", "Value representation: how the value is written."),
    "Value": Text("PS3.5 7.1", "The value itself."),
    "Data element": Text("PS3.5 7.1", "One attribute of the data set."),
}
"""By the name of the field."""


def text_of(name: str) -> Text:
    """Clause and explanation of a field; empty for a name nobody explained."""
    return FIELDS.get(name, Text("", ""))
