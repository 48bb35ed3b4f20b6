"""Which SOP classes and transfer syntaxes storage knows, by rule from pydicom's UID dictionary (PS3.6 Annex A).

No typed list: what a new edition of the standard adds comes with the next pydicom. pydicom is imported when the
first of them is asked for: an SCU that only echoes does not wait for it.
"""

from collections.abc import Iterator, Mapping
from functools import cache

from dul.negotiation import SupportedContext

VERIFICATION = "1.2.840.10008.1.1"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"  # what a DICOMDIR says it is (PS3.10 8.6)

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"

UNCOMPRESSED = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)

_STANDARD_ROOT = "1.2.840.10008."
_STORAGE_ROOTS = ("1.2.840.10008.5.1.4.1.1.", "1.2.840.10008.5.1.4.34.")
# Protocols and inventories belong to no patient: they are stored by other services (PS3.4 GG, HH).
_NON_PATIENT = frozenset(f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("200.1", "200.3", "200.7", "201.1"))
_PIXEL_ENCODINGS = "1.2.840.10008.1.2.4."
# Referenced pixel data is not in the data set, so storing one keeps no image.
_NOT_STORABLE = ("Referenced",)


@cache
def storage_sop_classes() -> tuple[str, ...]:
    """Every SOP class of a patient's composite instances, retired ones included (PS3.4 B.5)."""
    from pydicom._uid_dict import UID_dictionary

    return tuple(
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if uid.startswith(_STORAGE_ROOTS) and kind == "SOP Class" and "Storage" in name
        if uid not in _NON_PATIENT
    )


@cache
def storage_transfer_syntaxes(*, deflated: bool = False) -> tuple[str, ...]:
    """Every transfer syntax in which instances are stored as they come (PS3.5 Annex A).

    Args:
        deflated: with Deflated Explicit VR Little Endian, whose data has to be inflated to be checked.
    """
    from pydicom._uid_dict import UID_dictionary

    encapsulated = tuple(
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if uid.startswith(_PIXEL_ENCODINGS) and kind == "Transfer Syntax"
        if not any(word in name for word in _NOT_STORABLE)
    )
    extra = (DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,) if deflated else ()
    return (*UNCOMPRESSED, *encapsulated, RLE_LOSSLESS, *extra)


def name_of(uid: str) -> str:
    """The standard's name for a UID; one that is not the standard's, as it is."""
    from pydicom.uid import UID

    return UID(uid).name


def is_private(sop_class_uid: str) -> bool:
    """True for a UID outside the standard's root."""
    return not sop_class_uid.startswith(_STANDARD_ROOT)


class StorageContexts(Mapping[str, SupportedContext]):
    """What storage accepts in a negotiation, by SOP class.

    Args:
        deflated: accept the deflated transfer syntax.
        private: SOP classes of a vendor's own to accept beside the standard's.
        any_private: accept every private SOP class.
    """

    def __init__(
        self, *, deflated: bool = False, private: tuple[str, ...] = (), any_private: bool = False
    ) -> None:
        self._context = SupportedContext(
            transfer_syntaxes=storage_transfer_syntaxes(deflated=deflated), scu_role=True
        )
        self._sop_classes = dict.fromkeys((*storage_sop_classes(), *private), self._context)
        self.any_private = any_private

    def __getitem__(self, sop_class_uid: str) -> SupportedContext:
        known = self._sop_classes.get(sop_class_uid)
        if known is not None:
            return known
        if self.any_private and is_private(sop_class_uid):
            return self._context
        raise KeyError(sop_class_uid)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sop_classes)

    def __len__(self) -> int:
        return len(self._sop_classes)
