"""Directives of strategic merge patch and the identity of list elements, shared by applying and making patches."""

from __future__ import annotations

from typing import Any

import orjson

from steersman.machinery.patch.errors import PatchFailed, go_print

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
SET_ORDER = "$setElementOrder/"
DELETE_FROM_LIST = "$deleteFromPrimitiveList/"


def merge_key_of(item: Any, key: str) -> Any:
    """The value of an element's merge key. Raises PatchFailed where there is none."""
    if not isinstance(item, dict) or key not in item:
        raise PatchFailed(f"map: {go_print(item)} does not contain declared merge key: {key}")
    return item[key]


def identity(value: Any) -> Any:
    """Something hashable that is equal for equal JSON values (and tells true from 1)."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return (type(value) is bool, value)


def order_of(items: list[Any], key: str) -> dict[Any, int]:
    """Each element's identity and its first place."""
    places: dict[Any, int] = {}
    for index, item in enumerate(items):
        if isinstance(item, dict) and DIRECTIVE in item:
            continue
        places.setdefault(identity(merge_key_of(item, key) if key else item), index)
    return places
