"""The Scale of a custom resource: replicas and selector at the paths its definition names."""

from __future__ import annotations

from typing import Any

from steersman.api.customresources.fields import parts_of, value_at
from steersman.api.kinds import ScalePaths
from steersman.machinery.fielderrors import FieldError, invalid, required
from steersman.machinery.meta import Obj


def replicas_of(obj: Obj, path: str) -> int | None:
    """The number at a path; None where there is none."""
    value: Any = value_at(obj, parts_of(path))
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def selector_of(obj: Obj, paths: ScalePaths) -> str:
    value = value_at(obj, parts_of(paths.label_selector)) if paths.label_selector else None
    return value if isinstance(value, str) else ""


def missing(paths: ScalePaths) -> str:
    """What upstream says of an object without a number of replicas."""
    return f'the spec replicas field "{paths.spec_replicas}" does not exist'


def set_replicas(obj: Obj, paths: ScalePaths, replicas: int) -> list[FieldError]:
    """Put the number in, in place. Errors where there is no place for it."""
    *parents, last = parts_of(paths.spec_replicas)
    holder: Any = obj
    for part in parents:
        if holder.setdefault(part, {}) is None:
            holder[part] = {}
        holder = holder[part]
        if not isinstance(holder, dict):
            return [invalid(paths.spec_replicas, holder, "is no object")]
    if replicas_of(obj, paths.spec_replicas) is None:
        return [required(paths.spec_replicas, "cannot be empty")]
    holder[last] = replicas
    return []
