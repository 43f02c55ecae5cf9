"""Defaults of a structural schema, and nulls that it does not allow.

A default fills a field that is missing, or null where null is not allowed; its parents are never made. Nulls that are neither
allowed nor defaulted are dropped. Both happen to requests, and to stored objects when they are read.
"""

from __future__ import annotations

import copy
from typing import Any

from steersman.api.structural.model import MISSING, Node
from steersman.machinery.meta import Obj


def default(value: Any, node: Node) -> None:
    """Set defaults and drop nulls in a value of this schema, in place."""
    if isinstance(value, dict):
        _object(value, node)
    elif isinstance(value, list) and node.items is not None:
        items = node.items
        for index, item in enumerate(value):
            if item is None and not items.nullable and items.default is not MISSING:
                value[index] = copy.deepcopy(items.default)
            default(value[index], items)


def _object(value: Obj, node: Node) -> None:
    for key, known in node.properties.items():
        if known.default is not MISSING and value.get(key) is None and (key not in value or not known.nullable):
            value[key] = copy.deepcopy(known.default)
    gone: list[str] = []
    for key, item in value.items():
        inner = node.of(key)
        if inner is None:
            continue
        if item is None and not inner.nullable:
            if inner.default is MISSING:
                gone.append(key)
                continue
            value[key] = copy.deepcopy(inner.default)
        default(value[key], inner)
    for key in gone:
        del value[key]
