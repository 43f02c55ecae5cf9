"""Pieces that strategies are made of: status separation and generation (upstream pkg/registry/*/strategy.go)."""

from __future__ import annotations

from collections.abc import Callable

from steersman.api.equality import same
from steersman.machinery.meta import Obj, metadata

Prepare = Callable[[Obj], None]


def reset_status(obj: Obj) -> None:
    """Clients may not create status."""
    obj.pop("status", None)


def first_generation(obj: Obj) -> None:
    metadata(obj)["generation"] = 1


def create_with_status(obj: Obj) -> None:
    """Most kinds with spec and status: status cleared, generation 1."""
    reset_status(obj)
    first_generation(obj)


def keep(new: Obj, old: Obj, key: str) -> None:
    """Take a top-level field from the stored object, whether it is there or not."""
    if key in old:
        new[key] = old[key]
    else:
        new.pop(key, None)


def keep_status(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def carry_generation(new: Obj, old: Obj, changed: bool) -> None:
    """The stored generation, one higher if what it counts has changed. Kinds without generation stay without."""
    generation = (old.get("metadata") or {}).get("generation")
    if changed:
        generation = (generation or 0) + 1
    if generation:
        metadata(new)["generation"] = generation
    else:
        metadata(new).pop("generation", None)


def update_with_status(new: Obj, old: Obj) -> None:
    """Most kinds with spec and status: status kept, generation counts spec changes."""
    keep_status(new, old)
    carry_generation(new, old, not same(new.get("spec"), old.get("spec")))


def update_status_kind(new: Obj, old: Obj) -> None:
    """Kinds with status but without generation."""
    keep_status(new, old)
    carry_generation(new, old, False)


def keep_generation(new: Obj, old: Obj) -> None:
    """Updates that never count: status, bindings, kinds without generation."""
    carry_generation(new, old, False)


def only_status(new: Obj, old: Obj) -> None:
    """A status update: everything but metadata and status stays as stored."""
    for key in (new.keys() | old.keys()) - {"metadata", "status", "kind", "apiVersion"}:
        keep(new, old, key)
    keep_generation(new, old)


_STATUS_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")


def only_bare_status(new: Obj, old: Obj) -> None:
    """A status update of kinds that keep their metadata apart as well."""
    only_status(new, old)
    meta, stored = metadata(new), metadata(old)
    for key in _STATUS_METADATA:
        keep(meta, stored, key)
