"""The user information of an association request or answer, sub-item by sub-item (PS3.8 D.1; PS3.7 D.3.3)."""

from collections import Counter

from services.printable import printable, shorten
from services.trace.cursor import Cursor, hidden
from services.trace.names import USER_IDENTITY_TYPES, uid_name, uid_problem
from services.trace.texts import ITEM_NAMES, text_of_item

_ONLY_IN_A_REQUEST = frozenset({0x57, 0x58})
_ONCE = frozenset({0x51, 0x52, 0x53, 0x55, 0x58, 0x59})
_ONCE_FOR_A_CLASS = {0x54: "PS3.7 D.3.3.4", 0x56: "PS3.7 D.3.3.5"}
_OF_4_BYTES = {0x51: "PS3.8 D.1", 0x53: "PS3.7 D.3.3.3"}
_NAMES_A_USER = frozenset({1, 2})
_WITH_PASSCODE = 2


def dissect_user_information(inside: Cursor, *, is_request: bool) -> None:
    """Take apart what follows the header of a User Information Item."""
    seen: Counter[int] = Counter()
    classes: Counter[tuple[int, str]] = Counter()
    while inside.left >= 4 and not inside.is_spent:
        kind, length = inside.number(1), inside.number(2, 2)
        sub = inside.inside(4 + length, kind)
        item_header(sub, kind, length, "Sub-item-version" if kind == 0x57 else "")
        seen[kind] += 1
        meaning = _sub_item(sub, kind)
        problem = _problem(kind, length, seen[kind], inside.left, is_request=is_request)
        if kind in _ONCE_FOR_A_CLASS:
            classes[kind, meaning] += 1
            if classes[kind, meaning] > 1 and not problem:
                problem = f"a second one for this SOP class ({_ONCE_FOR_A_CLASS[kind]})"
        name = ITEM_NAMES.get(kind, f"Unknown Sub-Item {kind:02X}H")
        inside.group(name, sub, meaning=meaning, problem=problem, text=text_of_item(kind))
    is_whole = not inside.is_spent
    inside.rest("bytes that are no sub-item (PS3.8 9.3.1)")
    missing = [ITEM_NAMES[kind] for kind in (0x51, 0x52) if not seen[kind]]
    if missing and is_whole:
        inside.mend(f"missing: {', '.join(missing)} (PS3.8 D.1, PS3.7 D.3.3.2)")


def _problem(kind: int, length: int, count: int, left: int, *, is_request: bool) -> str:
    if length + 4 > left:
        return f"item-length {length} goes beyond its item (PS3.8 9.3.1)"
    if kind in _ONCE and count > 1:
        return "a second one: there is one at most (PS3.8 9.3.2.3)"
    if kind in _OF_4_BYTES and length != 4:
        return f"item-length {length}: it must be 4 ({_OF_4_BYTES[kind]})"
    if kind in _ONLY_IN_A_REQUEST and not is_request:
        return "this sub-item stands in a request only (PS3.7 D.3.3.6, D.3.3.7)"
    if kind == 0x59 and is_request:
        return "this sub-item stands in an answer only (PS3.7 D.3.3.7)"
    return ""


def _sub_item(sub: Cursor, kind: int) -> str:
    match kind:
        case 0x51:
            value = sub.number(min(4, sub.left))
            meaning = f"{value} bytes" if value else "no limit"
            sub.take(4, "Maximum-length-received", str(value), meaning=meaning)
            return meaning
        case 0x52:
            return uid_field(sub, "Implementation-class-UID")
        case 0x53:
            return _window(sub)
        case 0x54:
            return _roles(sub)
        case 0x55:
            return _version_name(sub)
        case 0x56:
            meaning = _counted_uid(sub, "SOP-class-UID")
            sub.take_rest("Service-class-application-information")
            return meaning
        case 0x57:
            return _common_extended(sub)
        case 0x58:
            return _user_identity(sub)
        case 0x59:
            _counted(sub, "Server-response", is_hidden=True)
            _hide_the_rest(sub, "PS3.7 D.3.3.7.2")
            return ""
        case _:
            sub.take_rest("Data")
            return ""


def _window(sub: Cursor) -> str:
    found = []
    for what in ("invoked", "performed"):
        count = sub.number(2)
        meaning = "" if count else "any number"
        sub.take(2, f"Maximum-number-operations-{what}", str(count), meaning=meaning)
        found.append(f"{what} {count or 'any number'}")
    return ", ".join(found)


def _roles(sub: Cursor) -> str:
    meaning = _counted_uid(sub, "SOP-class-UID")
    for name in ("SCU-role", "SCP-role"):
        if not sub.left:
            sub.mend(f"no {name} behind it (PS3.7 D.3.3.4)")
        role = sub.number(1)
        wrong = "" if role <= 1 else "neither 0 nor 1 (PS3.7 D.3.3.4)"
        sub.take(1, name, str(role), meaning=("no", "yes", "")[min(role, 2)], problem=wrong)
    return meaning


def _version_name(sub: Cursor) -> str:
    name = sub.peek(sub.left)
    problem = ""
    if not 1 <= len(name) <= 16:
        problem = f"{len(name)} characters: it has 1 to 16 (PS3.7 D.3.3.2.3)"
    elif any(not 0x20 <= byte <= 0x7E for byte in name):
        problem = "a character that is none of ISO 646 (PS3.7 D.3.3.2.3)"
    text = shorten(printable(name.decode("latin-1")))
    sub.take(len(name), "Implementation-version-name", f"'{text}'", problem=problem)
    return text


def _common_extended(sub: Cursor) -> str:
    meaning = _counted_uid(sub, "SOP-class-UID")
    _counted_uid(sub, "Service-class-UID")
    length = _length(sub, "Field-length")
    related = sub.inside(length)
    while related.left >= 2 and not related.is_spent:
        _counted_uid(related, "Related-general-SOP-class-UID")
    if related.fields or related.left:
        sub.group("Related general SOP classes", related)
    # Later versions may add fields (PS3.7 D.3.3.6.1).
    sub.rest("" if sub.fields[1].value != "0" else "bytes that belong to no field (PS3.7 D.3.3.6.1)")
    return meaning


def _user_identity(sub: Cursor) -> str:
    kind = sub.number(1)
    meaning = USER_IDENTITY_TYPES.get(kind, "")
    wrong = "" if meaning else f"reserved value {kind} (PS3.7 D.3.3.7.1)"
    sub.take(1, "User-Identity-Type", str(kind), meaning=meaning, problem=wrong)
    wanted = sub.number(1)
    wrong = "" if wanted <= 1 else "neither 0 nor 1 (PS3.7 D.3.3.7.1)"
    sub.take(1, "Positive-response-requested", str(wanted), problem=wrong)
    # With lengths that are wrong, what is taken for the name may hold the passcode.
    first = sub.number(2)
    second = sub.number(2, 2 + first)
    fits = 4 + first + second == sub.left
    _counted(sub, "Primary-field", is_hidden=kind not in _NAMES_A_USER or not fits)
    has_passcode = _counted(sub, "Secondary-field", is_hidden=True) > 0
    if meaning and fits and has_passcode is not (kind == _WITH_PASSCODE):
        needs = "type 2 needs one" if kind == _WITH_PASSCODE else "only type 2 has one"
        sub.mend(f"a secondary field of {second} bytes: {needs} (PS3.7 D.3.3.7.1)")
    _hide_the_rest(sub, "PS3.7 D.3.3.7.1")
    return meaning


def _hide_the_rest(sub: Cursor, clause: str) -> None:
    value = hidden(sub.peek(sub.left))
    sub.rest(f"bytes that belong to no field ({clause})", value)


def _length(sub: Cursor, name: str) -> int:
    """Take the 2-byte length of a field."""
    there, length = sub.left, sub.number(2)
    if not there:
        sub.mend(f"no {name} behind it (PS3.7 D.3.3)")
        return 0
    problem = "" if length + 2 <= there else f"length {length} goes beyond its item (PS3.7 D.3.3)"
    sub.take(2, name, str(length), problem=problem)
    return length


def _counted(sub: Cursor, name: str, *, is_hidden: bool) -> int:
    """A 2-byte length, which is returned, and a field of as many bytes.

    What proves who somebody is, is never shown.
    """
    length = _length(sub, "Field-length")
    data = sub.peek(length)
    if data:
        text = hidden(data) if is_hidden else shorten(printable(data.decode("utf-8", "replace")))
        sub.take(length, name, text)
    return length


def _counted_uid(sub: Cursor, name: str) -> str:
    there = sub.left
    length = _length(sub, "UID-length")
    return uid_field(sub.inside(length), name, into=sub) if there else ""


def uid_field(cursor: Cursor, name: str, *, judged: bool = True, into: Cursor | None = None) -> str:
    """Make what is left of `cursor` a UID, and say what it names.

    Args:
        cursor: its bytes.
        name: of the field.
        judged: whether its form matters.
        into: takes the field, instead of `cursor`.

    Returns:
        the name of the UID, or the UID where it has none.
    """
    data = cursor.peek(cursor.left)
    uid = printable(data.rstrip(b"\0 ").decode("latin-1"))
    known = uid_name(uid)
    problem = uid_problem(data) if judged else ""
    (into or cursor).take(len(data), name, shorten(uid, 128) or "<empty>", meaning=known, problem=problem)
    return known or shorten(uid, 64)


def item_header(inside: Cursor, kind: int, length: int, second: str = "") -> None:
    """Item-type, reserved byte, item-length.

    Args:
        second: name of the second byte where it is not reserved.
    """
    inside.take(1, "Item-type", f"{kind:02X}H", meaning=ITEM_NAMES.get(kind, "unknown item"))
    if second:
        inside.take(1, second, str(inside.number(1)))
    else:
        inside.reserved()
    inside.take(2, "Item-length", str(length))
