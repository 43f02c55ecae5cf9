"""The set of fields that a value has: of an applied configuration (`of_config`), and of something that is new (`of_new`).

They differ in what they say of containers: who applies `spec: {a: 1}` owns `spec.a` only, who adds a map adds the map as well.
"""

from __future__ import annotations

from typing import Any

from steersman.machinery.apply.fieldset import LEAF, SELF, FieldSet
from steersman.machinery.apply.types import ANY, Type, resolve


def of_config(value: Any, kind: Type) -> FieldSet:
    """The set of an applied object. Raises KeyFault for items that cannot be told apart."""
    return (_applied(value, kind) or {}) if value and isinstance(value, dict) else {}


def _applied(value: Any, kind: Type) -> FieldSet | None:
    """The node of an applied value; None if there is nothing to own in it. A leaf owns the path that leads here."""
    kind = resolve(kind, value)
    if kind.leaf or value is None:
        return LEAF
    made: FieldSet = {}
    if isinstance(value, dict):
        if not value:
            return LEAF
        for key, inner in value.items():
            if key in kind.ignored:
                continue
            node = _applied(inner, kind.of(key))
            if key not in kind.fields:
                node = _itself(node)
            if node is not None:
                made[f"f:{key}"] = node
    elif not isinstance(value, list) or kind.kind != "list":
        return LEAF
    else:
        for item in value:
            element = kind.item(item)
            made[element] = LEAF if element in made else _itself(_applied(item, kind.items))
    return made or None


def _itself(node: FieldSet | None) -> FieldSet:
    """The node, with the path that leads to it."""
    return {SELF: LEAF, **node} if node else LEAF


def of_new(value: Any, kind: Type) -> FieldSet:
    """The node of a value that was not there before: everything in it, and the path that leads to it. Raises KeyFault.

    On the way of every write that creates something, hence without a call for each scalar.
    """
    if kind.leaf or not value:
        return LEAF
    if type(value) is dict:
        fields, element, ignored = kind.fields, kind.element or ANY, kind.ignored
        made: FieldSet = {SELF: LEAF}
        for key, inner in value.items():
            inner_kind = fields.get(key, element)
            if inner_kind.leaf:
                if key not in ignored:
                    made["f:" + key] = LEAF
            else:
                made["f:" + key] = of_new(inner, inner_kind)
        return made
    if type(value) is list and kind.kind == "list":
        items = kind.items
        made = {SELF: LEAF}
        for item in value:
            path = kind.item(item)
            # An item that is there twice is owned as a whole.
            made[path] = LEAF if path in made else of_new(item, items)
        return made
    return LEAF


def struct_fields_too(fields: FieldSet, kind: Type) -> FieldSet:
    """The set with every struct field that has something owned in it: such a field is as good as owned itself."""
    if kind.leaf or kind.kind == "any" or not fields:
        return fields
    made: FieldSet = {}
    for element, node in fields.items():
        if element[0] != "f":
            made[element] = node if element == SELF else struct_fields_too(node, kind.items)
            continue
        key = element[2:]
        inner = struct_fields_too(node, kind.of(key))
        made[element] = {SELF: LEAF, **inner} if inner and key in kind.fields else inner
    return made


def folded(fields: FieldSet, kind: Type) -> FieldSet:
    """The set after the type has changed: who owned something in what is atomic now owns it as a whole."""
    if not fields or kind.kind == "any":
        return fields
    if kind.leaf:
        return LEAF
    made: FieldSet = {}
    for element, node in fields.items():
        inner = kind.of(element[2:]) if element[0] == "f" else kind.items
        made[element] = node if element == SELF else folded(node, inner)
    return made
