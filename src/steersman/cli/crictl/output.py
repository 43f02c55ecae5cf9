"""How answers are shown: tables, JSON and YAML as crictl lays them out, ages and sizes in its words. Pure but for `show`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TextIO

import yaml
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from steersman.machinery.meta import Obj

_MIN_WIDTH, _PADDING = 20, 3
SHORT = 13
_DAY = 24


def table(rows: Sequence[Sequence[str]], *, padding: int = _PADDING, least: int = _MIN_WIDTH) -> str:
    """The first row is the header. As Go's tabwriter does it: the last cell of a row is not filled up."""
    widths = [max(least, max(len(row[index]) for row in rows) + padding) for index in range(len(rows[0]))]
    lines = ["".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths)), row[-1]]) for row in rows]
    return "\n".join(lines) + "\n"


def document(message: Message) -> Obj:
    """A message as JSON, with every field, numbers of 64 bits as text, as CRI's own tools have it."""
    return MessageToDict(message, always_print_fields_with_no_presence=True)


def show(out: TextIO, value: Any, kind: str) -> None:
    """kind: json or yaml."""
    if kind == "yaml":
        out.write(yaml.safe_dump(value, sort_keys=True, default_flow_style=False))
    else:
        out.write(json.dumps(value, indent=2, sort_keys=False) + "\n")


def short(identity: str, *, whole: bool = False) -> str:
    """An id as tables show it; what is no digest stays as it is."""
    return identity if whole else identity.removeprefix("sha256:")[:SHORT]


def image_name(name: str, *, whole: bool = False) -> str:
    return short(name, whole=whole) if name.startswith("sha256:") else name


def ago(nanoseconds: int, now: datetime) -> str:
    return f"{duration(now.timestamp() - nanoseconds / 1e9)} ago"


def duration(seconds: float) -> str:
    """As docker/go-units says it."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 2 * _DAY:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for name, size, until in (("days", _DAY, 14), ("weeks", 7 * _DAY, 60), ("months", 30 * _DAY, 730)):
        if hours < until * _DAY:
            return f"{hours // size} {name}"
    return f"{int(timedelta(seconds=seconds).days / 365)} years"


def size(count: float) -> str:
    """With three digits and in thousands, as docker/go-units says it: 5.58MB."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB"):
        if count < 1000:
            return f"{_digits(count)}{unit}"
        count /= 1000
    return f"{_digits(count)}YB"


def _digits(count: float) -> str:
    """Go's %.3g, which has an exponent only from 1000 on, as 999.6 rounds to."""
    return f"{count:.3g}"


def moment(nanoseconds: int, at: datetime) -> str:
    """RFC 3339 with nanoseconds; `at` is the same moment, to the microsecond."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z"
