"""cel-go's strings library: indexes count code points. format() is in formatting.py."""

from __future__ import annotations

from typing import Any

from steersman.machinery.cel.errors import CelRuntimeError, CostLimitExceeded
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.library.formatting import LONGEST_TEXT, complaint, format_string, quote

_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWER = {value: key for key, value in _UPPER.items()}
_SPACE = "\t\n\v\f\r \u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def _outside(index: int) -> CelRuntimeError:
    return CelRuntimeError(f"index out of range: {index}")


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise _outside(index)
    return text[index : index + 1]


def _index_of(text: str, part: str, offset: int = 0) -> int:
    if not part:
        if not 0 <= offset <= len(text):
            raise _outside(offset)
        return offset
    if not 0 <= offset <= len(text):
        raise _outside(offset)
    return text.find(part, offset)


def _last_index_of(text: str, part: str, offset: int | None = None) -> int:
    if offset is None:
        return text.rfind(part) if part else len(text)
    if not 0 <= offset <= len(text):
        raise _outside(offset)
    return text.rfind(part, 0, offset + len(part)) if part else offset


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    count = text.count(old) if limit < 0 else min(limit, text.count(old))
    if len(text) + count * (len(new) - len(old)) > LONGEST_TEXT:
        raise CostLimitExceeded
    return text.replace(old, new, -1 if limit < 0 else limit)


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if limit == 1:
        return [text]
    if not separator:
        chars = list(text)
        return chars if limit < 0 or limit >= len(chars) else [*chars[: limit - 1], "".join(chars[limit - 1 :])]
    return text.split(separator, -1 if limit < 0 else limit - 1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    if end is None:
        if not 0 <= start <= len(text):
            raise _outside(start)
        return text[start:]
    if start > end:
        raise CelRuntimeError(f"invalid substring range. start: {start}, end: {end}")
    for index in (start, end):
        if not 0 <= index <= len(text):
            raise _outside(index)
    return text[start:end]


def _join(items: list[Any], separator: str = "") -> str:
    if not all(isinstance(item, str) for item in items):
        raise CelRuntimeError("no such overload")
    if sum(map(len, items)) + len(items) * len(separator) > LONGEST_TEXT:
        raise CostLimitExceeded
    return separator.join(items)


OVERLOADS: tuple[Overload, ...] = (
    overload("charAt", "string.(int) -> string", _char_at),
    overload("indexOf", "string.(string) -> int", _index_of, "elements"),
    overload("indexOf", "string.(string, int) -> int", _index_of, "elements"),
    overload("lastIndexOf", "string.(string) -> int", _last_index_of, "elements"),
    overload("lastIndexOf", "string.(string, int) -> int", _last_index_of, "elements"),
    overload("lowerAscii", "string.() -> string", lambda text: text.translate(_LOWER), "first_sized"),
    overload("upperAscii", "string.() -> string", lambda text: text.translate(_UPPER), "first_sized"),
    overload("trim", "string.() -> string", lambda text: text.strip(_SPACE), "first_sized"),
    overload("replace", "string.(string, string) -> string", _replace, "replace"),
    overload("replace", "string.(string, string, int) -> string", _replace, "replace"),
    overload("split", "string.(string) -> list(string)", _split, "split"),
    overload("split", "string.(string, int) -> list(string)", _split, "split"),
    overload("substring", "string.(int) -> string", _substring, "first_sized"),
    overload("substring", "string.(int, int) -> string", _substring, "first_sized"),
    overload("join", "list(string).() -> string", _join, "join"),
    overload("join", "list(string).(string) -> string", _join, "join"),
    overload("format", "string.(list(dyn)) -> string", format_string, "format", literal=complaint),
    overload("strings.quote", "(string) -> string", quote, "quote"),
)
