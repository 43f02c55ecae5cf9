"""An object without some of its fields."""

from __future__ import annotations

from typing import Any

from steersman.machinery.apply.fieldset import SELF, FieldSet, is_member
from steersman.machinery.apply.types import Type, resolve


def remove(value: Any, fields: FieldSet, kind: Type) -> Any:
    """The value without these paths and what is below them. It is not changed. A container that loses all it has stays, empty.

    Raises KeyFault.
    """
    kind = resolve(kind, value)
    if kind.leaf or not value or not fields:
        return value
    if isinstance(value, dict):
        kept = dict(value)
        for element, node in fields.items():
            key = element[2:]
            if element == SELF or key not in kept:
                continue
            if is_member(node):
                del kept[key]
            else:
                kept[key] = remove(kept[key], node, kind.of(key))
        return kept
    if not isinstance(value, list):
        return value
    items = []
    for item in value:
        found = fields.get(kind.item(item))
        if found is None:
            items.append(item)
        elif not is_member(found):
            items.append(remove(item, found, kind.items))
    return items
