"""Values while an expression runs. Most are Python's own: int, float, bool, str, bytes, None, list, dict.

Here is what Python lacks: unsigned integers, time to the nanosecond, optionals, types, and maps whose keys true and 1 differ
(`key_of`). Equality and order are those of the language (`equal`, `compare`), never Python's.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from steersman.machinery.cel import types
from steersman.machinery.cel.errors import CelRuntimeError, no_such_overload
from steersman.machinery.cel.types import Type
from steersman.machinery.quantity import Quantity

MIN_INT: Final = -(1 << 63)
MAX_INT: Final = (1 << 63) - 1
MAX_UINT: Final = (1 << 64) - 1
SECOND: Final = 10**9


class UInt(int):
    """An unsigned integer; its arithmetic is in library/arithmetic.py."""

    __slots__ = ()


class Duration:
    """ns: nanoseconds."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        if not MIN_INT <= ns <= MAX_INT:
            raise CelRuntimeError("duration overflow")
        self.ns = ns

    def __eq__(self, other: object) -> bool:
        return type(other) is Duration and self.ns == other.ns

    def __hash__(self) -> int:
        return hash(self.ns)


_FIRST: Final = -62135596800 * SECOND
_LAST: Final = 253402300800 * SECOND


class Timestamp:
    """ns: nanoseconds since 1970 in UTC, years 1 to 9999. offset_s: the zone it was written in, which only its text shows."""

    __slots__ = ("ns", "offset_s")

    def __init__(self, ns: int, offset_s: int = 0) -> None:
        if not _FIRST <= ns < _LAST:
            raise CelRuntimeError("timestamp overflow")
        self.ns = ns
        self.offset_s = offset_s

    def __eq__(self, other: object) -> bool:
        return type(other) is Timestamp and self.ns == other.ns

    def __hash__(self) -> int:
        return hash(self.ns)


_NOTHING: Final = object()


class Optional:
    """A value that may be absent."""

    __slots__ = ("_value",)

    def __init__(self, value: Any = _NOTHING) -> None:
        self._value = value

    @property
    def present(self) -> bool:
        return self._value is not _NOTHING

    @property
    def value(self) -> Any:
        if self._value is _NOTHING:
            raise CelRuntimeError("optional.none() dereference")
        return self._value


NONE: Final = Optional()


class SetList(list[Any]):
    """A list of list-type set: without an order."""

    __slots__ = ()


class MapList(list[Any]):
    """A list of list-type map: without an order, its items known by `keys`."""

    __slots__ = ("keys",)

    def __init__(self, items: Iterable[Any], keys: tuple[str, ...]) -> None:
        super().__init__(items)
        self.keys = keys

    def key(self, item: Any) -> tuple[Any, ...]:
        return tuple(item.get(key) for key in self.keys) if isinstance(item, Mapping) else ()


class ObjectValue(dict[str, Any]):
    """An object literal: knows the type that it was written as."""

    __slots__ = ("type_name",)

    def __init__(self, type_name: str) -> None:
        super().__init__()
        self.type_name = type_name


class BoolKey:
    """true or false as a key of a map: in Python they would be 1 and 0."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value


_BOOL_KEYS: Final = {True: BoolKey(True), False: BoolKey(False)}


def key_of(value: Any) -> Any:
    """How a dict holds a key. Raises CelRuntimeError for what is no key."""
    kind = type(value)
    if kind is str or kind is int or kind is UInt:
        return value
    if kind is bool:
        return _BOOL_KEYS[value]
    raise CelRuntimeError(f"unsupported key type: {kind_of(value).runtime_name}")


def lookup_key(value: Any) -> Any:
    """As key_of, for looking up: a double may be a whole number, and what is no key is not there."""
    kind = type(value)
    if kind is str or kind is int or kind is UInt:
        return value
    if kind is bool:
        return _BOOL_KEYS[value]
    if kind is float and value.is_integer():
        return int(value)
    return _NOTHING


def item_at(items: list[Any], index: Any) -> Any:
    """Of a list: a double may be a whole number here, too."""
    if type(index) is float and index.is_integer():
        index = int(index)
    if isinstance(index, bool) or not isinstance(index, int):
        raise no_such_overload()
    if 0 <= index < len(items):
        return items[index]
    raise CelRuntimeError(f"index out of bounds: {index}")


def key_value(key: Any) -> Any:
    """The value of a dict's key."""
    return key.value if type(key) is BoolKey else key


def size_of(value: Any) -> int:
    """As size() counts, 1 for what has no size: what cost is charged by."""
    if type(value) is str or type(value) is bytes or isinstance(value, list | Mapping):
        return len(value)
    if type(value) is Optional:
        return size_of(value.value) if value.present else 1
    return getattr(value, "cost_size", 1)


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
    """What type() answers."""
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


_SAME_IS_EQUAL: Final = frozenset({str, bytes, bool, int, float, UInt, type(None), Duration, Timestamp})
_NUMBERS: Final = frozenset({int, float, UInt})


def equal(a: Any, b: Any) -> bool:
    """`==` of any two values; never an error."""
    kind, other = type(a), type(b)
    if kind is other and kind in _SAME_IS_EQUAL:
        return bool(a == b)
    if kind in _NUMBERS or other in _NUMBERS:
        return kind in _NUMBERS and other in _NUMBERS and _same_number(a, b)
    if isinstance(a, list):
        return isinstance(b, list) and _same_list(a, b)
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and len(a) == len(b) and all(key in b and equal(item, b[key]) for key, item in a.items())
    if kind is Optional:
        if other is not Optional or a.present != b.present:
            return False
        return not a.present or equal(a.value, b.value)
    return kind is other and bool(a == b)


def _same_number(a: float, b: float) -> bool:
    if type(a) is float or type(b) is float:
        return float(a) == float(b)
    return a == b


def _same_list(a: list[Any], b: list[Any]) -> bool:
    if len(a) != len(b):
        return False
    if type(a) is MapList or type(b) is MapList:
        return _same_map_list(a if type(a) is MapList else b, b if type(a) is MapList else a)
    if type(a) is SetList or type(b) is SetList:
        return set(map(mark, a)) == set(map(mark, b))
    return all(map(equal, a, b))


def _same_map_list(a: Any, b: list[Any]) -> bool:
    mine = {a.key(item): item for item in a}
    return all(a.key(item) in mine and equal(mine[a.key(item)], item) for item in b)


def mark(value: Any) -> Any:
    """Something to hash in place of a value: of two equal values, it is the same."""
    kind = type(value)
    if kind is bool:
        return _BOOL_KEYS[value]
    if isinstance(value, list):
        return ("list", *map(mark, value))
    if isinstance(value, Mapping):
        return ("map", frozenset((key, mark(item)) for key, item in value.items()))
    return value


def contains(items: list[Any], value: Any) -> bool:
    kind = type(value)
    if kind is str:
        # Nothing else equals a string, so Python may look.
        return value in items
    return any(equal(item, value) for item in items)


def compare(a: Any, b: Any) -> int:
    """Negative, 0 or positive, for two values that can be ordered."""
    kind, other = type(a), type(b)
    if kind in _NUMBERS and other in _NUMBERS:
        if kind is float or other is float:
            a, b = float(a), float(b)
            if math.isnan(a) or math.isnan(b):
                raise CelRuntimeError("NaN values cannot be ordered")
    elif kind is not other:
        raise no_such_overload()
    elif kind is Duration or kind is Timestamp:
        a, b = a.ns, b.ns
    elif kind not in (str, bytes, bool):
        raise no_such_overload()
    return int(a > b) - int(a < b)
