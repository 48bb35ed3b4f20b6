"""Reads a configuration: from a file in JSON or TOML, then what the command line says instead.

The format is found from the content, since a file may be named anything. Every mistake is found in one go and
named by its dotted field, with the value and what is allowed.
"""

import json
import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct, ValidationError

from services.printable import printable, shorten
from services.server.config import Config

_LONGEST_FILE = 1 << 20

Raw: TypeAlias = dict[str, Any]
"""A configuration as its parser gave it: unchecked."""


class Problem(Struct, frozen=True):
    """One mistake: the dotted name of the field, and what is wrong with it."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}" if self.field else self.text


class ConfigError(Exception):
    """A configuration that cannot be used; one line for each mistake.

    Args:
        problems: the mistakes, at least one.
        source: the name of the file, or "" where there is none.
    """

    def __init__(self, problems: list[Problem], source: str = "") -> None:
        self.problems = problems
        self.source = source
        prefix = f"{source}: " if source else ""
        super().__init__("\n".join(f"{prefix}{problem}" for problem in problems))


def load_config(path: Path | None = None, overrides: Mapping[str, object] | None = None) -> Config:
    """The configuration of a file, or the defaults; `overrides` win over both.

    Args:
        path: a JSON or TOML file, or None.
        overrides: dotted field name, such as `timers.idle`, to its value.

    Raises:
        ConfigError: the file cannot be read, or something in it or in the overrides is not allowed.
    """
    if path is None:
        return make_config({}, overrides)
    source = printable(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([Problem("", f"cannot read the configuration: {reason}")], source) from None
    if len(content) > _LONGEST_FILE:
        raise ConfigError([Problem("", f"longer than {_LONGEST_FILE} bytes: no configuration")], source)
    return make_config(parse(content, source), overrides, source)


def make_config(raw: Raw, overrides: Mapping[str, object] | None = None, source: str = "") -> Config:
    """The checked configuration of what `parse` gave.

    Raises:
        ConfigError: with every mistake there is.
    """
    for name, value in (overrides or {}).items():
        raw = _with_field(raw, name.split("."), value)
    try:
        return msgspec.convert(raw, Config, dec_hook=_decode)
    except ValidationError as error:
        problems = list(_problems(raw, Config, ""))
        raise ConfigError(problems or [Problem("", str(error))], source) from None


def parse(content: bytes, source: str = "") -> Raw:
    """The fields of a JSON object or a TOML document, unchecked. An empty document has none.

    Raises:
        ConfigError: the content is neither.
    """
    try:
        text = content.decode("utf-8-sig")
        # A TOML document cannot begin with a brace, and a configuration in JSON begins with nothing else.
        is_json = text.lstrip().startswith("{")
        return _parse_json(text) if is_json else tomllib.loads(text)
    except UnicodeDecodeError as error:
        text = f"not UTF-8 text at byte {error.start}"
    except tomllib.TOMLDecodeError as error:
        text = f"neither JSON, which begins with {{, nor TOML: {error}"
    except ValueError as error:
        text = f"wrong JSON: {error}"
    except RecursionError:
        text = "nested too deeply"
    raise ConfigError([Problem("", printable(text))], source)


def _parse_json(text: str) -> Raw:
    def without_duplicates(pairs: list[tuple[str, object]]) -> Raw:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the field {twice!r} is given more than once")
        return fields

    raw: Raw = json.loads(text, object_pairs_hook=without_duplicates)
    return raw


def _with_field(raw: Raw, names: list[str], value: object) -> Raw:
    first, *rest = names
    if not rest:
        return {**raw, first: value}
    inner = raw.get(first, {})
    # Something that is no table is left for the checks to name.
    return {**raw, first: _with_field(inner, rest, value)} if isinstance(inner, dict) else raw


def _decode(wanted: type, value: object) -> object:
    """msgspec knows no paths."""
    if wanted is Path and isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise ValueError(f"not a {wanted.__name__}")


# -- what is wrong: only walked when something is


def _problems(value: object, hint: Any, path: str) -> Iterator[Problem]:
    """Every mistake in `value`, of which `hint` is the type."""
    inner = _plain(hint)
    if _may_be_none(hint) and value is None:
        return
    if isinstance(inner, type) and issubclass(inner, Struct):
        yield from _problems_of_struct(value, inner, path)
    elif get_origin(inner) is dict:
        yield from _problems_of_map(value, inner, path)
    elif get_origin(inner) is tuple and isinstance(value, list):
        yield from _problems_of_list(value, hint, path)
    else:
        yield from _problems_of_value(value, hint, path)


def _problems_of_struct(value: object, struct: type[Struct], path: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, f"{_show(value, path)} is not allowed; allowed: fields by name")
        return
    hints = field_hints(struct)
    found = False
    for name in value:
        if name not in hints:
            found = True
            yield Problem(_join(path, name), _unknown_field(name, list(hints)))
    for encoded in msgspec.structs.fields(struct):
        name = encoded.encode_name
        if name in value:
            for problem in _problems(value[name], hints[name], _join(path, name)):
                found = True
                yield problem
        elif encoded.required:
            found = True
            yield Problem(_join(path, name), f"missing; allowed: {allowed(hints[name])}")
    if not found:
        try:
            msgspec.convert(value, struct, dec_hook=_decode)
        except ValidationError as error:  # fields that contradict each other; the text names them
            yield Problem(path, str(error))


def _problems_of_map(value: object, hint: Any, path: str) -> Iterator[Problem]:
    key_hint, value_hint = get_args(hint)
    if not isinstance(value, dict):
        yield Problem(path, f"{_show(value, path)} is not allowed; allowed: entries by AE title")
        return
    for key, entry in value.items():
        entry_path = _join(path, str(key))
        for problem in _problems_of_value(key, key_hint, path):
            yield Problem(entry_path, problem.text)
        yield from _problems(entry, value_hint, entry_path)


def _problems_of_list(value: list[object], hint: Any, path: str) -> Iterator[Problem]:
    item_hint = get_args(_plain(hint))[0]
    wrong = [p for i, item in enumerate(value) for p in _problems(item, item_hint, f"{path}[{i}]")]
    yield from wrong or _problems_of_value(value, hint, path)  # the list may be too short as a whole


def _problems_of_value(value: object, hint: Any, path: str) -> Iterator[Problem]:
    try:
        msgspec.convert(value, hint, dec_hook=_decode)
    except ValidationError:
        yield Problem(path, f"{_show(value, path)} is not allowed; allowed: {allowed(hint)}")


def _unknown_field(name: str, known: list[str]) -> str:
    close = get_close_matches(name.lower(), [field.lower() for field in known], n=1)
    if not close:
        return f"unknown field; known here are {', '.join(known)}"
    return f"unknown field; did you mean {next(field for field in known if field.lower() == close[0])}?"


def _show(value: object, path: str) -> str:
    if path == "databaseURL" and isinstance(value, str):
        value = re.sub(r"://.*@", "://…@", value)  # it may hold a password
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)  # TOML has dates
    return shorten(printable(text))


def _join(path: str, name: str) -> str:
    name = shorten(printable(name))
    return f"{path}.{name}" if path else name


# -- what the types say, for the errors above and for the documentation's test


def field_hints(struct: type[Struct]) -> dict[str, Any]:
    """Each field of `struct` as it is spelled in a file, with its annotated type."""
    hints = get_type_hints(struct, include_extras=True)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(struct)}


def default(struct: type[Struct], name: str) -> object:
    """The default of a field, by its spelling in a file; NODEFAULT where it must be given."""
    field = next(field for field in msgspec.structs.fields(struct) if field.encode_name == name)
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default


def allowed(hint: Any) -> str:
    """What values a type takes, in words."""
    inner = _plain(hint)
    for meta in _metas(hint):
        if meta.description is not None:
            return meta.description
    if inner is bool:
        return "true or false"
    if get_origin(inner) is Literal:
        return _or(get_args(inner))
    if get_origin(inner) is tuple:
        return f"a list; each entry: {allowed(get_args(inner)[0])}"
    if get_origin(inner) is dict:
        return "entries by AE title"
    return "fields by name"


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _plain(hint: Any) -> Any:
    """The type without annotations and without None."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return _plain(next(arm for arm in get_args(hint) if arm is not type(None)))
    return hint


def _may_be_none(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)


def _metas(hint: Any) -> list[Meta]:
    if get_origin(hint) in (Union, types.UnionType):
        return [meta for arm in get_args(hint) for meta in _metas(arm)]
    return [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta)]
