"""Lists that are sets or maps (x-kubernetes-list-type): no item twice, no key twice."""

from __future__ import annotations

from typing import Any

import orjson

from steersman.api.structural.model import Node, join
from steersman.machinery.fielderrors import FieldError, duplicate


def validate(value: Any, node: Node, path: str = "") -> list[FieldError]:
    """Duplicates anywhere in a value."""
    errors: list[FieldError] = []
    if isinstance(value, list):
        errors += _unique(value, node, path)
        if node.items is not None:
            for index, item in enumerate(value):
                errors += validate(item, node.items, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            inner = node.of(key)
            if inner is not None:
                errors += validate(item, inner, join(path, key))
    return errors


def _unique(items: list[Any], node: Node, path: str) -> list[FieldError]:
    if node.list_type not in ("set", "map"):
        return []
    errors: list[FieldError] = []
    seen: set[bytes] = set()
    for index, item in enumerate(items):
        value = item
        if node.list_type == "map":
            if not isinstance(item, dict):
                continue
            value = {key: item[key] for key in node.list_map_keys if key in item}
        mark = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        if mark in seen:
            errors.append(duplicate(f"{path}[{index}]", value))
        seen.add(mark)
    return errors
