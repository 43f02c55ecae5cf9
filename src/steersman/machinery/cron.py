"""Cron schedules: five fields, `@daily` and its like, `@every 1h`, in a time zone.

Pure: `Schedule.next` is a function of the time it is given. Syntax, texts and the behaviour at changes of summer time are those
of the library upstream uses (robfig/cron v3, ParseStandard): an hour that does not exist is left out, one that comes twice counts
twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from steersman.machinery.duration import parse_go

_YEARS = 5
"""A schedule without an activation in that many years (30 February) has none."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: int
    high: int
    names: Mapping[str, int]


def _numbered(words: str, start: int) -> dict[str, int]:
    return {word: start + index for index, word in enumerate(words.split())}


_MINUTE, _HOUR, _DAY = _Bounds(0, 59, {}), _Bounds(0, 23, {}), _Bounds(1, 31, {})
_MONTH = _Bounds(1, 12, _numbered("jan feb mar apr may jun jul aug sep oct nov dec", 1))
_WEEKDAY = _Bounds(0, 6, _numbered("sun mon tue wed thu fri sat", 0))
_FIELDS = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)

_MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_EVERY = "@every "
_ZONE_PREFIXES = ("TZ=", "CRON_TZ=")
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed schedule. Either `every` is set, or the five fields are.

    any_day, any_weekday: the field was a star. With one of them, both fields must fit; else one is enough.
    """

    zone: tzinfo = UTC
    every: timedelta | None = None
    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = False
    any_weekday: bool = False

    def next(self, after: datetime) -> datetime | None:
        """The first activation later than `after` (an aware time), in UTC; None if there is none in five years."""
        moment = after.astimezone(UTC)
        if self.every is not None:
            return moment.replace(microsecond=0) + self.every
        moment = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        last_year = moment.astimezone(self.zone).year + _YEARS
        while True:
            local = moment.astimezone(self.zone)
            if local.year > last_year:
                return None
            if local.month not in self.months:
                moment = self._midnight(local.year + local.month // 12, local.month % 12 + 1, 1)
            elif not self._fits_day(local):
                tomorrow = local.date() + timedelta(days=1)
                moment = self._midnight(tomorrow.year, tomorrow.month, tomorrow.day)
            elif local.hour not in self.hours:
                moment += timedelta(minutes=60 - local.minute)
            elif local.minute not in self.minutes:
                moment += timedelta(minutes=1)
            else:
                return moment

    def _fits_day(self, local: datetime) -> bool:
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return day and weekday if self.any_day or self.any_weekday else day or weekday

    def _midnight(self, year: int, month: int, day: int) -> datetime:
        """When that day begins, in UTC: where summer time takes midnight away, at the change itself."""
        return datetime(year, month, day, tzinfo=self.zone).astimezone(UTC)


def parse(text: str, time_zone: str = "") -> Schedule:
    """A schedule, in `time_zone` (UTC if empty) unless the text names its own. Raises ValueError with upstream's text."""
    if not text:
        raise ValueError("empty spec string")
    zone: tzinfo = load_zone(time_zone) if time_zone else UTC
    if text.startswith(_ZONE_PREFIXES):
        head, _, text = text.partition(" ")
        name = head.partition("=")[2]
        try:
            zone = load_zone(name)
        except ValueError as error:
            raise ValueError(f"provided bad location {name}: {error}") from None
        text = text.strip()
    if text.startswith("@"):
        return _descriptor(text, zone)
    return _fields(text, zone)


def load_zone(name: str) -> tzinfo:
    """A time zone of the IANA database. Raises ValueError `unknown time zone <name>`."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if not valid_zone_name(name):
        raise ValueError(f"unknown time zone {name}")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name}") from None


def valid_zone_name(name: str) -> bool:
    """Whether a text may be a time zone's name: it becomes a path below the zone files."""
    parts = name.split("/")
    return all(part not in (".", "..") and part[:1] != "-" and _ZONE_PART.fullmatch(part) is not None for part in parts)


def _descriptor(text: str, zone: tzinfo) -> Schedule:
    if text in _MACROS:
        return _fields(_MACROS[text], zone)
    if text.startswith(_EVERY):
        try:
            seconds = int(parse_go(text.removeprefix(_EVERY)))
        except ValueError as error:
            raise ValueError(f"failed to parse duration {text}: {error}") from None
        return Schedule(zone, timedelta(seconds=max(seconds, 1)))
    raise ValueError(f"unrecognized descriptor: {text}")


def _fields(text: str, zone: tzinfo) -> Schedule:
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]")
    minutes, hours, days, months, weekdays = (_field(part, bounds) for part, bounds in zip(parts, _FIELDS))
    return Schedule(zone, None, minutes[0], hours[0], days[0], months[0], weekdays[0], days[1], weekdays[1])


def _field(text: str, bounds: _Bounds) -> tuple[frozenset[int], bool]:
    """The values of a comma-separated field, and whether it is a star."""
    values: set[int] = set()
    star = False
    for part in filter(None, text.split(",")):
        found, is_star = _range(part, bounds)
        values.update(found)
        star |= is_star
    return frozenset(values), star


def _range(text: str, bounds: _Bounds) -> tuple[range, bool]:
    """`*`, `5`, `1-5`, `mon-fri`, each with `/step`; `5/10` means from 5 on."""
    head, *steps = text.split("/")
    low, *rest = head.split("-")
    star = low in ("*", "?")
    if star:
        first, last = bounds.low, bounds.high
    else:
        if len(rest) > 1:
            raise ValueError(f"too many hyphens: {text}")
        first = _value(low, bounds)
        last = _value(rest[0], bounds) if rest else first
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = 1
    if steps:
        step = _number(steps[0])
        if not rest:
            last = bounds.high
    if first < bounds.low:
        raise ValueError(f"beginning of range ({first}) below minimum ({bounds.low}): {text}")
    if last > bounds.high:
        raise ValueError(f"end of range ({last}) above maximum ({bounds.high}): {text}")
    if first > last:
        raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")
    return range(first, last + 1, step), star and step == 1


def _value(text: str, bounds: _Bounds) -> int:
    named = bounds.names.get(text.lower())
    return _number(text) if named is None else named


def _number(text: str) -> int:
    if not re.fullmatch(r"[-+]?[0-9]+", text, re.ASCII):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
