"""Pruning: fields that a structural schema does not know are dropped, and named for fieldValidation.

Source: KEP-1693. apiVersion, kind and metadata of resources, embedded ones too, always stay.
"""

from __future__ import annotations

from typing import Any

from steersman.api.structural.model import RESOURCE_FIELDS, Node, join
from steersman.machinery.meta import Obj


def prune(obj: Obj, root: Node) -> list[str]:
    """Drop what the schema of a whole resource does not have, in place. The paths of what was dropped (`spec.list[0].x`)."""
    dropped: list[str] = []
    _object(obj, root, "", dropped, is_resource=True)
    return dropped


def _value(value: Any, node: Node | None, path: str, dropped: list[str], keep: bool) -> None:
    """keep: an x-kubernetes-preserve-unknown-fields further up holds here, as no schema says otherwise."""
    if isinstance(value, dict):
        if node is not None:
            _object(value, node, path, dropped, is_resource=node.embedded, keep=keep)
        elif not keep:
            for key in value:
                dropped.append(join(path, key))
            value.clear()
    elif isinstance(value, list) and (node is not None or not keep):
        items = node.items if node is not None else None
        keep_items = keep or (node is not None and node.preserve)
        for index, item in enumerate(value):
            _value(item, items, f"{path}[{index}]", dropped, keep_items and items is None)


def _object(value: Obj, node: Node, path: str, dropped: list[str], *, is_resource: bool, keep: bool = False) -> None:
    keep = keep or node.preserve
    gone: list[str] = []
    for key, item in value.items():
        if is_resource and key in RESOURCE_FIELDS:
            continue
        known = node.of(key)
        if known is not None:
            _value(item, known, join(path, key), dropped, False)
        elif node.open_keys or keep:
            _value(item, None, join(path, key), dropped, keep)
        else:
            gone.append(key)
    for key in gone:
        dropped.append(join(path, key))
        del value[key]


def prune_value(value: Any, node: Node) -> list[str]:
    """As `prune`, for a part of an object."""
    dropped: list[str] = []
    _value(value, node, "", dropped, False)
    return dropped
