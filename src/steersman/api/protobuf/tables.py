"""What to do with each field of a message: tables compiled from the facts, once per definition, when first needed."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any, TypeAlias

from steersman.api.protobuf import either
from steersman.api.protobuf.facts import Numbered, numbered
from steersman.api.protobuf.special import READERS
from steersman.api.protobuf.wire import BYTES, FIXED64, VARINT
from steersman.api.schema.loader import Type

# How a value becomes part of an object. Plain numbers, because each field of each message is compared with them. From TEXT on,
# values are length-delimited.
INT64, INT32, BOOL, DOUBLE, EACH_INT, EACH_BOOL = range(6)
TEXT, MESSAGE, MESSAGES, TEXTS, VALUE, MAP, EMBEDDED, VALUES, PACKED_INTS, PACKED_BOOLS, EITHER = range(6, 17)

Entry: TypeAlias = "tuple[int, str, Any]"
"""Operation, key, and what the operation needs: for scalars and texts whether zero stays, for messages (and for EITHER) their
Table, for values a function, for maps (operation, need) of the elements, for embedded messages their tags."""
Tags: TypeAlias = "dict[int, Entry]"

_SCALARS = {
    "int32": (INT32, VARINT),
    "int64": (INT64, VARINT),
    "integer": (INT64, VARINT),
    "boolean": (BOOL, VARINT),
    "double": (DOUBLE, FIXED64),
}


class Table:
    """The fields of one definition; `tags` is made when the first such message comes."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def tags(self) -> Tags:
        tags: Tags = {}
        for field in numbered(self._name):
            _add(tags, field)
        return tags


@cache
def table(name: str) -> Table:
    return Table(name)


def _add(tags: Tags, numbered_field: Numbered) -> None:
    for number in numbered_field.embedded:
        inner = tags.setdefault(number << 3 | BYTES, (EMBEDDED, "", {}))
        tags = inner[2]
    field, number = numbered_field.field, numbered_field.number << 3
    kind = field.type
    if kind.item is None or kind.kind == "map":
        wire, entry = _single(kind, not numbered_field.omit_zero)
        tags[number | wire] = (entry[0], field.name, entry[1])
    elif kind.item.kind in _SCALARS:
        is_bool = kind.item.kind == "boolean"
        tags[number | VARINT] = (EACH_BOOL if is_bool else EACH_INT, field.name, True)
        tags[number | BYTES] = (PACKED_BOOLS if is_bool else PACKED_INTS, field.name, None)
    else:
        several = {TEXT: TEXTS, MESSAGE: MESSAGES, VALUE: VALUES}
        _, (op, more) = _single(kind.item, True)
        tags[number | BYTES] = (several[op], field.name, more)


def _single(kind: Type, keeps_zero: bool) -> tuple[int, tuple[int, Any]]:
    """Wire type, operation and its argument for a value of this type."""
    if kind.kind == "string":
        return BYTES, (TEXT, keeps_zero)
    if kind.kind == "ref":
        return BYTES, (MESSAGE, table(kind.ref))
    if kind.kind == either.EITHER:
        return BYTES, (EITHER, table(kind.ref))
    if kind.kind == "map":
        assert kind.item is not None
        return BYTES, (MAP, _element(kind.item))
    if kind.kind in _SCALARS:
        op, wire = _SCALARS[kind.kind]
        return wire, (op, keeps_zero)
    return BYTES, (VALUE, READERS[kind.kind])


def _element(kind: Type) -> tuple[int, Any]:
    """A map's elements. Lists in maps are messages with one field, `items`."""
    if kind.kind == "list":
        return TEXTS, _ITEMS
    return _single(kind, True)[1]


class _Items(Table):
    """authentication and authorization ExtraValue: texts."""

    @cached_property
    def tags(self) -> Tags:
        return {1 << 3 | BYTES: (TEXTS, "items", None)}


_ITEMS = _Items("")
