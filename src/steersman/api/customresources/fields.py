"""Fields of custom resources by simple paths (`.spec.color`): what selectableFields and scale subresources name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steersman.machinery.meta import Obj


def parts_of(path: str) -> tuple[str, ...]:
    """`.spec.replicas` -> (spec, replicas)."""
    return tuple(path.removeprefix(".").split("."))


def value_at(obj: Any, parts: tuple[str, ...]) -> Any:
    """None where there is nothing."""
    for part in parts:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(part)
    return obj


@dataclass(frozen=True, slots=True)
class FieldAt:
    """What a field selector compares: the value at a path as text, empty where there is none. Equal if the paths are."""

    parts: tuple[str, ...]

    def __call__(self, obj: Obj) -> str:
        value = value_at(obj, self.parts)
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else str(value)
