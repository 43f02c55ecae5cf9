"""cel-go's sets library: lists as sets, duplicates ignored."""

from __future__ import annotations

from typing import Any

from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.values import contains


def _contains(items: list[Any], parts: list[Any]) -> bool:
    return all(contains(items, part) for part in parts)


def _equivalent(a: list[Any], b: list[Any]) -> bool:
    return _contains(a, b) and _contains(b, a)


def _intersects(a: list[Any], b: list[Any]) -> bool:
    return any(contains(b, item) for item in a)


OVERLOADS: tuple[Overload, ...] = (
    overload("sets.contains", "(list(T), list(T)) -> bool", _contains, "sets"),
    overload("sets.equivalent", "(list(T), list(T)) -> bool", _equivalent, "sets_both"),
    overload("sets.intersects", "(list(T), list(T)) -> bool", _intersects, "sets"),
)
