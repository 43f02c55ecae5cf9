"""Checks objects against the schema at C speed, and brings their values into canonical form.

`Checker` holds, per definition, msgspec types made lazily from the facts and a plan of the places where quantities and times
are. The msgspec objects are thrown away: only that they could be made counts (design decision 3). When they could not,
schema/walk.py finds out why. There are two types per definition: the tight one takes no zero values where schema/zeros.py would
drop them, and wants what it would put in, so that most objects are known to need no further look.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache, cached_property
from typing import Annotated, Any

import msgspec

from steersman.api.schema import scalars, zeros
from steersman.api.schema.loader import Type, schema
from steersman.machinery import quantity
from steersman.machinery.meta import Obj

_INT32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_SCALARS: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "int32": _INT32,
    "int64": _INT64,
    "integer": _INT64,
    "double": float,
    "number": float,
    "bytes": bytes,
    "time": datetime,
    "micro-time": datetime,
    "quantity": str | int | float,
    "int-or-string": _INT32 | str,
    "raw": Any,
    "any": Any,
}
_TIGHT: dict[str, Any] = {
    **_SCALARS,
    "string": Annotated[str, msgspec.Meta(min_length=1)],
    "int32": Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)],
    "int64": Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)],
    "bytes": Annotated[bytes, msgspec.Meta(min_length=1)],
}
"""False can't be excluded, nor can 0.0."""
_FULL = msgspec.Meta(min_length=1)
_RAW_KINDS = ("raw", "any")
_CONTAINERS = (dict, list)

Fix = Callable[[Any], Any]
"""Changes a container in place and returns it, or returns a scalar's canonical form. Raises ValueError for malformed scalars."""


class Checker:
    """Fast type check of one definition."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._fix = _fix_struct(name, (name,))
        self._free_form = _has_free_form(name)

    @cached_property
    def _tight(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(_struct(self.name, (), tight=True))

    @cached_property
    def _loose(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(_struct(self.name, (), tight=False))

    def accepts_json(self, body: bytes) -> bool:
        return _decodes(self._loose, body)

    def accepts_tight_json(self, body: bytes) -> bool:
        """Whether the body is right, and sure to hold nothing that `zeros.drop` would drop."""
        return b"false" not in body and _decodes(self._tight, body)

    def accepts(self, obj: Obj) -> bool:
        try:
            msgspec.convert(obj, self._loose.type)
        except (msgspec.ValidationError, RecursionError):
            return False
        return True

    def canonicalize(self, obj: Obj) -> bool:
        """Quantities and times in canonical form, in place. False: one of them is malformed."""
        if self._fix is not None:
            try:
                self._fix(obj)
            except ValueError:
                return False
        return True

    def drop_nulls(self, obj: Obj) -> bool:
        """Drop null fields of an accepted object, as Go's decoding does. False: only a walk along the schema can."""
        if self._free_form:
            return False
        _drop_nulls(obj)
        return True


def _decodes(decoder: msgspec.json.Decoder[Any], body: bytes) -> bool:
    try:
        decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


@cache
def checker(name: str) -> Checker:
    return Checker(name)


@cache
def _struct_cached(name: str, *, tight: bool) -> Any:
    return _make_struct(name, (name,), tight=tight)


def _struct(name: str, inside: tuple[str, ...], *, tight: bool) -> Any:
    """The msgspec type of a definition. A definition that contains itself is not checked below its second level."""
    if name in inside:
        return dict[str, Any]
    return _make_struct(name, (*inside, name), tight=tight) if _recursive(name) else _struct_cached(name, tight=tight)


@cache
def _recursive(name: str) -> bool:
    seen: set[str] = set()
    todo = [name]
    while todo:
        for field in schema().definition(todo.pop()).fields.values():
            ref = field.type.leaf.ref
            if ref == name:
                return True
            if ref and ref not in seen:
                seen.add(ref)
                todo.append(ref)
    return False


def _make_struct(name: str, inside: tuple[str, ...], *, tight: bool) -> Any:
    definition = schema().definition(name)
    full = zeros.droppable(name) if tight else frozenset()
    given = zeros.given(name) if tight else ()
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    rename = {}
    for number, field in enumerate(definition.fields.values()):
        attribute = f"f{number}"
        rename[attribute] = field.name
        made = _python_type(field.type, inside, tight, full=field.name in full)
        fields.append((attribute, made) if field.name in given else (attribute, made | None, None))
    if not fields:
        return dict[str, Any]
    return msgspec.defstruct(definition.short_name, fields, rename=rename, forbid_unknown_fields=True, kw_only=True, gc=False)


def _python_type(kind: Type, inside: tuple[str, ...], tight: bool, *, full: bool = False) -> Any:
    """`full`: zero values are refused."""
    if kind.kind == "ref":
        return _struct(kind.ref, inside, tight=tight)
    if kind.item is None:
        return (_TIGHT if full else _SCALARS)[kind.kind]
    item = _python_type(kind.item, inside, tight)
    made = list.__class_getitem__(item) if kind.kind == "list" else dict.__class_getitem__((str, item))
    return Annotated[made, _FULL] if full else made


_FIXES: dict[str, Fix] = {
    "quantity": quantity.canonical,
    "time": scalars.canonical_time,
    "micro-time": scalars.canonical_micro_time,
}


def _fix_of(kind: Type, inside: tuple[str, ...]) -> Fix | None:
    """What brings a value of this type into canonical form; None if nothing in it needs that."""
    if kind.kind == "ref":
        return None if kind.ref in inside else _fix_struct(kind.ref, (*inside, kind.ref))
    if kind.item is None:
        return _FIXES.get(kind.kind)
    if kind.kind == "map" and kind.item.kind == "quantity":
        return _fix_amounts
    fix = _fix_of(kind.item, inside)
    if fix is None:
        return None
    return _fix_list(fix) if kind.kind == "list" else _fix_map(fix)


def _fix_struct(name: str, inside: tuple[str, ...]) -> Fix | None:
    scalar: list[tuple[str, Fix]] = []
    nested: list[tuple[str, Fix]] = []
    for field in schema().definition(name).fields.values():
        fix = _fix_of(field.type, inside)
        if fix is not None:
            (scalar if field.type.kind in _FIXES else nested).append((field.name, fix))
    if not scalar and not nested:
        return None

    def fix_struct(value: Obj) -> Obj:
        for key, fix in scalar:
            found = value.get(key)
            if found is not None:
                value[key] = fix(found)
        for key, fix in nested:
            found = value.get(key)
            if found:
                fix(found)
        return value

    return fix_struct


def _fix_list(fix: Fix) -> Fix:
    def fix_list(value: list[Any]) -> list[Any]:
        for index, item in enumerate(value):
            value[index] = fix(item)
        return value

    return fix_list


def _fix_map(fix: Fix) -> Fix:
    def fix_map(value: Obj) -> Obj:
        for key, item in value.items():
            value[key] = fix(item)
        return value

    return fix_map


def _fix_amounts(value: Obj) -> Obj:
    for key, item in value.items():
        value[key] = quantity.canonical_resource(item)
    return value


def _drop_nulls(value: Any) -> None:
    if type(value) is dict:
        if None in value.values():
            for key in [key for key, item in value.items() if item is None]:
                del value[key]
        for key, item in value.items():
            if item and type(item) in _CONTAINERS and key != "fieldsV1":
                _drop_nulls(item)
    else:
        for item in value:
            if item and type(item) in _CONTAINERS:
                _drop_nulls(item)


@cache
def _has_free_form(name: str) -> bool:
    """True if nulls may mean something somewhere below (fieldsV1 aside)."""
    seen: set[str] = {name}
    todo = [name]
    while todo:
        for field in schema().definition(todo.pop()).fields.values():
            leaf = field.type.leaf
            if leaf.kind in _RAW_KINDS and field.name != "fieldsV1":
                return True
            if leaf.ref and leaf.ref not in seen:
                seen.add(leaf.ref)
                todo.append(leaf.ref)
    return False
