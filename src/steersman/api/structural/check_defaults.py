"""Are the defaults of a structural schema right: allowed where they stand, and valid by the schema they stand in."""

from __future__ import annotations

from typing import Any

import orjson

from steersman.api.structural import lists, values
from steersman.api.structural.defaulting import default
from steersman.api.structural.model import MISSING, RESOURCE_FIELDS, Node
from steersman.api.structural.pruning import prune_value
from steersman.api.structural.rules.evaluate import Rules
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, too_long


def check(root: Node, path: str) -> list[FieldError]:
    """What is wrong with the defaults in the schema of a whole resource, at `path` (…openAPIV3Schema)."""
    errors: list[FieldError] = []
    for key in RESOURCE_FIELDS:
        inner = root.properties.get(key)
        if inner is not None and _has_any(inner):
            errors.append(forbidden(f"{path}.properties[{key}].default", f"must not be set in top-level {key}"))
    if root.default is not MISSING:
        errors += _default(root, path)
    _inner(root, path, errors, skip=RESOURCE_FIELDS)
    return errors


def _has_any(node: Node) -> bool:
    return node.default is not MISSING or any(map(_has_any, _parts(node)))


def _parts(node: Node) -> list[Node]:
    return [*node.properties.values(), *(part for part in (node.additional, node.items) if part is not None)]


def _inner(node: Node, path: str, errors: list[FieldError], skip: tuple[str, ...] = ()) -> None:
    for key, part in node.properties.items():
        if key not in skip:
            _walk(part, f"{path}.properties[{key}]", errors)
    if node.additional is not None:
        _walk(node.additional, f"{path}.additionalProperties", errors)
    if node.items is not None:
        _walk(node.items, f"{path}.items", errors)


def _walk(node: Node, path: str, errors: list[FieldError]) -> None:
    if node.default is not MISSING:
        errors += _default(node, path)
    _inner(node, path, errors)


def _default(node: Node, path: str) -> list[FieldError]:
    at = f"{path}.default"
    value: Any = orjson.loads(orjson.dumps(node.default))
    if prune_value(value, node):
        return [invalid(at, node.default, "must not have unknown fields")]
    if not default(value, node):
        return [too_long(at, 3145728)]
    found = values.validate(value, node) + lists.validate(value, node)
    found += Rules(node, is_resource=False).errors(value, before=found)
    return [_moved(error, at) for error in found]


def _moved(error: FieldError, at: str) -> FieldError:
    """An error of the default, told where the default stands."""
    place = at if error.path in ("", "<nil>") else f"{at}.{error.path}"
    return FieldError(place, error.type, error.lead, error.detail, error.value)
