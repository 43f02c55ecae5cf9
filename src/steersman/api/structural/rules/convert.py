"""JSON as values of CEL, as a schema says: numbers become doubles, dates timestamps, sets lose their order, nulls go.

Most of an object needs no conversion: then it is the value itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any, Final

from steersman.api.structural.model import Node
from steersman.machinery.cel import timetext
from steersman.machinery.cel.values import Duration, MapList, SetList, Timestamp

Convert = Callable[[Any], Any]
_SECOND: Final = 10**9
_UNITS: Final = (
    (("ns", "nano", "nanos", "nanosecond", "nanoseconds"), 1),
    (("us", "µs", "micro", "micros", "microsecond", "microseconds"), 1000),
    (("ms", "milli", "millis", "millisecond", "milliseconds"), 10**6),
    (("s", "sec", "secs", "second", "seconds"), _SECOND),
    (("m", "min", "mins", "minute", "minutes"), 60 * _SECOND),
    (("h", "hr", "hrs", "hour", "hours"), 3600 * _SECOND),
    (("d", "day", "days"), 86400 * _SECOND),
    (("w", "week", "weeks"), 7 * 86400 * _SECOND),
)
_UNIT = {name: size for names, size in _UNITS for name in names}
_WORDS = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Zµ]+)\s*")


def converter(node: Node) -> Convert | None:
    """What makes values of a schema's JSON; None if there is nothing to do."""
    if node.int_or_string:
        return None
    if node.type == "array":
        return _list(node)
    if node.type == "object":
        return _map(node.additional) if node.additional is not None else _object(node)
    if node.type == "number":
        return _number
    return _STRINGS.get(node.raw.get("format") or "") if node.type == "string" else None


def _list(node: Node) -> Convert | None:
    inner = converter(node.items) if node.items is not None else None
    keys = node.list_map_keys

    def items(value: Any) -> Any:
        return [inner(item) if inner is not None and item is not None else item for item in value]

    if node.list_type == "set":
        return lambda value: SetList(items(value)) if isinstance(value, list) else value
    if node.list_type == "map":
        return lambda value: MapList(items(value), keys) if isinstance(value, list) else value
    if inner is None:
        return None
    return lambda value: items(value) if isinstance(value, list) else value


def _map(values: Node) -> Convert | None:
    inner = converter(values)
    if inner is None:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: item if item is None else inner(item) for key, item in value.items()}

    return convert


def _object(node: Node) -> Convert | None:
    """A null property is as if it were absent."""
    changed = {name: (converter(inner), inner.nullable) for name, inner in node.properties.items()}
    changed = {name: found for name, found in changed.items() if found[0] is not None or found[1]}
    if not changed:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        made = dict(value)
        for name, (inner, _) in changed.items():
            if name not in made:
                continue
            if made[name] is None:
                del made[name]
            elif inner is not None:
                made[name] = inner(made[name])
        return made

    return convert


def _number(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _bytes(value: Any) -> Any:
    try:
        return base64.b64decode(value, altchars=b"-_" if "-" in value or "_" in value else None, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return value


def _duration(value: Any) -> Any:
    ns = timetext.parse_duration(value) if isinstance(value, str) else None
    if ns is None and isinstance(value, str):
        ns = _in_words(value)
    return value if ns is None or abs(ns) >= 1 << 63 else Duration(ns)


def _in_words(text: str) -> int | None:
    """`3 days`"""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    total, place = 0, 0
    while place < len(rest):
        found = _WORDS.match(rest, place)
        if found is None or found[2] not in _UNIT:
            return None
        total += int(float(found[1]) * _UNIT[found[2]])
        place = found.end()
    return sign * total


def _date(value: Any) -> Any:
    return _moment(f"{value}T00:00:00Z")


def _date_time(value: Any) -> Any:
    return _moment(value.upper().replace(" ", "T") if isinstance(value, str) and value else "1970-01-01T00:00:00Z")


def _moment(text: str) -> Any:
    found = timetext.parse_timestamp(text) or timetext.parse_timestamp(f"{text}Z")
    return text if found is None else Timestamp(*found)


_STRINGS: dict[str, Convert] = {"byte": _bytes, "duration": _duration, "date": _date, "date-time": _date_time}
