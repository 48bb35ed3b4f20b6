"""Dates, times and moments as keys: single values and ranges (PS3.4 C.2.2.2.1, C.2.2.2.5; PS3.5 6.2).

A value of less than full precision stands for all of its span when it is a key, and for its first moment when it
is stored: the key `10` matches what is stored as `1030`, the key `1030` not what is stored as `10`.
"""

import re
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from msgspec import Struct

from services import normal_forms
from services.conditions import Always, Between, Described, Equals, Form, Never

_RANGE = re.compile(r"([^-]*)-([^-]*)")
_MOMENT = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_WESTERNMOST = 1200  # hours and minutes; four digits beyond it behind a hyphen are a year (PS3.5 6.2, DT)
_EASTERNMOST = 1400
_DAY_START, _DAY_END = "000000.000000", "235960.999999"  # a leap second is part of its day


class InvalidKey(ValueError):
    """A key that its VR does not allow; the text says why."""


class Dates(Struct, frozen=True):
    """DA: from `low` to `high`, as `normal_forms.date` writes them; None is open."""

    low: str | None
    high: str | None
    is_range: bool = True

    def matches(self, stored: str) -> bool:
        value = normal_forms.date(stored)
        return value != "" and _within(value, self.low, self.high)

    def describe(self) -> Described:
        return _between(self.low, self.high, Form.DATE)


class Times(Struct, frozen=True):
    """TM: from `low` to `high`, as `normal_forms.time` writes them; None is open."""

    low: str | None
    high: str | None
    is_range: bool = True

    def matches(self, stored: str) -> bool:
        value = normal_forms.time(stored)
        return value != "" and _within(value, self.low, self.high)

    def describe(self) -> Described:
        return _between(self.low, self.high, Form.TIME)


class Combined(Struct, frozen=True):
    """A range of dates and one of times that are one range of moments (combined date-time matching).

    Attributes:
        low, high: YYYYMMDDHHMMSS.FFFFFF; None is open.
    """

    low: str | None
    high: str | None

    def matches(self, stored_date: str, stored_time: str) -> bool:
        """Whether a stored moment is in the range; a date without a time is when any moment of that day is."""
        day = normal_forms.date(stored_date)
        if not day:
            return False
        moment = normal_forms.time(stored_time)
        first, last = day + (moment or _DAY_START), day + (moment or _DAY_END)
        return (self.low is None or last >= self.low) and (self.high is None or first <= self.high)

    def describe_date(self) -> Described:
        """What every match's date fulfils: an index still has to ask `matches`."""
        low, high = self.low and self.low[:8], self.high and self.high[:8]
        return Described(_between(low, high, Form.DATE).condition, exact=False, form=Form.DATE)


class Moments(Struct, frozen=True):
    """DT: from `low` to `high`; None is open. Offsets count where both sides have one."""

    low: "Moment | None"
    high: "Moment | None"

    def matches(self, stored: str) -> bool:
        value = _moment(stored.strip(" \0"))
        if value is None:
            return False
        return (self.low is None or _order(value, self.low, value.first, self.low.first) >= 0) and (
            self.high is None or _order(value, self.high, value.first, self.high.last) <= 0
        )

    def describe(self) -> Described:
        return Described(Always(), exact=False)


class Moment(NamedTuple):
    """A DT value: the span it stands for, and its offset from UTC, None without one."""

    first: datetime
    last: datetime
    offset: timedelta | None


def dates(text: str) -> Dates:
    """A DA key. Raises InvalidKey for what is neither a date nor a range of dates."""
    low, high, is_range = _parts(text)
    first, last = normal_forms.date(low), normal_forms.date(high)
    if (low and not first) or (high and not last):
        raise InvalidKey("it is neither a date (YYYYMMDD) nor a range of dates")
    return Dates(first or None, last or None, is_range)


def times(text: str) -> Times:
    """A TM key. Raises InvalidKey for what is neither a time nor a range of times."""
    low, high, is_range = _parts(text)
    first, last = normal_forms.time_bounds(low), normal_forms.time_bounds(high)
    if (low and not first) or (high and not last):
        raise InvalidKey("it is neither a time (HHMMSS) nor a range of times")
    return Times(first and first[0], last and last[1], is_range)


def moments(text: str) -> Moments:
    """A DT key. Raises InvalidKey for what is neither a date-time nor a range of them."""
    text = text.strip()
    single = _moment(text)
    if single is not None:
        return Moments(single, single)
    for place in (index for index, each in enumerate(text) if each == "-"):
        low, high = text[:place].strip(), text[place + 1 :].strip()
        first, last = _moment(low), _moment(high)
        if (first or not low) and (last or not high) and (first or last):
            return Moments(first, last)
    raise InvalidKey("it is neither a date-time (YYYYMMDDHHMMSS) nor a range of them")


def combine(day: Dates, clock: Times) -> Combined:
    """One range of moments out of a range of dates and one of times."""
    low = day.low and day.low + (clock.low or _DAY_START)
    high = day.high and day.high + (clock.high or _DAY_END)
    return Combined(low, high)


def _parts(text: str) -> tuple[str, str, bool]:
    text = text.strip()
    found = _RANGE.fullmatch(text)
    if found is None:
        return text, text, False
    low, high = found[1].strip(), found[2].strip()
    if not low and not high:
        raise InvalidKey("a range needs a beginning or an end")
    return low, high, True


def _within(value: str, low: str | None, high: str | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _between(low: str | None, high: str | None, form: Form) -> Described:
    if low is not None and high is not None and low > high:
        return Described(Never(), form=form)
    if low is not None and low == high:
        return Described(Equals(low), form=form)
    return Described(Between(low, high), form=form)


def _moment(text: str) -> Moment | None:
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    *numbers, fraction, offset = found.groups()
    given = [int(number) for number in numbers if number is not None]
    if len(given) == 6:
        given[5] = min(given[5], 59)  # a leap second, which datetime does not have
    try:
        year, month, day, hour, minute, second = given + [0, 1, 1, 0, 0, 0][len(given) :]
        first = datetime(year, month, day, hour, minute, second)
        zone = _offset(offset) if offset else None
        return _fine(first, fraction, zone) if fraction else Moment(first, _last(first, len(given)), zone)
    except (ValueError, OverflowError):
        return None


def _fine(second: datetime, fraction: str, zone: timedelta | None) -> Moment:
    low, high = int(fraction.ljust(6, "0")), int(fraction.ljust(6, "9"))
    return Moment(second.replace(microsecond=low), second.replace(microsecond=high), zone)


def _last(first: datetime, precision: int) -> datetime:
    """The last microsecond of a span that is as long as its last component given: 1 a year, 6 a second."""
    if precision == 1:
        return first.replace(month=12, day=31, hour=23, minute=59, second=59, microsecond=999999)
    if precision == 2:
        later = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
        return later - timedelta(microseconds=1)
    span = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))[precision - 3]
    return first + (span - timedelta(microseconds=1))


def _offset(text: str) -> timedelta:
    number = int(text[1:])
    if number > (_EASTERNMOST if text[0] == "+" else _WESTERNMOST) or number % 100 > 59:
        raise ValueError(f"{text} is no offset from UTC")
    span = timedelta(hours=number // 100, minutes=number % 100)
    return span if text[0] == "+" else -span


def _order(a: Moment, b: Moment, one: datetime, other: datetime) -> int:
    """Below, at or above 0 as moment `one` of `a` is before, at or after moment `other` of `b`."""
    if a.offset is not None and b.offset is not None:
        one = one.replace(tzinfo=timezone(a.offset))
        other = other.replace(tzinfo=timezone(b.offset))
    return (one > other) - (one < other)
