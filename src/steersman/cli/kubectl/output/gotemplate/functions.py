"""The functions that templates have: text/template's own, and kubectl's `exists` and `base64decode`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote_plus

from steersman.cli.kubectl.output import goformat
from steersman.machinery.govalues import GoInt, type_name

_HTML = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', **{char: f"\\u{ord(char):04X}" for char in "<>&="}}


class FunctionError(Exception):
    """Why a function failed."""


class ArgumentError(FunctionError):
    """The function was not called as it must be. `place`: the argument that is to blame; -1: their number."""

    def __init__(self, why: str, place: int) -> None:
        super().__init__(why)
        self.place = place


def truth(value: Any) -> bool:
    return bool(value)


def _kind(value: Any) -> str:
    return type_name(value).removesuffix("64")


def _counted(name: str, at_least: int, at_most: int | None, function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*values: Any) -> Any:
        if len(values) < at_least or (at_most is not None and len(values) > at_most):
            wanted = f"at least {at_least}" if at_most is None else str(at_least)
            raise ArgumentError(f"wrong number of args for {name}: want {wanted} got {len(values)}", -1)
        return function(*values)

    return checked


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise FunctionError("missing argument for comparison")
    for other in others:
        if first is not None and other is not None:
            kinds = _kind(first), _kind(other)
            if kinds[0] != kinds[1]:
                raise FunctionError("incompatible types for comparison")
            if isinstance(first, dict | list):
                raise FunctionError(f"non-comparable type {goformat.sprintf('%s', [first])}: {type_name(first)}")
        if first == other:
            return True
    return False


def _less(first: Any, second: Any) -> bool:
    kinds = _kind(first), _kind(second)
    if any(kind not in ("int", "float", "string", "bool") for kind in kinds) or kinds == ("bool", "bool"):
        raise FunctionError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise FunctionError("incompatible types for comparison")
    return bool(first < second)


def _less_or_equal(first: Any, second: Any) -> bool:
    return _less(first, second) or _equal(first, second)


def _place(value: Any, length: int) -> int:
    if value is None:
        raise FunctionError("cannot index slice/array with nil")
    if isinstance(value, bool) or not isinstance(value, int):
        raise FunctionError(f"cannot index slice/array with type {type_name(value)}")
    if not 0 <= value < length:
        raise FunctionError(f"index out of range: {value}")
    return value


def _index(value: Any, *keys: Any) -> Any:
    if value is None:
        raise FunctionError("index of untyped nil")
    for key in keys:
        if isinstance(value, dict):
            if not isinstance(key, str):
                why = (
                    f"value has type {type_name(key)}; should be string" if key is not None else "value is nil; should be string"
                )
                raise FunctionError(why)
            value = value.get(key)
        elif isinstance(value, list):
            value = value[_place(key, len(value))]
        elif isinstance(value, str):
            data = value.encode()
            value = GoInt(data[_place(key, len(data))])
        elif value is None:
            raise FunctionError("index of nil pointer")
        else:
            raise FunctionError(f"can't index item of type {type_name(value)}")
    return value


def _slice(value: Any, *places: Any) -> Any:
    if value is None:
        raise FunctionError("slice of untyped nil")
    if not isinstance(value, str | list):
        raise FunctionError(f"can't slice item of type {type_name(value)}")
    if len(places) > 3:
        raise FunctionError(f"too many slice indexes: {len(places)}")
    if len(places) == 3 and isinstance(value, str):
        raise FunctionError("cannot 3-index slice a string")
    length = len(value.encode()) if isinstance(value, str) else len(value)
    bounds = [_place(place, length + 1) for place in places]
    start, end = (bounds[0] if bounds else 0), (bounds[1] if len(bounds) > 1 else length)
    if start > end:
        raise FunctionError(f"invalid slice index: {start} > {end}")
    return value.encode()[start:end].decode(errors="replace") if isinstance(value, str) else value[start:end]


def _length(value: Any) -> GoInt:
    if value is None:
        raise FunctionError("reflect: call of reflect.Value.Type on zero Value")
    if isinstance(value, str):
        return GoInt(len(value.encode()))
    if isinstance(value, dict | list):
        return GoInt(len(value))
    raise FunctionError(f"len of type {type_name(value)}")


def _joined(values: tuple[Any, ...]) -> str:
    return values[0] if len(values) == 1 and isinstance(values[0], str) else goformat.sprint(values)


def _js(*values: Any) -> str:
    def escaped(char: str) -> str:
        if char in _JS:
            return _JS[char]
        if char.isprintable():
            return char
        return f"\\u{ord(char):04X}"

    return "".join(escaped(char) for char in _joined(values))


def _printf(template: Any, *values: Any) -> str:
    if not isinstance(template, str):
        raise ArgumentError(f"wrong type for value; expected string; got {type_name(template)}", 0)
    return goformat.sprintf(template, values)


def _decoded(value: Any) -> str:
    if not isinstance(value, str):
        raise ArgumentError(f"wrong type for value; expected string; got {type_name(value)}", 0)
    try:
        return base64.b64decode(value, validate=True).decode(errors="replace")
    except binascii.Error:
        good = next((at for at, char in enumerate(value) if not (char.isalnum() and char.isascii() or char in "+/=")), len(value))
        raise FunctionError(f"base64 decode failed: illegal base64 data at input byte {good}") from None


def _exists(value: Any, *keys: Any) -> bool:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        name: _counted(name, at_least, at_most, function)
        for name, at_least, at_most, function in (
            ("and", 1, None, lambda *values: values[-1]),
            ("or", 1, None, lambda *values: values[-1]),
            ("not", 1, 1, lambda value: not truth(value)),
            ("eq", 1, None, _equal),
            ("ne", 2, 2, lambda first, second: not _equal(first, second)),
            ("lt", 2, 2, _less),
            ("le", 2, 2, _less_or_equal),
            ("gt", 2, 2, lambda first, second: not _less_or_equal(first, second)),
            ("ge", 2, 2, lambda first, second: not _less(first, second)),
            ("index", 1, None, _index),
            ("slice", 1, None, _slice),
            ("len", 1, 1, _length),
            ("print", 0, None, lambda *values: goformat.sprint(values)),
            ("printf", 1, None, _printf),
            ("println", 0, None, lambda *values: goformat.sprintln(values)),
            ("html", 0, None, lambda *values: _joined(values).translate(_HTML)),
            ("js", 0, None, _js),
            ("urlquery", 0, None, lambda *values: quote_plus(_joined(values))),
            ("exists", 1, None, _exists),
            ("base64decode", 1, 1, _decoded),
        )
    }
)
"""By name. `and` and `or` are run by execute.py itself, since they need not evaluate all their arguments."""
