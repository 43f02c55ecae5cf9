"""Comparison, membership, indexing, size and the string tests of the language. `&&`, `||`, `?:` and `.` are in the planner."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from steersman.machinery import re2
from steersman.machinery.cel.errors import CelRuntimeError, no_such_key
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.values import compare, contains, equal, item_at, lookup_key, size_of


def matches(text: str, pattern: str, allowance: re2.Allowance) -> bool:
    try:
        compiled = re2.compile(pattern, allowance)
    except re2.TooMuchWork:
        raise
    except ValueError as fault:
        raise CelRuntimeError(str(fault)) from None
    return compiled.search(text, allowance) is not None


def bad_pattern(_: Any, pattern: Any = None) -> str | None:
    """What is wrong with a literal pattern, told by the checker. (Of matches(a, b) upstream's looks at a, and so does ours.)"""
    if not isinstance(pattern, str):
        return None
    try:
        re2.check(pattern)
    except ValueError:
        return "invalid matches argument"
    return None


def index_map(entries: Any, key: Any) -> Any:
    try:
        return entries[lookup_key(key)]
    except KeyError:
        raise no_such_key(key) from None


def _ordered(test: Callable[[Any, Any], bool], name: str) -> list[Overload]:
    def general(a: Any, b: Any) -> bool:
        return test(compare(a, b), 0)

    def doubles(a: float, b: float) -> bool:
        if math.isnan(a) or math.isnan(b):
            raise CelRuntimeError("NaN values cannot be ordered")
        return test(a, b)

    made = [
        overload(name, "(int, int) -> bool", test),
        overload(name, "(uint, uint) -> bool", test),
        overload(name, "(double, double) -> bool", doubles),
        overload(name, "(bool, bool) -> bool", test),
        overload(name, "(string, string) -> bool", test, "compare"),
        overload(name, "(bytes, bytes) -> bool", test, "compare"),
        overload(name, "(timestamp, timestamp) -> bool", general),
        overload(name, "(duration, duration) -> bool", general),
    ]
    pairs = [("int", "double"), ("int", "uint"), ("uint", "double"), ("uint", "int"), ("double", "int"), ("double", "uint")]
    return made + [overload(name, f"({a}, {b}) -> bool", general) for a, b in pairs]


OVERLOADS: tuple[Overload, ...] = (
    *_ordered(operator.lt, "_<_"),
    *_ordered(operator.le, "_<=_"),
    *_ordered(operator.gt, "_>_"),
    *_ordered(operator.ge, "_>=_"),
    overload("_==_", "(A, A) -> bool", equal, "compare"),
    overload("_!=_", "(A, A) -> bool", lambda a, b: not equal(a, b), "compare"),
    overload("!_", "(bool) -> bool", operator.not_),
    overload("@not_strictly_false", "(bool) -> bool", lambda a: a is not False),
    overload("_&&_", "(bool, bool) -> bool", lambda a, b: a and b, "logical"),
    overload("_||_", "(bool, bool) -> bool", lambda a, b: a or b, "logical"),
    overload("_?_:_", "(bool, A, A) -> A", lambda test, a, b: a if test else b, "conditional"),
    overload("@in", "(A, list(A)) -> bool", lambda item, items: contains(items, item), "in_list"),
    overload("@in", "(A, map(A, B)) -> bool", lambda key, entries: lookup_key(key) in entries),
    overload("_[_]", "(list(A), int) -> A", item_at, "index_list"),
    overload("_[_]", "(map(A, B), A) -> B", index_map, "index_map"),
    *(
        overload("size", form.format(kind), size_of)
        for kind in ("string", "bytes", "list(A)", "map(A, B)")
        for form in ("({}) -> int", "{}.() -> int")
    ),
    overload("contains", "string.(string) -> bool", lambda text, part: part in text, "contains"),
    overload("startsWith", "string.(string) -> bool", str.startswith, "starts"),
    overload("endsWith", "string.(string) -> bool", str.endswith, "starts"),
    overload("matches", "string.(string) -> bool", matches, "matches", searches=True, literal=bad_pattern),
    overload(
        "matches", "(string, string) -> bool", matches, searches=True, literal=lambda subject, _: bad_pattern(None, subject)
    ),
)
