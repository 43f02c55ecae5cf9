"""JSON merge patch (RFC 7386): null deletes, objects merge, everything else replaces."""

from __future__ import annotations

from typing import Any

from steersman.machinery import depth
from steersman.machinery.errors import BadRequest


def decode(body: bytes) -> dict[str, Any]:
    """The patch document of a request body. Raises BadRequest."""
    try:
        patch = depth.loads(body)
    except depth.TooDeep:
        raise depth.error() from None
    except ValueError:
        patch = None
    if not isinstance(patch, dict):
        raise BadRequest("Invalid JSON Patch")
    return patch


def apply(doc: Any, patch: Any) -> Any:
    """The patched document."""
    if not isinstance(patch, dict):
        return patch
    result = dict(doc) if isinstance(doc, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = apply(result.get(key), value)
        else:
            result[key] = value
    return result


def diff(a: Any, b: Any) -> Any:
    """The patch that makes b of a, {} when they are equal. A b with nulls cannot be reached: null means deletion."""
    if not isinstance(a, dict) or not isinstance(b, dict):
        return b
    patch: dict[str, Any] = {key: None for key in a if key not in b}
    for key, value in b.items():
        if key not in a:
            patch[key] = value
        elif not same(a[key], value):
            patch[key] = diff(a[key], value)
    return patch


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: unlike Python's, true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def three_way(original: dict[str, Any], modified: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """Client-side apply for kinds without strategic metadata: what `modified` says, minus what only `original` said."""
    additions = _without_deletions(diff(current, modified))
    deletions = _deletions_only(diff(original, modified))
    return _overlay(deletions, additions)


def _without_deletions(patch: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in patch.items():
        if isinstance(value, dict):
            inner = _without_deletions(value)
            if inner or not value:
                kept[key] = inner
        elif value is not None:
            kept[key] = value
    return kept


def _deletions_only(patch: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in patch.items():
        if value is None:
            kept[key] = None
        elif isinstance(value, dict):
            inner = _deletions_only(value)
            if inner:
                kept[key] = inner
    return kept


def _overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """Both patches in one; nulls stay, since they are deletions."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
