"""The seven PDUs and their items as values (PS3.8 9.3; PS3.7 Annex D.3.3).

Fields carry the standard's names. Variable items and sub-items stay in the order in which they
stood on the wire, unknown ones included, so that what was decoded encodes to the same bytes.
Structs do not check their types: `dul.decode` validates, constructors trust.
"""

from typing import ClassVar, TypeAlias

from msgspec import Struct

from dul.enums import PDUType
from dul.reasons import AbortReason, RejectReason

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"
"""DICOM Application Context Name (PS3.7 A.2.1)."""

AE_TITLE_LENGTH = 16
_NOT_SIGNIFICANT = " \0"


def significant(text: str) -> str:
    """An AE title without the padding that is not significant.

    Spaces count at neither end (PS3.8 9.3.2); trailing NULs, which some peers pad with, are dropped too.
    """
    return text.rstrip(_NOT_SIGNIFICANT).lstrip(" ")


class Item(Struct, frozen=True, gc=False):
    """Base of every item and sub-item."""


class UnknownItem(Item, frozen=True):
    """An item or sub-item of a type nobody defined here: skipped, and kept (PS3.8 9.3.1)."""

    item_type: int
    data: bytes


class ApplicationContextItem(Item, frozen=True):
    """PS3.8 9.3.2.1."""

    application_context_name: str


class PresentationContextRQItem(Item, frozen=True):
    """A proposed presentation context (PS3.8 9.3.2.2)."""

    presentation_context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


class PresentationContextACItem(Item, frozen=True):
    """The answer to a proposed presentation context (PS3.8 9.3.3.2).

    `transfer_syntax` means something only where `result` is 0 (acceptance).
    """

    presentation_context_id: int
    result: int
    transfer_syntax: str


class MaximumLengthSubItem(Item, frozen=True):
    """Longest P-DATA-TF, in bytes after the 6-byte header, its sender can receive; 0: no limit (D.1)."""

    maximum_length_received: int


class ImplementationClassUIDSubItem(Item, frozen=True):
    """PS3.7 D.3.3.2.1."""

    implementation_class_uid: str


class ImplementationVersionNameSubItem(Item, frozen=True):
    """PS3.7 D.3.3.2.3."""

    implementation_version_name: str


class AsynchronousOperationsWindowSubItem(Item, frozen=True):
    """PS3.7 D.3.3.3; 0 means any number."""

    maximum_number_operations_invoked: int
    maximum_number_operations_performed: int


class RoleSelectionSubItem(Item, frozen=True):
    """SCP/SCU role selection (PS3.7 D.3.3.4)."""

    sop_class_uid: str
    scu_role: bool
    scp_role: bool


class SOPClassExtendedNegotiationSubItem(Item, frozen=True):
    """PS3.7 D.3.3.5."""

    sop_class_uid: str
    service_class_application_information: bytes


class SOPClassCommonExtendedNegotiationSubItem(Item, frozen=True):
    """PS3.7 D.3.3.6; only ever in an A-ASSOCIATE-RQ."""

    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...] = ()
    sub_item_version: int = 0


class UserIdentityRQSubItem(Item, frozen=True):
    """PS3.7 D.3.3.7.1. The fields can be a passcode or a token: `repr` shows neither."""

    user_identity_type: int
    positive_response_requested: bool
    primary_field: bytes
    secondary_field: bytes = b""

    def __repr__(self) -> str:
        return f"UserIdentityRQSubItem(user_identity_type={self.user_identity_type}, <redacted>)"


class UserIdentityACSubItem(Item, frozen=True):
    """PS3.7 D.3.3.7.2."""

    server_response: bytes = b""


UserDataSubItem: TypeAlias = (
    MaximumLengthSubItem
    | ImplementationClassUIDSubItem
    | ImplementationVersionNameSubItem
    | AsynchronousOperationsWindowSubItem
    | RoleSelectionSubItem
    | SOPClassExtendedNegotiationSubItem
    | SOPClassCommonExtendedNegotiationSubItem
    | UserIdentityRQSubItem
    | UserIdentityACSubItem
    | UnknownItem
)


class UserInformationItem(Item, frozen=True):
    """PS3.8 9.3.2.3: the sub-items, in the order of the wire."""

    user_data: tuple[UserDataSubItem, ...]


VariableItem: TypeAlias = (
    ApplicationContextItem
    | PresentationContextRQItem
    | PresentationContextACItem
    | UserInformationItem
    | UnknownItem
)


class PDU(Struct, frozen=True, gc=False):
    """Base of the seven PDUs."""

    pdu_type: ClassVar[PDUType]


class _AAssociate(PDU, frozen=True):
    """What A-ASSOCIATE-RQ and A-ASSOCIATE-AC have in common (PS3.8 9.3.2, 9.3.3).

    The titles are the 16 characters of the wire, padding included, so that an answer can return them
    unchanged; compare `called_ae` and `calling_ae` instead. A shorter title is padded when encoded.
    """

    called_ae_title: str
    calling_ae_title: str
    variable_items: tuple[VariableItem, ...]
    protocol_version: int = 1
    reserved: bytes = bytes(32)

    @property
    def called_ae(self) -> str:
        """Called AE title without padding."""
        return significant(self.called_ae_title)

    @property
    def calling_ae(self) -> str:
        """Calling AE title without padding."""
        return significant(self.calling_ae_title)

    @property
    def application_context_name(self) -> str | None:
        for item in self.variable_items:
            if isinstance(item, ApplicationContextItem):
                return item.application_context_name
        return None

    @property
    def user_data(self) -> tuple[UserDataSubItem, ...]:
        """The sub-items of the user information item; empty where it is missing."""
        for item in self.variable_items:
            if isinstance(item, UserInformationItem):
                return item.user_data
        return ()


class AAssociateRQ(_AAssociate, frozen=True):
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    pdu_type = PDUType.A_ASSOCIATE_RQ

    @property
    def presentation_contexts(self) -> tuple[PresentationContextRQItem, ...]:
        return tuple(i for i in self.variable_items if isinstance(i, PresentationContextRQItem))


class AAssociateAC(_AAssociate, frozen=True):
    """A-ASSOCIATE-AC (PS3.8 9.3.3). The titles are reserved here: sent back as received, never tested."""

    pdu_type = PDUType.A_ASSOCIATE_AC

    @property
    def presentation_contexts(self) -> tuple[PresentationContextACItem, ...]:
        return tuple(i for i in self.variable_items if isinstance(i, PresentationContextACItem))


class AAssociateRJ(PDU, frozen=True):
    """A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    pdu_type = PDUType.A_ASSOCIATE_RJ

    result: int
    reason: RejectReason


class PDV(Struct, frozen=True, gc=False):
    """Presentation Data Value item (PS3.8 9.3.5.1, Annex E.2).

    `data` of a received PDV is a view into the receive buffer and lives only until the indication that
    carries it returns; using it later raises ValueError.
    """

    presentation_context_id: int
    message_control_header: int
    data: bytes | memoryview

    @property
    def is_command(self) -> bool:
        """Bit 0: the fragment belongs to a command set, not to a data set."""
        return bool(self.message_control_header & 1)

    @property
    def is_last(self) -> bool:
        """Bit 1: the last fragment of that command set or data set."""
        return bool(self.message_control_header & 2)


class PDataTF(PDU, frozen=True):
    """P-DATA-TF (PS3.8 9.3.5)."""

    pdu_type = PDUType.P_DATA_TF

    pdvs: tuple[PDV, ...]


class AReleaseRQ(PDU, frozen=True):
    """A-RELEASE-RQ (PS3.8 9.3.6)."""

    pdu_type = PDUType.A_RELEASE_RQ


class AReleaseRP(PDU, frozen=True):
    """A-RELEASE-RP (PS3.8 9.3.7)."""

    pdu_type = PDUType.A_RELEASE_RP


class AAbort(PDU, frozen=True):
    """A-ABORT (PS3.8 9.3.8)."""

    pdu_type = PDUType.A_ABORT

    reason: AbortReason


AnyPDU: TypeAlias = AAssociateRQ | AAssociateAC | AAssociateRJ | PDataTF | AReleaseRQ | AReleaseRP | AAbort
