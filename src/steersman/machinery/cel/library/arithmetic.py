"""`+ - * / %` and unary minus: 64 bits wide and checked."""

from __future__ import annotations

import math
from typing import Any

from steersman.machinery.cel.errors import CelRuntimeError, CostLimitExceeded
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.values import MAX_INT, MAX_UINT, MIN_INT, Duration, MapList, SetList, Timestamp, UInt, mark

LONGEST_LIST = 10_000_000
"""Items. Upstream joins lists without copying them; nothing that fits into a request gets near it by honest means."""
_OVERFLOW = "integer overflow"


def _int(value: int) -> int:
    if MIN_INT <= value <= MAX_INT:
        return value
    raise CelRuntimeError(_OVERFLOW)


def _uint(value: int) -> UInt:
    if 0 <= value <= MAX_UINT:
        return UInt(value)
    raise CelRuntimeError("unsigned integer overflow")


def add_int(a: int, b: int) -> int:
    value = a + b
    if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        return value
    raise CelRuntimeError(_OVERFLOW)


def _quotient(a: int, b: int) -> int:
    """Rounded towards zero."""
    if not b:
        raise CelRuntimeError("division by zero")
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _remainder(a: int, b: int) -> int:
    """With the sign of the dividend."""
    if not b:
        raise CelRuntimeError("modulus by zero")
    if a == MIN_INT and b == -1:
        raise CelRuntimeError(_OVERFLOW)
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    if not a or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1, b)


def add_lists(a: list[Any], b: list[Any]) -> list[Any]:
    """Sets and maps merge: what is in both stays where the left one has it, a map's item as the right one has it."""
    if len(a) + len(b) > LONGEST_LIST:
        raise CostLimitExceeded
    if type(a) is SetList:
        merged = {mark(item): item for item in reversed([*a, *b])}
        return SetList(reversed(merged.values()))
    if type(a) is MapList:
        merged = {a.key(item): item for item in a}
        merged.update({a.key(item): item for item in b})
        return MapList(merged.values(), a.keys)
    return [*a, *b]


OVERLOADS: tuple[Overload, ...] = (
    overload("_+_", "(int, int) -> int", add_int),
    overload("_+_", "(uint, uint) -> uint", lambda a, b: _uint(int(a) + int(b))),
    overload("_+_", "(double, double) -> double", lambda a, b: a + b),
    overload("_+_", "(string, string) -> string", lambda a, b: a + b, "add"),
    overload("_+_", "(bytes, bytes) -> bytes", lambda a, b: a + b, "add"),
    overload("_+_", "(list(A), list(A)) -> list(A)", add_lists, "add_list"),
    overload("_+_", "(duration, duration) -> duration", lambda a, b: Duration(a.ns + b.ns)),
    overload("_+_", "(timestamp, duration) -> timestamp", lambda a, b: Timestamp(a.ns + b.ns, a.offset_s)),
    overload("_+_", "(duration, timestamp) -> timestamp", lambda a, b: Timestamp(a.ns + b.ns, b.offset_s)),
    overload("_-_", "(int, int) -> int", lambda a, b: _int(a - b)),
    overload("_-_", "(uint, uint) -> uint", lambda a, b: _uint(int(a) - int(b))),
    overload("_-_", "(double, double) -> double", lambda a, b: a - b),
    overload("_-_", "(duration, duration) -> duration", lambda a, b: Duration(a.ns - b.ns)),
    overload("_-_", "(timestamp, duration) -> timestamp", lambda a, b: Timestamp(a.ns - b.ns, a.offset_s)),
    overload("_-_", "(timestamp, timestamp) -> duration", lambda a, b: Duration(a.ns - b.ns)),
    overload("_*_", "(int, int) -> int", lambda a, b: _int(a * b)),
    overload("_*_", "(uint, uint) -> uint", lambda a, b: _uint(int(a) * int(b))),
    overload("_*_", "(double, double) -> double", lambda a, b: a * b),
    overload("_/_", "(int, int) -> int", lambda a, b: _int(_quotient(a, b))),
    overload("_/_", "(uint, uint) -> uint", lambda a, b: _uint(_quotient(int(a), int(b)))),
    overload("_/_", "(double, double) -> double", _divide),
    overload("_%_", "(int, int) -> int", _remainder),
    overload("_%_", "(uint, uint) -> uint", lambda a, b: _uint(_remainder(int(a), int(b)))),
    overload("-_", "(int) -> int", lambda a: _int(-a)),
    overload("-_", "(double) -> double", lambda a: -a),
)
