"""Values as Go's fmt prints them: upstream's descriptions show slices, maps, references and times that way.

Not here: quantities and durations (machinery).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from steersman.machinery.meta import Obj, parse_time

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"'}


def verb_v(value: Any) -> str:
    """`%v` of a JSON value: `<nil>`, `true`, `[a b]`, `map[k:v]`.

    >>> verb_v({"b": [1, 2.0], "a": None})
    'map[a:<nil> b:[1 2]]'
    """
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(verb_v, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{verb_v(value[key])}' for key in sorted(value))}]"
    return str(value)


def _float(value: float) -> str:
    """The shortest digits that say it, with an exponent below 1e-4 and from 1e21 on."""
    size = abs(value)
    if size != 0 and (size < 1e-4 or size >= 1e21):
        return repr(value)
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0") if "." in text else text


def quoted(text: str) -> str:
    """`%q`: strconv.Quote."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def message(kind: str, value: Obj | None, *fields: tuple[str, str]) -> str:
    """A generated API type as its String method prints it, with `fields` as (Go's name, JSON name); an absent one is `nil`.

    >>> message("SecretReference", {"name": "a"}, ("Name", "name"), ("Namespace", "namespace"))
    '&SecretReference{Name:a,Namespace:,}'
    """
    if value is None:
        return "nil"
    shown = "".join(f"{name}:{value.get(key) or ''}," for name, key in fields)
    return f"&{kind}{{{shown}}}"


def rfc1123(stamp: str | None) -> str:
    """time.RFC1123Z in the local zone, as clients decode times; Go's zero time for none."""
    moment = parse_time(stamp)
    if moment is None:
        return "Mon, 01 Jan 0001 00:00:00 +0000"
    local = moment.astimezone()
    day, month = _DAYS[local.weekday()], _MONTHS[local.month - 1]
    return f"{day}, {local.day:02d} {month} {local.year:04d} {local:%H:%M:%S %z}"


def time_string(stamp: str | None) -> str:
    """Time.String(): `2026-01-02 03:04:05 +0000 UTC`."""
    moment = parse_time(stamp)
    return _time_string(moment.astimezone()) if moment else "0001-01-01 00:00:00 +0000 UTC"


def _time_string(local: datetime) -> str:
    return f"{local.year:04d}-{local:%m-%d %H:%M:%S %z %Z}"
