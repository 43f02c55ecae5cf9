"""Parts of timestamps, in UTC or a zone (IANA name or `+hh:mm`), and of durations, whole and truncated."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from datetime import datetime, timedelta

from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.timetext import datetime_of
from steersman.machinery.cel.values import SECOND, Duration, Timestamp

_FIXED = re.compile(r"([+-]?)([0-9]{2}):([0-9]{2})")
_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda moment: moment.year,
    "getMonth": lambda moment: moment.month - 1,
    "getDayOfYear": lambda moment: moment.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda moment: moment.day - 1,
    "getDate": lambda moment: moment.day,
    "getDayOfWeek": lambda moment: moment.isoweekday() % 7,
    "getHours": lambda moment: moment.hour,
    "getMinutes": lambda moment: moment.minute,
    "getSeconds": lambda moment: moment.second,
}
_UNITS = {"getHours": 3600 * SECOND, "getMinutes": 60 * SECOND, "getSeconds": SECOND, "getMilliseconds": SECOND // 1000}


def _moment(value: Timestamp, zone: str) -> datetime:
    seconds = value.ns // SECOND
    if not zone or zone == "UTC":
        return datetime_of(seconds)
    found = _FIXED.fullmatch(zone)
    if found is not None:
        offset = int(found[2]) * 3600 + int(found[3]) * 60
        return datetime_of(seconds + (-offset if found[1] == "-" else offset))
    try:
        moment = datetime_of(seconds)
        shift = moment.astimezone(zoneinfo.ZoneInfo(zone)).utcoffset()
        return datetime_of(seconds + int((shift or timedelta()).total_seconds()))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OverflowError, OSError):
        raise CelRuntimeError(f"unknown time zone {zone}") from None


def _of_timestamp(name: str) -> list[Overload]:
    part = _PARTS[name]
    return [
        overload(name, "timestamp.() -> int", lambda value: part(_moment(value, ""))),
        overload(name, "timestamp.(string) -> int", lambda value, zone: part(_moment(value, zone))),
    ]


def _milliseconds(value: Timestamp, _: str = "") -> int:
    return value.ns % SECOND // 10**6


def _of_duration(name: str) -> Overload:
    unit = _UNITS[name]

    def count(value: Duration) -> int:
        return value.ns // unit if value.ns >= 0 else -(-value.ns // unit)

    return overload(name, "duration.() -> int", count)


OVERLOADS: tuple[Overload, ...] = (
    *(found for name in _PARTS for found in _of_timestamp(name)),
    overload("getMilliseconds", "timestamp.() -> int", _milliseconds),
    overload("getMilliseconds", "timestamp.(string) -> int", _milliseconds),
    *map(_of_duration, _UNITS),
)
