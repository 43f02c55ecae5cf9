"""Kubernetes' lists library (isSorted, min, max, sum, indexOf) and cel-go's (slice, flatten, distinct, sort, reverse, range)."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from steersman.machinery.cel.cost.charges import CALL_LIMIT
from steersman.machinery.cel.errors import CelRuntimeError, CostLimitExceeded
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.library.arithmetic import LONGEST_LIST
from steersman.machinery.cel.library.arithmetic import OVERLOADS as ARITHMETIC
from steersman.machinery.cel.values import Duration, UInt, compare, contains, equal

_ORDERED = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_ZERO: dict[str, Any] = {"int": 0, "uint": UInt(0), "double": 0.0, "duration": Duration(0)}
_ADD = {str(item.result): item.run for item in ARITHMETIC if item.name == "_+_" and item.params[0] == item.params[1]}


def _is_sorted(items: list[Any]) -> bool:
    return all(compare(one, other) <= 0 for one, other in zip(items, items[1:]))


def _extreme(items: list[Any], sign: int, name: str) -> Any:
    if not items:
        raise CelRuntimeError(f"{name} called on empty list")
    found = items[0]
    for item in items[1:]:
        if compare(item, found) * sign > 0:
            found = item
    return found


def _sum(kind: str) -> Any:
    add, zero = _ADD[kind], _ZERO[kind]

    def run(items: list[Any]) -> Any:
        total = zero
        for item in items:
            total = add(total, item)
        return total

    return run


def _index_of(items: list[Any], value: Any) -> int:
    return next((index for index, item in enumerate(items) if equal(item, value)), -1)


def _last_index_of(items: list[Any], value: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if equal(items[index], value)), -1)


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise CelRuntimeError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise CelRuntimeError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if end > len(items):
        raise CelRuntimeError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return list(items[start:end])


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise CelRuntimeError("level must be non-negative")
    while depth and any(isinstance(item, list) for item in items):
        if sum(len(item) if isinstance(item, list) else 1 for item in items) > LONGEST_LIST:
            raise CostLimitExceeded
        items = [part for item in items for part in (item if isinstance(item, list) else [item])]
        depth -= 1
    return list(items)


def _distinct(items: list[Any]) -> list[Any]:
    made: list[Any] = []
    for item in items:
        if not contains(made, item):
            made.append(item)
    return made


def _sort(items: list[Any]) -> list[Any]:
    return _sort_by(items, items)


def _sort_by(items: list[Any], keys: list[Any]) -> list[Any]:
    if len({type(key) for key in keys}) > 1:
        raise CelRuntimeError("list elements must have the same type")
    order = cmp_to_key(compare)
    return [item for item, _ in sorted(zip(items, keys), key=lambda pair: order(pair[1]))]


def _range(count: int) -> list[int]:
    if count > CALL_LIMIT:
        raise CostLimitExceeded
    return list(range(count))


OVERLOADS: tuple[Overload, ...] = (
    *(overload("isSorted", f"list({kind}).() -> bool", _is_sorted, "elements") for kind in _ORDERED),
    *(overload("min", f"list({kind}).() -> {kind}", lambda items: _extreme(items, -1, "min"), "elements") for kind in _ORDERED),
    *(overload("max", f"list({kind}).() -> {kind}", lambda items: _extreme(items, 1, "max"), "elements") for kind in _ORDERED),
    *(overload("sum", f"list({kind}).() -> {kind}", _sum(kind), "elements") for kind in _ZERO),
    overload("indexOf", "list(T).(T) -> int", _index_of, "elements"),
    overload("lastIndexOf", "list(T).(T) -> int", _last_index_of, "elements"),
    overload("slice", "list(T).(int, int) -> list(T)", _slice, "result"),
    overload("flatten", "list(list(T)).() -> list(T)", _flatten, "flatten"),
    overload("flatten", "list(dyn).(int) -> list(dyn)", _flatten, "flatten"),
    overload("distinct", "list(T).() -> list(T)", _distinct, "quadratic"),
    overload("reverse", "list(T).() -> list(T)", lambda items: list(reversed(items)), "result"),
    *(overload("sort", f"list({kind}).() -> list({kind})", _sort, "quadratic") for kind in _ORDERED),
    *(overload("@sortByAssociatedKeys", f"list(T).(list({kind})) -> list(T)", _sort_by, "quadratic") for kind in _ORDERED),
    overload("lists.range", "(int) -> list(int)", _range, "result"),
)
