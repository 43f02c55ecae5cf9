"""Which objects belong to an owner by its selector: adopting orphans, releasing what no longer matches.

Source: upstream controller_ref_manager. An owner adopts an object that matches and has no controller, unless either is being
deleted; before that it is read afresh, because its cached copy may be an earlier owner of the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from steersman.loop.spec import Decision, Fetch, Patch, Result, Snapshot
from steersman.machinery.gvk import Resource
from steersman.machinery.labels import Selector, from_label_selector
from steersman.machinery.meta import (
    Key,
    Obj,
    controller_of,
    dig,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)


def orphans_by_namespace(obj: Obj) -> Iterable[str]:
    """Index function: objects that no controller owns, by namespace."""
    return () if controller_of(obj) or is_deleting(obj) else (namespace_of(obj),)


ORPHANS: dict[str, Callable[[Obj], Iterable[str]]] = {"orphans-by-namespace": orphans_by_namespace}
"""For Watch.indexes of everything that is claimed."""


def selector_of(owner: Obj) -> Selector:
    """spec.selector as a label selector."""
    return from_label_selector(dig(owner, "spec", "selector"))


def could_match(owner: Obj, labels: dict[str, str]) -> bool:
    """Whether matchLabels fit: cheap, and false for nearly every owner, so that few selectors are built."""
    wanted: dict[str, str] = dig(owner, "spec", "selector", "matchLabels", default={})
    return all(labels.get(key) == value for key, value in wanted.items())


def owner_keys(owners: Resource, matches: Callable[[Obj, dict[str, str]], bool]) -> Callable[[Obj, Snapshot], Iterable[Key]]:
    """For Watch.keys_with: an object to its controller of that resource, an orphan to all that would adopt it."""

    def keys(obj: Obj, snapshot: Snapshot) -> Iterable[Key]:
        ref = controller_of(obj)
        if ref is not None:
            if ref.get("kind") == owners.kind and ref.get("apiVersion") == owners.api_version:
                return ((namespace_of(obj), ref["name"]),)
            return ()
        labels = labels_of(obj)
        if not labels or is_deleting(obj):
            return ()
        return [key_of(owner) for owner in snapshot.list(owners, namespace_of(obj)) if matches(owner, labels)]

    return keys


def matches_label_selector(owner: Obj, labels: dict[str, str]) -> bool:
    return could_match(owner, labels) and selector_of(owner).matches(labels)


def claim(
    snapshot: Snapshot,
    resource: Resource,
    owners: Resource,
    owner: Obj,
    selector: Selector,
    *,
    fits: Callable[[Obj], bool] = lambda _: True,
    finalizer: str = "",
) -> tuple[list[Obj], Decision | None]:
    """The owner's objects, and what must be done first: patches after which their events bring the owner back.

    `fits`: what orphans must satisfy besides the selector. `finalizer` is put on what is adopted.
    """
    owned = snapshot.owned_by(resource, uid_of(owner))
    mine = [obj for obj in owned if selector.matches(labels_of(obj))]
    if is_deleting(owner):
        return mine, None
    release = [
        Patch(resource, namespace_of(obj), name_of(obj), _without(obj, owner), "strategic")
        for obj in owned
        if not is_deleting(obj) and not selector.matches(labels_of(obj))
    ]
    adopt = [
        Patch(resource, namespace_of(obj), name_of(obj), _with(obj, owner, finalizer), "strategic")
        for obj in snapshot.indexed(resource, "orphans-by-namespace", namespace_of(owner))
        if selector.matches(labels_of(obj)) and fits(obj)
    ]
    if not adopt:
        return mine, Decision(release) if release else None

    def after_read(results: Sequence[Result]) -> Decision:
        fresh = results[-1].obj
        if fresh is None or uid_of(fresh) != uid_of(owner) or is_deleting(fresh):
            return Decision()
        return Decision(adopt)

    return mine, Decision((*release, Fetch(owners, namespace_of(owner), name_of(owner))), then=after_read)


def _with(obj: Obj, owner: Obj, finalizer: str) -> Obj:
    patch: Obj = {"ownerReferences": [owner_reference(owner)], "uid": uid_of(obj)}
    return {"metadata": {**patch, "finalizers": [finalizer]} if finalizer else patch}


def _without(obj: Obj, owner: Obj) -> Obj:
    return {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": uid_of(owner)}], "uid": uid_of(obj)}}
