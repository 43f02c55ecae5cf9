"""What a type is to apply: which of its parts may have owners of their own, and how the items of its lists are told apart.

Made from the schema facts (api/schema/applytypes.py) and from structural schemas (api/structural/applytypes.py).
Source: sigs.k8s.io/structured-merge-diff, schema; k8s.io/kube-openapi, schemaconv.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from steersman.machinery.apply import elements

Kind = Literal["scalar", "map", "list", "any"]
Scalar = Literal["string", "numeric", "boolean", "untyped"]
MISSING: Any = object()


class KeyFault(ValueError):
    """A list item that cannot be told from others."""


class Type:
    """One type. Members are looked up when they are needed, as types may contain themselves.

    kind: `map` has fields and, for further keys, an element type; `any` is whatever the value is (maps granular, lists atomic).
    atomic: owned as a whole. scalar: of kind scalar, what values are accepted.
    keys: of a list, the fields that tell items apart; of a granular list without keys, the items are a set.
    key_defaults: what a key field is where an item does not have it.
    always: fields that upstream writes even when they are empty, so that giving them something does not add them.
    ignored: fields that nobody owns.
    """

    __slots__ = ("kind", "atomic", "scalar", "keys", "key_defaults", "always", "ignored", "leaf", "_make", "__dict__")

    def __init__(
        self,
        kind: Kind,
        *,
        atomic: bool = False,
        scalar: Scalar = "untyped",
        keys: Sequence[str] = (),
        key_defaults: Mapping[str, Any] | None = None,
        always: Mapping[str, Any] | None = None,
        ignored: frozenset[str] = frozenset(),
        members: Callable[[], tuple[Mapping[str, Type], Type | None]] | None = None,
    ) -> None:
        self.kind, self.atomic, self.scalar, self.keys = kind, atomic, scalar, tuple(keys)
        self.key_defaults = key_defaults or {}
        self.always = always or {}
        self.ignored = ignored
        self.leaf = atomic or kind == "scalar"
        self._make = members

    @cached_property
    def _members(self) -> tuple[Mapping[str, Type], Type | None]:
        return self._make() if self._make is not None else ({}, None)

    @cached_property
    def fields(self) -> Mapping[str, Type]:
        return self._members[0]

    @cached_property
    def element(self) -> Type | None:
        """Type of a map's further values, or of a list's items."""
        return self._members[1]

    def of(self, key: str) -> Type:
        """Type of the value at a map's key; anything goes where the schema does not say."""
        found = self.fields.get(key)
        return found if found is not None else self.element or ANY

    @cached_property
    def exact(self) -> bool:
        """Whether a schema says the type of every scalar inside, so that values that Python finds equal are."""
        seen: set[int] = set()
        todo = [self]
        while todo:
            kind = todo.pop()
            if kind.kind == "any":
                return False
            if id(kind) in seen:
                continue
            seen.add(id(kind))
            # Sets of fields hold nothing but objects.
            todo += [inner for key, inner in kind.fields.items() if key not in kind.ignored and key != "fieldsV1"]
            if kind.element is not None:
                todo.append(kind.element)
        return True

    @property
    def items(self) -> Type:
        return self.element or ANY

    def item(self, item: Any) -> str:
        """The path element of a granular list's item. Raises KeyFault."""
        if not self.keys:
            if isinstance(item, dict | list):
                kind = "map" if isinstance(item, dict) else "list"
                raise KeyFault(f"invalid type: associative list of scalars can't have {kind} elements")
            return elements.of_value(item)
        if item is None:
            raise KeyFault("associative list with keys may not have a null element")
        if not isinstance(item, dict):
            raise KeyFault("associative list with keys may not have non-map elements")
        found = {}
        for key in self.keys:
            value = item.get(key, MISSING)
            if value is MISSING:
                value = self.key_defaults.get(key, MISSING)
            if value is not MISSING:
                found[key] = value
        if not found:
            names = " ".join(f'"{key}"' for key in self.keys)
            raise KeyFault(
                f"associative list with keys has an element that omits all key fields [{names}] "
                "(and doesn't have default values for any key fields)"
            )
        return elements.of_keys(found)


ANY = Type("any")
ANY_ATOMIC = Type("any", atomic=True)
_DEDUCED_MAP = Type("map", members=lambda: ({}, ANY))
_DEDUCED_LIST = Type("list", atomic=True, members=lambda: ({}, ANY))
UNTYPED = Type("scalar")


def deduced(value: Any) -> Type:
    """What a value without a schema is."""
    if isinstance(value, dict):
        return _DEDUCED_MAP
    return _DEDUCED_LIST if isinstance(value, list) else UNTYPED


def resolve(kind: Type, value: Any) -> Type:
    """The type of a value, looked at if its type is `any`."""
    return deduced(value) if kind.kind == "any" and not kind.atomic else kind
