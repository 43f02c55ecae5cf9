"""The cost of a call, from its arguments as they are. What is not here costs 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steersman.machinery.cel.values import size_of

CALL_LIMIT = 1_000_000
"""What one evaluation may cost."""
TRAVERSAL = 0.1
PATTERN = 0.25
BASE_LIST, BASE_MAP, BASE_OBJECT = 10, 30, 40
_CALL = 11
"""What cel-go's list functions cost beside their result."""

Args = Sequence[Any]


def traversed(size: float) -> int:
    """What it costs to go through that many characters."""
    return math.ceil(size * TRAVERSAL)


def _first(args: Args, _: Any) -> int:
    return traversed(size_of(args[0]))


def _first_twice(args: Args, _: Any) -> int:
    return traversed(size_of(args[0]) * 2)


def compared(args: Args, _: Any) -> int:
    return traversed(min(size_of(args[0]), size_of(args[1])))


def _matched(args: Args, _: Any) -> int:
    return traversed(1 + size_of(args[0])) * math.ceil(size_of(args[1]) * PATTERN)


def _elements(args: Args, _: Any) -> int:
    """Functions that go through a list once, strings in it included. Of a string: itself."""
    return _gone_through(args[0])


def _gone_through(value: Any) -> int:
    """By bytes, and rounded down, unlike all else."""
    if isinstance(value, str):
        return int(len(value.encode("utf-8", "surrogatepass")) * TRAVERSAL)
    if isinstance(value, bytes):
        return int(len(value) * TRAVERSAL)
    if isinstance(value, list):
        return sum(map(_gone_through, value))
    return sum(map(_gone_through, value.values())) if isinstance(value, Mapping) else 1


def _contains_cidr(args: Args, _: Any) -> int:
    own, other = size_of(args[0]), args[1]
    return traversed(own * 2) + traversed(own) + 1 + (traversed(len(other)) if isinstance(other, str) else 0)


def _contains_ip(args: Args, _: Any) -> int:
    return traversed(size_of(args[0]) * 2) + (traversed(len(args[1])) if isinstance(args[1], str) else 0)


def _validated(args: Args, _: Any) -> int:
    """A named format against a string: what its pattern costs."""
    size = math.ceil(getattr(args[0], "pattern_size", 0) * PATTERN)
    return traversed(size_of(args[1]) + 1) * size


def _flattened(args: Args, result: Any) -> int:
    depth = args[1] if len(args) > 1 and isinstance(args[1], int) else 1
    return size_of(result) * max(depth, 1) + _CALL


def _selected(args: Args, _: Any) -> int:
    """A selector for the authorizer: parsed, and then gone through by it."""
    size = size_of(args[1])
    return 10 + traversed(size) + math.ceil(size * 0.5) * 50


CHARGES: Mapping[str, Callable[[Args, Any], int]] = {
    "first": _first,
    "first_sized": _first,
    "first_twice": _first_twice,
    "to_string": _first,
    "to_bytes": _first,
    "starts": _first,
    "format": _first,
    "quote": _first,
    "replace": _first_twice,
    "split": _first_twice,
    "add": lambda args, _: traversed(size_of(args[0]) + size_of(args[1])),
    "compare": compared,
    "in_list": lambda args, _: size_of(args[1]),
    "contains": lambda args, _: traversed(size_of(args[0])) * traversed(size_of(args[1])),
    "matches": _matched,
    "find": _matched,
    "join": lambda _, result: traversed(size_of(result) * 2),
    "elements": _elements,
    "contains_ip": _contains_ip,
    "contains_cidr": _contains_cidr,
    "validate": _validated,
    "sets": lambda args, _: size_of(args[0]) * size_of(args[1]) + 1,
    "sets_both": lambda args, _: 2 * size_of(args[0]) * size_of(args[1]),
    "result": lambda _, result: size_of(result) + _CALL,
    "flatten": _flattened,
    "check": lambda args, _: 350_000,
    "selector": _selected,
    "quadratic": lambda args, _: 2 * size_of(args[0]) ** 2 + _CALL,
}
BY_RESULT = frozenset({"join", "result", "flatten"})
"""Of these, the cost is known when they have run."""
BY_OVERLOAD = frozenset({"add", "add_list", "compare", "in_list", "contains", "starts", "matches", "to_string", "to_bytes"})
"""Of these, a call that could be of several overloads costs 1."""
