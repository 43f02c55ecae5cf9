"""Patches made and applied on this side: for `apply`, `edit`, `set`, `label` and `--dry-run=client`, `--local`.

Strategic where the kind is one whose merge keys are known (api/schema), JSON merge patches for all others.
"""

from __future__ import annotations

import copy
from typing import Any

from steersman.api.schema.loader import FieldMeta, patch_meta, schema
from steersman.machinery.gvk import GroupVersionKind, Resource
from steersman.machinery.meta import Obj
from steersman.machinery.patch import json_patch, merge, strategic, strategic_diff


def meta_of(resource: Resource) -> FieldMeta | None:
    """How the fields of a kind merge; None if it is not built in."""
    name = schema().name_for(GroupVersionKind(resource.group, resource.version, resource.kind))
    return patch_meta(name) if name else None


def difference(resource: Resource, before: Obj, after: Obj) -> tuple[str, dict[str, Any]]:
    """The patch that leads from one object to the other, and its type: `strategic` or `merge`."""
    meta = meta_of(resource)
    if meta is None:
        return "merge", merge.diff(before, after) or {}
    return "strategic", strategic_diff.diff(before, after, meta)


def three_way(
    resource: Resource, original: Obj, modified: Obj, current: Obj, *, overwrite: bool = True
) -> tuple[str, dict[str, Any]]:
    """What apply sends; see strategic_diff.three_way. `original` is {} for what was never applied."""
    meta = meta_of(resource)
    if meta is None:
        return "merge", merge.three_way(original, modified, current)
    return "strategic", strategic_diff.three_way(original, modified, current, meta, overwrite=overwrite)


def applied(resource: Resource, obj: Obj, patch: Any, kind: str) -> Obj:
    """The object with a patch of kind `merge`, `strategic` or `json` on it."""
    result: Obj
    obj = copy.deepcopy(obj)
    if kind == "json":
        result = json_patch.apply(obj, patch)
    elif kind == "merge":
        result = merge.apply(obj, patch)
    else:
        result = strategic.apply(obj, patch, meta_of(resource))
    return result
