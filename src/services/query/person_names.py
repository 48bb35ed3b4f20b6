"""Person names as keys: without case and accents, by component group, and by sound (PS3.4 C.2.2.2.1, C.2.2.2.4).

What the standard leaves to the implementation, and a conformance statement has to say:

* case and accents (every mark that Unicode composes with a letter) do not count;
* delimiters that may be left out do not count: `Doe^John` is `Doe^John^^^`, and `Doe^*` matches `Doe`;
* a key of one component group matches any group of a name; one of several matches group by group, and its empty
  groups match everything. Wild cards do not reach beyond their group;
* fuzzy: what matches as above matches; so does a name in which, component by component, each word of the key sounds
  like one of the words. Sound is the Metaphone code of the word's Latin letters without accents, a `y` behind
  another letter being an `i` and doubled codes single. Words in other scripts have to be equal.

Metaphone comes from jellyfish, which is maintained, small and compiled: of the codes it has, Metaphone is the one
that neither depends on the first letter, as Soundex does (Catherine, Katherine), nor throws Robert in with Rupert.
"""

import re
from functools import lru_cache

from jellyfish import metaphone
from msgspec import Struct

from services import normal_forms
from services.conditions import Always, Condition, Described, Equals, Form, any_of
from services.query.wildcards import Pattern, has_wildcards

_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "ħ": "h"}
)
"""Latin letters that are no composition of one and an accent."""

_WORD_BREAKS = re.compile(r"[\s\-,.]+")
_REPEATED = re.compile(r"(.)\1+")
_SEVERAL_STARS = re.compile(r"\*+")


class _Group(Struct, frozen=True):
    """One component group of a key.

    Attributes:
        literal: folded; None for a group with wild cards.
        patterns: what may match, all of them folded.
    """

    literal: str | None
    patterns: tuple[Pattern, ...] = ()

    def matches(self, stored: str) -> bool:
        if self.literal is not None:
            return stored == self.literal
        return any(pattern.matches(stored) for pattern in self.patterns)

    def condition(self) -> tuple[Condition, bool]:
        if self.literal is not None:
            return Equals(self.literal), True
        likes = [pattern.condition() for pattern in self.patterns]
        return any_of([like for like, _ in likes]), all(exact for _, exact in likes)


class Name(Struct, frozen=True):
    """A person name, literally but for case and accents.

    Attributes:
        groups: of the key; None for one that matches everything.
    """

    groups: tuple[_Group | None, ...]

    def matches(self, stored: str) -> bool:
        groups = normal_forms.name_groups(stored)
        if len(self.groups) == 1:
            only = self.groups[0]
            return any(group and (only is None or only.matches(group)) for group in groups)
        if not any(groups):
            return False
        groups += [""] * (len(self.groups) - len(groups))
        return all(
            key is None or bool(group and key.matches(group))
            for key, group in zip(self.groups, groups, strict=False)
        )

    def describe(self) -> Described:
        wanted = [group for group in self.groups if group is not None]
        if not wanted:
            return Described(Always(), exact=False, form=Form.NAME)
        condition, exact = wanted[0].condition()
        return Described(condition, exact and len(self.groups) == 1, Form.NAME)


class FuzzyName(Struct, frozen=True):
    """A person name, literally or by its sound.

    Attributes:
        literally: the key without its sound.
        groups: of the key: of each component its words.
    """

    literally: Name
    groups: tuple[tuple[tuple[str, ...], ...], ...]

    def matches(self, stored: str) -> bool:
        if self.literally.matches(stored):
            return True
        groups = [_words_of(group) for group in stored.split("=")]
        if len(self.groups) == 1:
            return any(_sounds_like(self.groups[0], group) for group in groups)
        groups += [()] * (len(self.groups) - len(groups))
        pairs = list(zip(self.groups, groups, strict=False))
        return all(not any(key) or _sounds_like(key, group) for key, group in pairs)

    def describe(self) -> Described:
        return Described(Always(), exact=False, form=Form.NAME)


def name(text: str) -> Name:
    """A PN key that is not empty."""
    return Name(tuple(_group(group.strip()) for group in text.split("=")))


def fuzzy_name(text: str) -> FuzzyName:
    """A PN key for fuzzy semantic matching."""
    return FuzzyName(name(text), tuple(_words_of(group) for group in text.split("=")))


@lru_cache(maxsize=8192)
def sound(word: str) -> str:
    """How a folded word sounds: its Metaphone code, or the word itself where it has none."""
    letters = word.translate(_LETTERS).replace("'", "")
    if not (letters.isascii() and letters.isalpha()):
        return word
    code = metaphone(letters[0] + letters[1:].replace("y", "i"))
    return _REPEATED.sub(r"\1", code).replace(" ", "") or word


def _group(text: str) -> _Group | None:
    text = _SEVERAL_STARS.sub("*", text.rstrip("^ "))
    if text in ("", "*"):
        return None
    if not has_wildcards(text):
        return _Group(normal_forms.fold(text))
    patterns = [text]
    while patterns[-1].endswith("^*") and len(patterns[-1]) > 2:
        patterns.append(patterns[-1][:-2].rstrip("^"))
    return _Group(None, tuple(Pattern(each, normal_forms.fold) for each in patterns))


def _words_of(group: str) -> tuple[tuple[str, ...], ...]:
    components = (normal_forms.fold(component) for component in group.strip(" \0").rstrip("^ ").split("^"))
    return tuple(tuple(filter(None, _WORD_BREAKS.split(component))) for component in components)


def _sounds_like(key: tuple[tuple[str, ...], ...], stored: tuple[tuple[str, ...], ...]) -> bool:
    """Whether each word of each of the key's components sounds like one of the same component."""
    if not any(key) or not any(stored):
        return False
    for index, words in enumerate(key):
        there = stored[index] if index < len(stored) else ()
        if not all(_is_among(word, there) for word in words):
            return False
    return True


def _is_among(word: str, there: tuple[str, ...]) -> bool:
    if has_wildcards(word):
        if not word.strip("*"):
            return True
        pattern = Pattern(word)
        return any(pattern.matches(each) for each in there)
    code = sound(word)
    return any(sound(each) == code for each in there)
