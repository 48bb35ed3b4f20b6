"""The user information of an association request or answer, sub-item by sub-item (PS3.8 D.1; PS3.7 D.3.3)."""

from collections import Counter

from services.printable import printable, shorten
from services.trace.cursor import Cursor
from services.trace.names import USER_IDENTITY_TYPES, uid_name, uid_problem
from services.trace.texts import ITEM_NAMES, ITEMS, Text

_MOST_SUB_ITEMS = 4096
_ONLY_IN_A_REQUEST = frozenset({0x57, 0x58})


def dissect_user_information(inside: Cursor, *, is_request: bool) -> None:
    """Take apart what follows the header of a User Information Item."""
    seen: Counter[int] = Counter()
    first = len(inside.fields)
    while inside.left >= 4 and len(inside.fields) - first < _MOST_SUB_ITEMS:
        kind, length = inside.number(1), inside.number(2, 2)
        sub = inside.inside(4 + length)
        item_header(sub, kind, length, "Sub-item-version" if kind == 0x57 else "")
        seen[kind] += 1
        meaning = _sub_item(sub, kind)
        text = ITEMS.get(kind, Text("PS3.7 D.2", "Unknown sub-items are skipped by their length."))
        inside.group(
            ITEM_NAMES.get(kind, f"Unknown Sub-Item {kind:02X}H"),
            sub,
            meaning=meaning,
            problem=_problem(kind, length, seen[kind], inside.left, is_request=is_request),
            clause=text.clause,
            explanation=text.explanation,
        )
    inside.rest("bytes that are no sub-item (PS3.8 9.3.1)")
    missing = [ITEM_NAMES[kind] for kind in (0x51, 0x52) if not seen[kind]]
    if missing:
        inside.mend(f"missing: {', '.join(missing)} (PS3.8 D.1, PS3.7 D.3.3.2)")


def _problem(kind: int, length: int, count: int, left: int, *, is_request: bool) -> str:
    if length + 4 > left:
        return f"item-length {length} goes beyond its item (PS3.8 9.3.1)"
    if kind in (0x51, 0x52, 0x53, 0x55, 0x58, 0x59) and count > 1:
        return "a second one: there is one at most (PS3.8 9.3.2.3)"
    if kind in (0x51, 0x53) and length != 4:
        return f"item-length {length}: it must be 4 (PS3.8 D.1, PS3.7 D.3.3.3)"
    if kind in _ONLY_IN_A_REQUEST and not is_request:
        return "this sub-item stands in a request only (PS3.7 D.3.3.6, D.3.3.7)"
    if kind == 0x59 and is_request:
        return "this sub-item stands in an answer only (PS3.7 D.3.3.7)"
    return ""


def _sub_item(sub: Cursor, kind: int) -> str:
    match kind:
        case 0x51 if sub.left:
            value = sub.number(min(4, sub.left))
            meaning = f"{value} bytes" if value else "no limit"
            sub.take(4, "Maximum-length-received", str(value), meaning=meaning)
            return meaning
        case 0x52:
            return uid_field(sub, "Implementation-class-UID")
        case 0x53 if sub.left:
            invoked, performed = sub.number(2), sub.number(2, 2)
            sub.take(2, "Maximum-number-operations-invoked", str(invoked))
            if sub.left:
                sub.take(2, "Maximum-number-operations-performed", str(performed))
            return f"invoked {invoked or 'any number'}, performed {performed or 'any number'}"
        case 0x54:
            return _roles(sub)
        case 0x55:
            return _version_name(sub)
        case 0x56:
            meaning = _counted_uid(sub, "UID-length", "SOP-class-UID")
            if sub.left:
                sub.take(sub.left, "Service-class-application-information")
            return meaning
        case 0x57:
            return _common_extended(sub)
        case 0x58:
            return _user_identity(sub)
        case 0x59:
            _counted(sub, "Server-response", hidden=True)
            return ""
        case _:
            if sub.left:
                sub.take(sub.left, "Data", explanation="A sub-item of a type nobody defined here: skipped.")
            return ""


def _roles(sub: Cursor) -> str:
    meaning = _counted_uid(sub, "UID-length", "SOP-class-UID")
    for name in ("SCU-role", "SCP-role"):
        if sub.left:
            role = sub.number(1)
            sub.take(
                1,
                name,
                str(role),
                meaning="yes" if role == 1 else "no",
                problem="" if role <= 1 else "neither 0 nor 1 (PS3.7 D.3.3.4)",
            )
    return meaning


def _version_name(sub: Cursor) -> str:
    name = sub.peek(sub.left)
    text = printable(name.decode("latin-1"))
    problem = "" if 1 <= len(name) <= 16 else f"{len(name)} characters: it has 1 to 16 (PS3.7 D.3.3.2.3)"
    sub.take(sub.left, "Implementation-version-name", f"'{shorten(text)}'", problem=problem)
    return shorten(text)


def _common_extended(sub: Cursor) -> str:
    version = sub.number(1, -3)
    meaning = _counted_uid(sub, "UID-length", "SOP-class-UID")
    _counted_uid(sub, "UID-length", "Service-class-UID")
    if sub.left >= 2:
        length = sub.number(2)
        sub.take(2, "Field-length", str(length))
        related = sub.inside(length)
        while related.left >= 2:
            _counted_uid(related, "UID-length", "Related-general-SOP-class-UID")
        if related.fields:
            sub.group("Related general SOP classes", related, clause="PS3.7 D.3.3.6")
    if version and sub.left:
        sub.take(sub.left, "Data", explanation="Fields that a later version of the sub-item adds.")
    return meaning


def _user_identity(sub: Cursor) -> str:
    if not sub.left:
        return ""
    kind = sub.number(1)
    meaning = USER_IDENTITY_TYPES.get(kind, "")
    problem = "" if meaning else "reserved value (PS3.7 D.3.3.7.1)"
    sub.take(1, "User-Identity-Type", str(kind), meaning=meaning, problem=problem)
    if sub.left:
        sub.take(1, "Positive-response-requested", str(sub.number(1)))
    _counted(sub, "Primary-field", hidden=kind not in (1, 2))
    _counted(sub, "Secondary-field", hidden=True)
    return meaning


def _counted(sub: Cursor, name: str, *, hidden: bool) -> None:
    """A 2-byte length and a field of as many bytes; what proves who somebody is, is never shown."""
    if not sub.left:
        return
    length = sub.number(2)
    problem = "" if length + 2 <= sub.left else f"length {length} goes beyond its item (PS3.7 D.3.3)"
    sub.take(2, "Field-length", str(length), problem=problem)
    if length and sub.left:
        data = sub.peek(length)
        text = f"<{len(data)} bytes, not shown>" if hidden else printable(data.decode("utf-8", "replace"))
        sub.take(length, name, shorten(text))


def _counted_uid(sub: Cursor, length_name: str, name: str) -> str:
    if not sub.left:
        return ""
    length = sub.number(2)
    problem = "" if length + 2 <= sub.left else f"length {length} goes beyond its item (PS3.7 D.3.3)"
    sub.take(2, length_name, str(length), problem=problem)
    return uid_field(sub.inside(length), name, into=sub)


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
    target = into or cursor
    data = cursor.peek(cursor.left)
    uid = printable(data.rstrip(b"\0 ").decode("latin-1"))
    known = uid_name(uid)
    target.take(
        len(data),
        name,
        shorten(uid, 128) or "<empty>",
        meaning=known,
        problem=uid_problem(data) if judged else "",
    )
    return known or shorten(uid, 64)


def item_header(inside: Cursor, kind: int, length: int, second: str = "") -> None:
    """Item-type, reserved byte, item-length."""
    inside.take(1, "Item-type", f"{kind:02X}H", meaning=ITEM_NAMES.get(kind, "unknown item"))
    if second:
        inside.take(1, second, str(inside.number(1)))
    else:
        inside.reserved()
    inside.take(2, "Item-length", str(length))
