"""Which type a value has, and whether a value may stand where a type is asked for: how calls on dyn find their overload."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from steersman.machinery.cel import types
from steersman.machinery.cel.types import Type
from steersman.machinery.cel.values import Duration, Optional, Timestamp, UInt
from steersman.machinery.quantity import Quantity

_KINDS: dict[type, Type] = {
    bool: types.BOOL,
    int: types.INT,
    UInt: types.UINT,
    float: types.DOUBLE,
    str: types.STRING,
    bytes: types.BYTES,
    type(None): types.NULL,
    Duration: types.DURATION,
    Timestamp: types.TIMESTAMP,
    Type: types.TYPE,
    Quantity: types.QUANTITY,
    ipaddress.IPv4Address: types.IP,
    ipaddress.IPv6Address: types.IP,
}


def kind_of(value: Any) -> Type:
    found = _KINDS.get(type(value))
    if found is not None:
        return found
    if isinstance(value, list):
        return types.NAMED["list"]
    if isinstance(value, Mapping):
        return types.NAMED["map"]
    if isinstance(value, Optional):
        return types.NAMED["optional_type"]
    named = getattr(value, "cel_type", None)
    return named if isinstance(named, Type) else types.DYN


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
