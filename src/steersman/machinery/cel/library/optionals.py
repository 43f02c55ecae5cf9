"""Optional values. `.?`, `[?]`, or() and orValue() are in the planner, optMap() and optFlatMap() are macros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.values import NONE, Duration, Optional, Timestamp


def _of_non_zero(value: Any) -> Optional:
    return NONE if _is_zero(value) else Optional(value)


def _is_zero(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, bool | int | float | str | bytes | list | Mapping):
        return not value
    if isinstance(value, Duration):
        return value.ns == 0
    if isinstance(value, Optional):
        return not value.present
    return isinstance(value, Timestamp) and value.ns == 0


def _unwrap(items: list[Any]) -> list[Any]:
    if not all(isinstance(item, Optional) for item in items):
        raise CelRuntimeError("no such overload")
    return [item.value for item in items if item.present]


def _or(_: Any, other: Any) -> Any:
    """Stands for or() and orValue(), which the planner runs."""
    return other


OVERLOADS: tuple[Overload, ...] = (
    overload("optional.of", "(T) -> optional(T)", Optional),
    overload("optional.ofNonZeroValue", "(T) -> optional(T)", _of_non_zero),
    overload("optional.none", "() -> optional(T)", lambda: NONE),
    overload("hasValue", "optional(T).() -> bool", lambda value: value.present),
    overload("value", "optional(T).() -> T", lambda value: value.value),
    overload("or", "optional(T).(optional(T)) -> optional(T)", _or),
    overload("orValue", "optional(T).(T) -> T", _or),
    overload("_[?_]", "(list(T), int) -> optional(T)", _or),
    overload("_[?_]", "(optional(list(T)), int) -> optional(T)", _or),
    overload("_[?_]", "(map(A, T), A) -> optional(T)", _or),
    overload("_[?_]", "(optional(map(A, T)), A) -> optional(T)", _or),
    overload("_[_]", "(optional(list(T)), int) -> optional(T)", _or),
    overload("_[_]", "(optional(map(A, T)), A) -> optional(T)", _or),
    overload("optional.unwrap", "(list(optional(T))) -> list(T)", _unwrap),
    overload("unwrapOpt", "list(optional(T)).() -> list(T)", _unwrap),
    overload("first", "list(T).() -> optional(T)", lambda items: Optional(items[0]) if items else NONE),
    overload("last", "list(T).() -> optional(T)", lambda items: Optional(items[-1]) if items else NONE),
    overload("cel.@mapInsert", "(map(A, B), A, B) -> map(A, B)", _or),
    overload("cel.@mapInsert", "(map(A, B), map(A, B)) -> map(A, B)", _or),
)
"""cel.@mapInsert, indexes and or() have their types here; they run elsewhere (folds.py, paths.py, planner.py)."""
