"""The .hex files of fixtures/, and the PDUs that those in fixtures/pdus stand for."""

import re
from pathlib import Path

from msgspec import Struct

from dul.pdus import (
    PDV,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AnyPDU,
    ApplicationContextItem,
    AReleaseRP,
    AReleaseRQ,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    PDataTF,
    PresentationContextACItem,
    PresentationContextRQItem,
    RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UnknownItem,
    UserDataSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
    UserInformationItem,
)
from dul.reasons import AbortReason, RejectReason

FIXTURES = Path(__file__).parent.parent / "fixtures"
_DIRECTIVE = re.compile(r"#\s*(expect|tolerated):\s*(.+)")


class Sample(Struct, frozen=True):
    """One .hex file: its name without suffix, its bytes, and its directives (see fixtures/README.md)."""

    name: str
    data: bytes
    directives: dict[str, str]

    @property
    def body(self) -> bytes:
        """What follows the 6-byte header."""
        return self.data[6:]

    @property
    def tolerated(self) -> bool:
        """True where what was decoded encodes to other bytes."""
        return "tolerated" in self.directives

    @property
    def expected_error(self) -> tuple[str, AbortReason]:
        """Name of the error class, and the reason of the A-ABORT that answers it."""
        match = re.fullmatch(r"(\w+) (\d)/(\d)", self.directives["expect"])
        assert match is not None, f"{self.name}: not an error and a reason: {self.directives['expect']}"
        return match[1], AbortReason(int(match[2]), int(match[3]))


def parse_hex(text: str) -> bytes:
    """The bytes of a .hex file, comments left out."""
    return bytes.fromhex(" ".join(line.partition("#")[0] for line in text.splitlines()))


def load(path: Path) -> Sample:
    text = path.read_text(encoding="utf-8")
    return Sample(path.stem, parse_hex(text), dict(_DIRECTIVE.findall(text)))


def load_folder(name: str) -> list[Sample]:
    """The samples of fixtures/`name`, by file name."""
    return [load(path) for path in sorted((FIXTURES / name).glob("*.hex"))]


VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STORAGE_SERVICE = "1.2.840.10008.4.2"
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"

_APPLICATION_CONTEXT = ApplicationContextItem("1.2.840.10008.3.1.1.1")
_CONTEXT = PresentationContextRQItem(1, VERIFICATION, (IMPLICIT_LE,))
_CONTEXT_EXPLICIT = PresentationContextRQItem(1, VERIFICATION, (EXPLICIT_LE,))
_ACCEPTED = PresentationContextACItem(1, 0, IMPLICIT_LE)
_MAXIMUM_LENGTH = MaximumLengthSubItem(16384)
_CLASS_UID = ImplementationClassUIDSubItem("2.25.1")
_VERSION_NAME = ImplementationVersionNameSubItem("SYNTHETIC_1")


def _user_information(*more: UserDataSubItem) -> UserInformationItem:
    return UserInformationItem((_MAXIMUM_LENGTH, _CLASS_UID, _VERSION_NAME, *more))


def _rq(*items, called="ARCHIVE         ", calling="MODALITY        ", version=1, reserved=bytes(32)):
    return AAssociateRQ(called, calling, items, version, reserved)


def _ac(*items):
    return AAssociateAC("ARCHIVE         ", "MODALITY        ", items)


def _rq_with(*more: UserDataSubItem) -> AAssociateRQ:
    return _rq(_APPLICATION_CONTEXT, _CONTEXT, _user_information(*more))


def _ac_with(context: PresentationContextACItem, *more: UserDataSubItem) -> AAssociateAC:
    return _ac(_APPLICATION_CONTEXT, context, _user_information(*more))


_C_ECHO_RQ = bytes.fromhex(
    "00000000 04000000 38000000"
    "00000200 12000000 312e322e3834302e31303030382e312e3100"
    "00000001 02000000 3000"
    "00001001 02000000 0100"
    "00000008 02000000 0101"
)

PDUS: dict[str, AnyPDU] = {
    "a_associate_rq": _rq_with(),
    "a_associate_rq_every_item": _rq(
        _APPLICATION_CONTEXT,
        _CONTEXT,
        PresentationContextRQItem(3, CT_IMAGE, (EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE)),
        PresentationContextRQItem(255, STUDY_ROOT_FIND, (IMPLICIT_LE,)),
        UserInformationItem(
            (
                MaximumLengthSubItem(131072),
                _CLASS_UID,
                AsynchronousOperationsWindowSubItem(0, 5),
                RoleSelectionSubItem(CT_IMAGE, False, True),
                RoleSelectionSubItem(MR_IMAGE, True, True),
                _VERSION_NAME,
                SOPClassExtendedNegotiationSubItem(STUDY_ROOT_FIND, b"\1\1\0\1"),
                SOPClassExtendedNegotiationSubItem(CT_IMAGE, b""),
                SOPClassCommonExtendedNegotiationSubItem(
                    ENHANCED_MR_IMAGE, STORAGE_SERVICE, (MR_IMAGE, CT_IMAGE)
                ),
                SOPClassCommonExtendedNegotiationSubItem(CT_IMAGE, STORAGE_SERVICE),
                UserIdentityRQSubItem(2, True, b"operator", b"passcode"),
            )
        ),
    ),
    "a_associate_rq_unknown_items": _rq(
        _APPLICATION_CONTEXT,
        UnknownItem(0x7F, b"\1\2\3"),
        _CONTEXT,
        UnknownItem(0x21, b"\1\0\0\0"),
        UserInformationItem(
            (_MAXIMUM_LENGTH, UnknownItem(0x7E, b"\xaa"), _CLASS_UID, UnknownItem(0xFF, b""))
        ),
    ),
    "a_associate_rq_items_out_of_order": _rq(
        UserInformationItem((_CLASS_UID, _MAXIMUM_LENGTH)),
        PresentationContextRQItem(3, CT_IMAGE, (EXPLICIT_LE,)),
        _CONTEXT,
        _APPLICATION_CONTEXT,
    ),
    "a_associate_rq_version_3": _rq(_APPLICATION_CONTEXT, _CONTEXT, _user_information(), version=3),
    "a_associate_rq_user_identity_username": _rq_with(UserIdentityRQSubItem(1, False, b"operator")),
    "a_associate_rq_user_identity_kerberos": _rq_with(UserIdentityRQSubItem(3, False, b"\x60\x82")),
    "a_associate_rq_user_identity_saml": _rq_with(UserIdentityRQSubItem(4, False, b"<Assertion/>")),
    "a_associate_rq_user_identity_json_web_token": _rq_with(UserIdentityRQSubItem(5, False, b"e30.e30.")),
    "a_associate_rq_user_identity_reserved": _rq_with(UserIdentityRQSubItem(9, False, b"\0", b"x")),
    "a_associate_rq_common_extended_version_1": _rq_with(
        SOPClassCommonExtendedNegotiationSubItem(CT_IMAGE, STORAGE_SERVICE, (), 1)
    ),
    "a_associate_rq_reserved_bytes_set": _rq(
        _APPLICATION_CONTEXT,
        _CONTEXT,
        UserInformationItem((_MAXIMUM_LENGTH, _CLASS_UID)),
        reserved=b"\xff" * 32,
    ),
    "a_associate_rq_padded": _rq(
        _APPLICATION_CONTEXT,
        _CONTEXT,
        _user_information(),
        called="         ARCHIVE",
        calling="MODALITY\0\0\0\0\0\0\0\0",
    ),
    "a_associate_rq_empty_transfer_syntax": _rq(_APPLICATION_CONTEXT, _CONTEXT_EXPLICIT, _user_information()),
    "a_associate_rq_context_sub_item_unknown": _rq(
        _APPLICATION_CONTEXT, _CONTEXT_EXPLICIT, _user_information()
    ),
    "a_associate_rq_role_not_one": _rq_with(RoleSelectionSubItem(CT_IMAGE, False, True)),
    "a_associate_ac": _ac_with(_ACCEPTED),
    "a_associate_ac_every_item": _ac(
        _APPLICATION_CONTEXT,
        _ACCEPTED,
        PresentationContextACItem(3, 1, IMPLICIT_LE),
        PresentationContextACItem(5, 2, IMPLICIT_LE),
        PresentationContextACItem(7, 3, IMPLICIT_LE),
        PresentationContextACItem(9, 4, IMPLICIT_LE),
        UserInformationItem(
            (
                MaximumLengthSubItem(0),
                ImplementationClassUIDSubItem("2.25.2"),
                AsynchronousOperationsWindowSubItem(1, 65535),
                RoleSelectionSubItem(CT_IMAGE, False, True),
                ImplementationVersionNameSubItem("SYNTHETIC_2"),
                SOPClassExtendedNegotiationSubItem(STUDY_ROOT_FIND, b"\1\0\0\0"),
                UserIdentityACSubItem(b"ticket"),
            )
        ),
    ),
    "a_associate_ac_result_unknown": _ac_with(PresentationContextACItem(1, 9, IMPLICIT_LE)),
    "a_associate_ac_user_identity_empty": _ac_with(_ACCEPTED, UserIdentityACSubItem(b"")),
    "a_associate_ac_refused_without_transfer_syntax": _ac_with(PresentationContextACItem(1, 3, "")),
    "a_associate_ac_refused_with_garbage": _ac_with(PresentationContextACItem(1, 4, "")),
    "a_associate_rj": AAssociateRJ(1, RejectReason(1, 7)),
    "a_associate_rj_local_limit": AAssociateRJ(2, RejectReason(3, 2)),
    "a_associate_rj_reserved_codes": AAssociateRJ(9, RejectReason(8, 255)),
    "p_data_tf": PDataTF((PDV(1, 3, _C_ECHO_RQ),)),
    "p_data_tf_two_pdvs": PDataTF((PDV(1, 3, b"\1\2"), PDV(255, 0, b"\3\4\5\6"))),
    "p_data_tf_empty_fragment": PDataTF((PDV(3, 2, b""),)),
    "p_data_tf_control_bits_set": PDataTF((PDV(1, 0xFD, b"\1\2"),)),
    "p_data_tf_odd_fragment": PDataTF((PDV(1, 2, b"\1\2\3"),)),
    "a_release_rq": AReleaseRQ(),
    "a_release_rq_reserved_bytes_set": AReleaseRQ(),
    "a_release_rp": AReleaseRP(),
    "a_abort_service_user": AAbort(AbortReason(0, 0)),
    "a_abort_unexpected_pdu": AAbort(AbortReason(2, 2)),
    "a_abort_reserved_codes": AAbort(AbortReason(9, 3)),
    "a_abort_empty": AAbort(AbortReason(0, 0)),
    "a_abort_long": AAbort(AbortReason(0, 0)),
}
