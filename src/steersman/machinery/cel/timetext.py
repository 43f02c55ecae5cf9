"""Points in time and durations as text: RFC 3339, and Go's form of durations, all in nanoseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_NS: Final = 10**9
_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": _NS, "m": 60 * _NS, "h": 3600 * _NS,
}  # fmt: skip
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(text: str) -> int | None:
    """`1h30m`, `-1.5s`; None for what is none."""
    rest, sign = text, 1
    if rest[:1] in ("-", "+"):
        sign, rest = (-1 if rest[0] == "-" else 1), rest[1:]
    if rest == "0":
        return 0
    total, place = 0, 0
    while place < len(rest):
        part = _PART.match(rest, place)
        if part is None or not (part[1] or part[2]) or len(part[0]) > 60:
            return None
        size, fraction = _UNITS[part[3]], part[2] or ""
        total += int(part[1] or "0") * size + (int(fraction) * size // 10 ** len(fraction) if fraction else 0)
        place = part.end()
    return sign * total if rest and total < 1 << 63 else None


def duration_text(ns: int) -> str:
    """`3723.004s`"""
    whole, fraction = divmod(abs(ns), _NS)
    text = f"{whole}.{fraction:09d}".rstrip("0").rstrip(".")
    return f"{'-' if ns < 0 else ''}{text}s"


def parse_timestamp(text: str) -> tuple[int, int] | None:
    """Nanoseconds since 1970, and the zone's offset in seconds; None for what is no point in time from year 1 to 9999."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    offset = 0
    if found[8]:
        hours, minutes = int(found[9]), int(found[10])
        if hours > 23 or minutes > 59:
            return None
        offset = (hours * 3600 + minutes * 60) * (-1 if found[8] == "-" else 1)
    whole = (moment - EPOCH) // timedelta(seconds=1)
    return (whole - offset) * _NS + int((found[7] or "0")[:9].ljust(9, "0")), offset


def timestamp_text(ns: int, offset_s: int) -> str:
    """RFC 3339 with the fraction it needs, in the zone it was written in."""
    seconds, fraction = divmod(ns, _NS)
    moment = datetime_of(seconds + offset_s)
    tail = f".{fraction:09d}".rstrip("0") if fraction else ""
    zone = "Z"
    if offset_s:
        hours, minutes = divmod(abs(offset_s) // 60, 60)
        zone = f"{'-' if offset_s < 0 else '+'}{hours:02d}:{minutes:02d}"
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{tail}{zone}"


def datetime_of(seconds: int) -> datetime:
    """Clamped to the years that Python knows, for zones at the very ends."""
    limit = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
    first = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
    return EPOCH + timedelta(seconds=min(max(seconds, first), limit))
