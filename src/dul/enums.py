"""The numbers of the Upper Layer: states, events, PDU and item types, reject and abort codes.

Names are those of PS3.8; nothing here does anything.
"""

from enum import IntEnum


class State(IntEnum):
    """Upper Layer states (PS3.8 9.2.1, Tables 9-1 to 9-5)."""

    Sta1 = 1  # Idle
    Sta2 = 2  # Transport connection open (awaiting A-ASSOCIATE-RQ PDU)
    Sta3 = 3  # Awaiting local A-ASSOCIATE response primitive
    Sta4 = 4  # Awaiting transport connection opening to complete
    Sta5 = 5  # Awaiting A-ASSOCIATE-AC or A-ASSOCIATE-RJ PDU
    Sta6 = 6  # Association established and ready for data transfer
    Sta7 = 7  # Awaiting A-RELEASE-RP PDU
    Sta8 = 8  # Awaiting local A-RELEASE response primitive
    Sta9 = 9  # Release collision requestor side; awaiting A-RELEASE response primitive
    Sta10 = 10  # Release collision acceptor side; awaiting A-RELEASE-RP PDU
    Sta11 = 11  # Release collision requestor side; awaiting A-RELEASE-RP PDU
    Sta12 = 12  # Release collision acceptor side; awaiting A-RELEASE response primitive
    Sta13 = 13  # Awaiting transport connection close indication


class Event(IntEnum):
    """Events of the state machine (PS3.8 9.2.3, Table 9-10, first column)."""

    Evt1 = 1  # A-ASSOCIATE request (local user)
    Evt2 = 2  # Transport connection confirmation (local transport service)
    Evt3 = 3  # A-ASSOCIATE-AC PDU received
    Evt4 = 4  # A-ASSOCIATE-RJ PDU received
    Evt5 = 5  # Transport connection indication (local transport service)
    Evt6 = 6  # A-ASSOCIATE-RQ PDU received
    Evt7 = 7  # A-ASSOCIATE response primitive (accept)
    Evt8 = 8  # A-ASSOCIATE response primitive (reject)
    Evt9 = 9  # P-DATA request primitive
    Evt10 = 10  # P-DATA-TF PDU received
    Evt11 = 11  # A-RELEASE request primitive
    Evt12 = 12  # A-RELEASE-RQ PDU received
    Evt13 = 13  # A-RELEASE-RP PDU received
    Evt14 = 14  # A-RELEASE response primitive
    Evt15 = 15  # A-ABORT request primitive
    Evt16 = 16  # A-ABORT PDU received
    Evt17 = 17  # Transport connection closed indication
    Evt18 = 18  # ARTIM timer expired
    Evt19 = 19  # Unrecognized or invalid PDU received


class Role(IntEnum):
    """Who asked for the association (PS3.8 7.1); AR-8 is the one action that depends on it."""

    REQUESTOR = 1
    ACCEPTOR = 2


class PDUType(IntEnum):
    """First byte of a PDU (PS3.8 9.3.2 to 9.3.8)."""

    A_ASSOCIATE_RQ = 0x01
    A_ASSOCIATE_AC = 0x02
    A_ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    A_RELEASE_RQ = 0x05
    A_RELEASE_RP = 0x06
    A_ABORT = 0x07


class ItemType(IntEnum):
    """First byte of an item or sub-item (PS3.8 9.3.2, 9.3.3; PS3.7 D.3.3)."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    SCP_SCU_ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    SOP_CLASS_EXTENDED_NEGOTIATION = 0x56
    SOP_CLASS_COMMON_EXTENDED_NEGOTIATION = 0x57
    USER_IDENTITY_RQ = 0x58
    USER_IDENTITY_AC = 0x59


class ContextResult(IntEnum):
    """Result/Reason of a presentation context item in the A-ASSOCIATE-AC (PS3.8 9.3.3.2, Table 9-18)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


class RejectResult(IntEnum):
    """Result field of an A-ASSOCIATE-RJ (PS3.8 9.3.4, Table 9-21)."""

    PERMANENT = 1
    TRANSIENT = 2


class UserIdentityType(IntEnum):
    """User-Identity-Type of a user identity request (PS3.7 D.3.3.7.1, Table D.3-14)."""

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    KERBEROS_SERVICE_TICKET = 3
    SAML_ASSERTION = 4
    JSON_WEB_TOKEN = 5
