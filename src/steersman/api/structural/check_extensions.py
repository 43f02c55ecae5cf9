"""Is a schema's use of list types right: sets of what can be compared, maps by keys that every item has."""

from __future__ import annotations

from typing import Any

from steersman.machinery.fielderrors import FieldError, duplicate, forbidden, invalid, required
from steersman.machinery.meta import Obj

_LIST_TYPE, _KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
_SCALARS = ("string", "integer", "number", "boolean")


def check(raw: Obj, path: str, errors: list[FieldError]) -> None:
    """Violations of one level, added to `errors`."""
    kind, keys = raw.get(_LIST_TYPE), raw.get(_KEYS) or ()
    if kind == "map" and not keys:
        errors.append(required(f"{path}.{_KEYS}", f"must not be empty if {_LIST_TYPE} is map"))
    if keys and kind != "map":
        text = f"must be map if {_KEYS} is non-empty"
        errors.append(invalid(f"{path}.{_LIST_TYPE}", kind, text) if kind else required(f"{path}.{_LIST_TYPE}", text))
    items = raw.get("items")
    if not isinstance(items, dict):
        return
    if kind == "set":
        _set(items, path, errors)
    elif kind == "map":
        _map(items, keys, path, errors)


def _set(items: Obj, path: str, errors: list[FieldError]) -> None:
    if items.get("nullable"):
        errors.append(forbidden(f"{path}.items.nullable", f"cannot be nullable when {_LIST_TYPE} is set"))
    if items.get("type") == "array" and items.get(_LIST_TYPE) not in (None, "atomic"):
        text = f"must be atomic as item of a list with {_LIST_TYPE}=set"
        errors.append(invalid(f"{path}.items.{_LIST_TYPE}", items[_LIST_TYPE], text))
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        text = f"must be atomic as item of a list with {_LIST_TYPE}=set"
        errors.append(invalid(f"{path}.items.x-kubernetes-map-type", items.get("x-kubernetes-map-type"), text))


def _map(items: Obj, keys: Any, path: str, errors: list[FieldError]) -> None:
    at = f"{path}.items"
    if items.get("type") != "object":
        errors.append(invalid(f"{at}.type", items.get("type", ""), f"must be object if parent array's {_LIST_TYPE} is map"))
    if items.get("nullable"):
        errors.append(forbidden(f"{at}.nullable", f"cannot be nullable when {_LIST_TYPE} is map"))
    properties = items.get("properties") or {}
    demanded = set(items.get("required") or ())
    seen: set[str] = set()
    for index, key in enumerate(keys):
        if key in seen:
            errors.append(duplicate(f"{path}.{_KEYS}[{index}]", key))
        seen.add(key)
        found = properties.get(key)
        if found is None:
            errors.append(invalid(f"{path}.{_KEYS}[{index}]", key, "entries must all be names of item properties"))
            continue
        inner = f"{at}.properties[{key}]"
        if found.get("type") not in _SCALARS:
            errors.append(
                invalid(f"{inner}.type", found.get("type", ""), f"must be a scalar type if parent array's {_LIST_TYPE} is map")
            )
        if found.get("nullable"):
            errors.append(forbidden(f"{inner}.nullable", f"cannot be nullable as it is in {_KEYS}"))
        if key not in demanded and found.get("default") is None:
            text = f"this property is in {_KEYS}, so it must have a default or be a required property"
            errors.append(required(f"{inner}.default", text))
