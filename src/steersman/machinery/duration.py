"""Durations: how tables show ages, and Go's text form (`1h30m`), which API fields and flags use. All in seconds."""

from __future__ import annotations

import re
from typing import Final

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")


def human(seconds: float) -> str:
    """An age, in at most two units, coarser the older it is (upstream duration.HumanDuration).

    >>> human(119), human(599), human(3 * 86400)
    ('119s', '9m59s', '3d')
    """
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 0:
        return "0s"
    if s < 120:
        return f"{s}s"
    if s < 10 * _MINUTE:
        return _two(s // _MINUTE, "m", s % _MINUTE, "s")
    if s < 3 * _HOUR:
        return f"{s // _MINUTE}m"
    if s < 8 * _HOUR:
        return _two(s // _HOUR, "h", s // _MINUTE % 60, "m")
    if s < 2 * _DAY:
        return f"{s // _HOUR}h"
    if s < 8 * _DAY:
        return _two(s // _DAY, "d", s // _HOUR % 24, "h")
    days = s // _DAY
    if days < 2 * 365:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(major: int, major_unit: str, minor: int, minor_unit: str) -> str:
    return f"{major}{major_unit}{minor}{minor_unit}" if minor else f"{major}{major_unit}"


def short_human(seconds: float) -> str:
    """One unit only (upstream duration.ShortHumanDuration)."""
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 0:
        return "0s"
    for limit, size, unit in ((_MINUTE, 1, "s"), (_HOUR, _MINUTE, "m"), (_DAY, _HOUR, "h"), (365 * _DAY, _DAY, "d")):
        if s < limit:
            return f"{s // size}{unit}"
    return f"{s // (365 * _DAY)}y"


def parse_go(text: str) -> float:
    """`1h30m`, `300ms`, `-1.5h`, `0`. Raises ValueError as Go's time.ParseDuration words it."""
    rest, sign = text, 1
    if rest[:1] in ("-", "+"):
        sign, rest = (-1 if rest[0] == "-" else 1), rest[1:]
    if rest == "0":
        return 0.0
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    if not rest:
        raise ValueError(f'time: invalid duration "{quoted}"')
    nanoseconds = 0
    while rest:
        part = _PART.match(rest)
        if part is None or not (part[1] or part[2]):
            number = re.match(r"([0-9]+\.?[0-9]*|\.[0-9]+)", rest)
            if number is None:
                raise ValueError(f'time: invalid duration "{quoted}"')
            unit = re.match(r"[^.0-9]*", rest[number.end() :])
            if unit is None or not unit[0]:
                raise ValueError(f'time: missing unit in duration "{quoted}"')
            raise ValueError(f'time: unknown unit "{unit[0]}" in duration "{quoted}"')
        whole, fraction, size = part[1], part[2] or "", _UNITS[part[3]]
        nanoseconds += int(whole or "0") * size
        if fraction:
            nanoseconds += int(fraction) * size // 10 ** len(fraction)
        rest = rest[part.end() :]
    if nanoseconds >= 1 << 63:
        raise ValueError(f'time: invalid duration "{quoted}"')
    return sign * nanoseconds / 10**9


def format_go(seconds: float) -> str:
    """Go's Duration.String.

    >>> format_go(300), format_go(80), format_go(1.5), format_go(0.25), format_go(0)
    ('5m0s', '1m20s', '1.5s', '250ms', '0s')
    """
    nanoseconds = round(abs(seconds) * 10**9)
    sign = "-" if seconds < 0 and nanoseconds else ""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if nanoseconds >= size:
                return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else f"{sign}{text}"


def _decimal(number: int, unit: int) -> str:
    whole, fraction = divmod(number, unit)
    if not fraction:
        return str(whole)
    return f"{whole}.{fraction:0{len(str(unit)) - 1}d}".rstrip("0")
