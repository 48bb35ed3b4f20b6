"""The body of A-ASSOCIATE-RQ and A-ASSOCIATE-AC, item by item (PS3.8 9.3.2, 9.3.3)."""

from collections import Counter

from services.printable import printable
from services.trace.cursor import Cursor
from services.trace.dissect_user_information import dissect_user_information, item_header, uid_field
from services.trace.names import CONTEXT_RESULTS, title_problem
from services.trace.texts import ITEM_NAMES, text_of_item

_FIXED_FIELDS = 68
_TITLE = 16


def dissect_associate(body: Cursor, *, is_request: bool) -> None:
    """Take the body apart; what cannot be an item is left as one field."""
    has_fixed_fields = body.left >= _FIXED_FIELDS
    version = body.number(2)
    wrong = "" if version & 1 else "bit 0, version 1, is not set (PS3.8 9.3.2)"
    body.take(2, "Protocol-version", f"{version:04X}H", meaning=_versions(version), problem=wrong)
    body.reserved(2)
    _title(body, "Called-AE-title", is_request=is_request)
    _title(body, "Calling-AE-title", is_request=is_request)
    body.reserved(32)
    seen: Counter[int] = Counter()
    ids: Counter[int] = Counter()
    while body.left >= 4 and not body.is_spent:
        _item(body, seen, ids, is_request=is_request)
    is_whole = not body.is_spent
    body.rest("bytes that are no item (PS3.8 9.3.1)")
    if is_whole and has_fixed_fields:
        body.mend(_missing(seen, is_request=is_request))


def _versions(version: int) -> str:
    return ", ".join(f"version {bit + 1}" for bit in range(16) if version >> bit & 1)


def _title(body: Cursor, name: str, *, is_request: bool) -> None:
    title = body.peek(_TITLE)
    # In the answer both are reserved: sent back as they came, and not tested (PS3.8 9.3.3).
    problem = title_problem(title) if is_request and len(title) == _TITLE else ""
    meaning = "" if is_request else "sent back as it came, not tested"
    body.take(_TITLE, name, f"'{printable(title.decode('latin-1'))}'", meaning=meaning, problem=problem)


def _item(body: Cursor, seen: Counter[int], ids: Counter[int], *, is_request: bool) -> None:
    kind, length = body.number(1), body.number(2, 2)
    inside = body.inside(4 + length, kind)
    item_header(inside, kind, length)
    problem = "" if length + 4 <= body.left else f"item-length {length} goes beyond the PDU (PS3.8 9.3.1)"
    seen[kind] += 1
    meaning = ""
    match kind:
        case 0x10:
            meaning = uid_field(inside, "Application-context-name")
        case 0x20 | 0x21 if (kind == 0x20) is is_request:  # the other one's is an unknown item here
            meaning, wrong = _context(inside, ids, answered=kind == 0x21)
            problem = problem or wrong
        case 0x50:
            dissect_user_information(inside, is_request=is_request)
        case _:
            inside.take_rest("Data")
    if kind in (0x10, 0x50) and seen[kind] > 1:
        problem = f"a second {ITEM_NAMES[kind]}: there is exactly one (PS3.8 9.3.2, 9.3.3)"
    _group(body, inside, kind, meaning, problem)


def _group(body: Cursor, inside: Cursor, kind: int, meaning: str, problem: str) -> None:
    name = ITEM_NAMES.get(kind, f"Unknown Item {kind:02X}H")
    body.group(name, inside, meaning=meaning, problem=problem, text=text_of_item(kind))


def _context(inside: Cursor, ids: Counter[int], *, answered: bool) -> tuple[str, str]:
    """Take apart a presentation context; what it is about, and what is wrong with it."""
    length = inside.left
    number = inside.number(1)
    ids[number] += 1
    problem = ""
    if not number & 1:
        problem = f"presentation context id {number}: it must be odd (PS3.8 9.3.2.2)"
    elif ids[number] > 1:
        problem = f"presentation context id {number} is used twice (PS3.8 9.3.2.2)"
    inside.take(1, "Presentation-context-ID", str(number), problem=problem)
    inside.reserved()
    result = inside.number(1)
    if answered:
        known = CONTEXT_RESULTS.get(result, "")
        wrong = "" if known else f"reserved value {result} (PS3.8 9.3.3.2)"
        inside.take(1, "Result/Reason", str(result), meaning=known, problem=wrong)
        inside.reserved()
    else:
        inside.reserved(2)
    if length < 4:
        return "", f"item-length {length}: the fixed fields alone have 4 bytes (PS3.8 9.3.2.2, 9.3.3.2)"
    # What stands behind a refusal means nothing and is not judged.
    is_judged = not answered or result == 0
    names, kinds = _syntaxes(inside, is_judged=is_judged)
    wrong = _wrong_syntaxes(kinds, answered=answered) if is_judged and not inside.is_spent else ""
    inside.rest("bytes that are no item (PS3.8 9.3.1)" if is_judged else "")
    about = f"context {number}" + (f", {CONTEXT_RESULTS.get(result, 'reserved result')}" if answered else "")
    return ": ".join(filter(None, (about, ", ".join(names[:2])))), wrong


def _syntaxes(inside: Cursor, *, is_judged: bool) -> tuple[list[str], Counter[int]]:
    """Take the sub-items; names of the UIDs in them, and how many there are of each type."""
    names: list[str] = []
    kinds: Counter[int] = Counter()
    while inside.left >= 4 and not inside.is_spent:
        kind, length = inside.number(1), inside.number(2, 2)
        sub = inside.inside(4 + length, kind)
        item_header(sub, kind, length)
        kinds[kind] += 1
        name = ""
        if kind in (0x30, 0x40):
            field = "Abstract-syntax-name" if kind == 0x30 else "Transfer-syntax-name"
            name = uid_field(sub, field, judged=is_judged)
            names.append(name)
        else:
            sub.take_rest("Data")
        fits = length + 4 <= inside.left or not is_judged
        wrong = "" if fits else f"item-length {length} goes beyond its item (PS3.8 9.3.1)"
        _group(inside, sub, kind, name, wrong)
    return [name for name in names if name], kinds


def _wrong_syntaxes(kinds: Counter[int], *, answered: bool) -> str:
    if answered:
        if kinds[0x40] != 1:
            return f"{kinds[0x40]} transfer syntaxes: an accepted context has exactly one (PS3.8 9.3.3.2)"
        return "an abstract syntax in an answer (PS3.8 9.3.3.2)" if kinds[0x30] else ""
    if kinds[0x30] != 1:
        return f"{kinds[0x30]} abstract syntaxes: there is exactly one (PS3.8 9.3.2.2)"
    return "" if kinds[0x40] else "no transfer syntax: there is one or more (PS3.8 9.3.2.2)"


def _missing(seen: Counter[int], *, is_request: bool) -> str:
    missing = [ITEM_NAMES[kind] for kind in (0x10, 0x20 if is_request else 0x21, 0x50) if not seen[kind]]
    clause = "PS3.8 9.3.2" if is_request else "PS3.8 9.3.3"
    return f"missing: {', '.join(missing)} ({clause})" if missing else ""
