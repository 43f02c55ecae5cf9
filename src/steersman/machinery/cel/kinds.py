"""Whether a value may stand where a type is asked for: how calls on dyn find their overload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from steersman.machinery.cel.types import Type
from steersman.machinery.cel.values import kind_of


def accepts(type_: Type) -> Callable[[Any], bool]:
    """The test whether a value may be an argument of a type."""
    kind = type_.kind
    if kind in ("dyn", "any", "param", "error"):
        return lambda value: True
    if kind == "list":
        return lambda value: isinstance(value, list)
    if kind in ("map", "object"):
        return lambda value: isinstance(value, Mapping)
    if kind == "opaque":
        name = type_.name
        return lambda value: kind_of(value).name == name
    return lambda value: kind_of(value).kind == kind
