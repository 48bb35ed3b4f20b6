"""Names of what stands on the wire as a number or a UID."""

from functools import lru_cache

REJECT_RESULTS = {1: "rejected-permanent", 2: "rejected-transient"}
REJECT_SOURCES = {
    1: "service-user",
    2: "service-provider (ACSE related function)",
    3: "service-provider (Presentation related function)",
}
REJECT_REASONS = {
    (1, 1): "no-reason-given",
    (1, 2): "application-context-name-not-supported",
    (1, 3): "calling-AE-title-not-recognized",
    (1, 7): "called-AE-title-not-recognized",
    (2, 1): "no-reason-given",
    (2, 2): "protocol-version-not-supported",
    (3, 1): "temporary-congestion",
    (3, 2): "local-limit-exceeded",
}
ABORT_SOURCES = {0: "service-user", 2: "service-provider"}
ABORT_REASONS = {
    0: "reason-not-specified",
    1: "unrecognized-PDU",
    2: "unexpected-PDU",
    4: "unrecognized-PDU parameter",
    5: "unexpected-PDU parameter",
    6: "invalid-PDU-parameter value",
}
PRIORITIES = {0: "medium", 1: "high", 2: "low"}
CONTEXT_RESULTS = {
    0: "acceptance",
    1: "user-rejection",
    2: "no-reason (provider rejection)",
    3: "abstract-syntax-not-supported (provider rejection)",
    4: "transfer-syntaxes-not-supported (provider rejection)",
}
USER_IDENTITY_TYPES = {
    1: "username",
    2: "username and passcode",
    3: "Kerberos service ticket",
    4: "SAML assertion",
    5: "JSON Web Token",
}

VRS = {
    "AE": "Application Entity",
    "AS": "Age String",
    "AT": "Attribute Tag",
    "CS": "Code String",
    "DA": "Date",
    "DS": "Decimal String",
    "DT": "Date Time",
    "FD": "Floating Point Double",
    "FL": "Floating Point Single",
    "IS": "Integer String",
    "LO": "Long String",
    "LT": "Long Text",
    "OB": "Other Byte",
    "OD": "Other Double",
    "OF": "Other Float",
    "OL": "Other Long",
    "OV": "Other 64-bit Very Long",
    "OW": "Other Word",
    "PN": "Person Name",
    "SH": "Short String",
    "SL": "Signed Long",
    "SQ": "Sequence of Items",
    "SS": "Signed Short",
    "ST": "Short Text",
    "SV": "Signed 64-bit Very Long",
    "TM": "Time",
    "UC": "Unlimited Characters",
    "UI": "Unique Identifier",
    "UL": "Unsigned Long",
    "UN": "Unknown",
    "UR": "URI/URL",
    "US": "Unsigned Short",
    "UT": "Unlimited Text",
    "UV": "Unsigned 64-bit Very Long",
}
"""Value representations (PS3.5 Table 6.2-1)."""


@lru_cache(maxsize=1024)
def uid_name(uid: str) -> str:
    """The name of a UID of PS3.6, such as "Verification SOP Class"; empty where it has none."""
    from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]

    entry = UID_dictionary.get(uid)
    return entry[0] if entry is not None else ""


@lru_cache(maxsize=4096)
def keyword_of(tag: int) -> str:
    """The keyword of a data element of PS3.6; empty for one that has none."""
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag)


@lru_cache(maxsize=4096)
def vr_of(tag: int) -> str:
    """The VR of a data element of PS3.6, the first one where there is a choice; "UN" for one that has none."""
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(tag)[:2]
    except KeyError:
        return "UL" if not tag & 0xFFFF else "UN"


def uid_problem(uid: bytes, *, padded: bool = False) -> str:
    """What is wrong with the bytes of a UID (PS3.5 9.1); empty where nothing is.

    Args:
        uid: padding included.
        padded: whether one NUL makes it even, as in command and data sets; in PDUs nothing is padded (PS3.8 F.1).
    """
    bare = uid.rstrip(b"\0 ")
    if not bare:
        return "no UID at all (PS3.5 9.1)"
    if len(bare) > 64:
        return f"UID of {len(bare)} characters: it may have 64 (PS3.5 9.1)"
    if bare.strip(b"0123456789."):
        return "UID with something else than digits and dots (PS3.5 9.1)"
    components = bare.split(b".")
    if not all(components):
        return "UID with an empty component (PS3.5 9.1)"
    if any(len(part) > 1 and part.startswith(b"0") for part in components):
        return "UID with a component that begins with 0 (PS3.5 9.1)"
    padding = uid[len(bare) :]
    if padding and not padded:
        return "UID that is padded: in a PDU it is not (PS3.8 F.1)"
    if padding and (len(bare) % 2 == 0 or padding != b"\0"):
        return "UID padded with something else than one NUL to an even length (PS3.5 9.1)"
    return ""


def title_problem(title: bytes) -> str:
    """What is wrong with the 16 bytes of an AE title (PS3.5 6.2, PS3.8 9.3.2); empty where nothing is."""
    if not title.strip(b" \0"):
        return "AE title of nothing but padding (PS3.8 9.3.2)"
    bare = title.rstrip(b"\0")
    if any(byte < 0x20 or byte > 0x7E or byte == 0x5C for byte in bare):
        return "AE title with a control character, a backslash or something that is not ASCII (PS3.5 6.2)"
    if len(bare) < len(title):
        return "AE title padded with NUL: it is padded with spaces (PS3.8 9.3.2)"
    return ""
