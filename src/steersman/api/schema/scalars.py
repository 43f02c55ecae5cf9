"""Canonical forms of times and base64 (quantities: machinery/quantity). Malformed ones raise ValueError with upstream's text."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

TIME_LAYOUT = "2006-01-02T15:04:05Z07:00"
MICRO_TIME_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MICRO_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{6})(Z|[+-]\d\d:\d\d)")
_LAYOUT_STEPS = (
    ("2006", r"\d{4}"), ("-", "-"), ("01", r"\d\d"), ("-", "-"), ("02", r"\d\d"), ("T", "T"), ("15", r"\d\d"), (":", ":"),
    ("04", r"\d\d"), (":", ":"), ("05", r"\d\d(?:\.\d+)?"), ("Z07:00", r"Z|[+-]\d\d:\d\d"),
)  # fmt: skip
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def canonical_time(value: str) -> str:
    """metav1.Time: UTC, whole seconds."""
    if len(value) == 20 and value[19] == "Z" and value[10] == "T":
        return value
    return _moment(value, _TIME, TIME_LAYOUT).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical_micro_time(value: str) -> str:
    """metav1.MicroTime: UTC, exactly six digits."""
    if len(value) == 27 and value[26] == "Z" and value[19] == "." and value[10] == "T":
        return value
    return _moment(value, _MICRO_TIME, MICRO_TIME_LAYOUT).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def check_time(value: str, *, micro: bool = False) -> None:
    """Raises ValueError, worded as Go's time.Parse."""
    _moment(value, _MICRO_TIME if micro else _TIME, MICRO_TIME_LAYOUT if micro else TIME_LAYOUT)


def _moment(value: str, pattern: re.Pattern[str], layout: str) -> datetime:
    match = pattern.fullmatch(value)
    if match is None:
        raise ValueError(_parse_complaint(value, layout))
    try:
        moment = datetime.fromisoformat(match[1] + (match[2] or "")[:7].ljust(7 if match[2] else 0, "0") + match[3])
    except ValueError as error:
        what = next((unit for unit in ("month", "day", "hour", "minute", "second") if unit in str(error)), "day")
        raise ValueError(f'parsing time "{value}": {what} out of range') from None
    return moment.astimezone(UTC)


def _parse_complaint(value: str, layout: str) -> str:
    rest = value
    for step, pattern in _LAYOUT_STEPS:
        match = re.match(pattern, rest)
        if match is None:
            shown = step if step != "05" or "." not in layout else "05.000000"
            return f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as "{shown}"'
        if step == "05" and "." in layout and not re.fullmatch(r"\d\d\.\d{6}", match[0]):
            return f'parsing time "{value}" as "{layout}": cannot parse "{rest[2:]}" as ".000000"'
        rest = rest[match.end() :]
    return f'parsing time "{value}": extra text: "{rest}"'


def check_base64(value: str) -> None:
    """Raises ValueError, worded as Go's base64 decoding (which skips line breaks)."""
    text = value.replace("\r", "").replace("\n", "")
    match = _BASE64.match(text)
    end = match.end() if match is not None else 0
    if end < len(text):
        raise ValueError(f"illegal base64 data at input byte {end}")
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(f"illegal base64 data at input byte {max(len(text) - len(text) % 4, 0)}") from None
