"""One turn for one object: is it garbage, or does its own deletion wait for something here?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from steersman.controllers.garbagecollector.graph import FOREGROUND, ORPHAN, Kinds, State, owner_state, references, state_of
from steersman.loop.spec import Action, Decision, Delete, Emit, Fetch, Patch, Result, Snapshot
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, is_deleting, name_of, namespace_of, resource_version_of, uid_of

log = logging.getLogger(__name__)

_REMEMBERED = 500
_UNKNOWN_RETRY_S, _UNKNOWN_LONGEST_S = 1.0, 30.0
"""A kind that has just been defined is soon discovered; one that is gone for good is not asked for all the time."""


class Collector:
    """Remembers owners found absent by live reads: a uid never comes back, and siblings ask for the same one; and how long
    objects whose owners are of unknown kinds have waited last."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._absent: dict[str, None] = {}
        self._waited: dict[str, float] = {}

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        found = snapshot.find_uid(key[1])
        if found is None:
            self._waited.pop(key[1], None)
            return Decision()
        resource, obj = found
        if is_deleting(obj):
            return _finalize(snapshot, resource, obj)
        return self._examine(snapshot, resource, obj) if references(obj) else Decision()

    def _examine(self, snapshot: Snapshot, resource: Resource, obj: Obj) -> Decision:
        states: dict[str, State] = {}
        asked: list[tuple[Obj, Fetch]] = []
        events: list[Action] = []
        for ref in references(obj):
            state = owner_state(self._kinds, snapshot, resource, obj, ref)
            states[ref["uid"]] = state
            owners = self._kinds.resource(ref)
            if state is State.ABSENT and owners is not None and ref["uid"] not in self._absent:
                namespace = namespace_of(obj) if owners.namespaced else ""
                asked.append((ref, Fetch(owners, namespace, ref.get("name", ""))))
                events += _misplaced(snapshot, resource, obj, ref)
        if not asked:
            return self._judge(snapshot, resource, obj, states)

        def after(results: Sequence[Result]) -> Decision:
            for (ref, _), result in zip(asked, results[len(events) :]):
                if result.error is not None and not isinstance(result.error, NotFound):
                    return Decision()
                states[ref["uid"]] = state_of(result.obj, ref)
                if states[ref["uid"]] is State.ABSENT:
                    self._remember(ref["uid"])
            return self._judge(snapshot, resource, obj, states)

        return Decision([*events, *(fetch for _, fetch in asked)], then=after)

    def _remember(self, uid: str) -> None:
        self._absent[uid] = None
        while len(self._absent) > _REMEMBERED:
            del self._absent[next(iter(self._absent))]

    def _pause_s(self, uid: str) -> float:
        """Twice the last one; among many the longest at once."""
        crowded = len(self._waited) >= _REMEMBERED and uid not in self._waited
        pause_s = _UNKNOWN_LONGEST_S if crowded else min(2 * self._waited.get(uid, _UNKNOWN_RETRY_S / 2), _UNKNOWN_LONGEST_S)
        if not crowded:
            self._waited[uid] = pause_s
        return pause_s

    def _judge(self, snapshot: Snapshot, resource: Resource, obj: Obj, states: dict[str, State]) -> Decision:
        present = set(states.values())
        if State.UNKNOWN in present and State.SOLID not in present:
            # Not known to be garbage. Its kind may be served again, or shown by the next discovery.
            log.debug("owner of unknown kind object=%s/%s", namespace_of(obj), name_of(obj))
            return Decision(again_after_s=self._pause_s(uid_of(obj)))
        self._waited.pop(uid_of(obj), None)
        if State.SOLID in present:
            kept = [ref for ref in references(obj) if states[ref["uid"]] in (State.SOLID, State.UNKNOWN)]
            return Decision((_patch(resource, obj, ownerReferences=kept),)) if len(kept) < len(states) else Decision()
        dependents = snapshot.dependents(uid_of(obj)) if State.WAITING in present else ()
        if not dependents:
            return Decision((_delete(resource, obj, _own_policy(obj)),))
        if any(FOREGROUND in (item["metadata"].get("finalizers") or ()) and is_deleting(item) for _, item in dependents):
            # A circle of owners that all wait for each other: this one stops blocking, which opens it.
            unblocked = [{**ref, "blockOwnerDeletion": False} for ref in references(obj)]
            patch = _patch(resource, obj, ownerReferences=unblocked)
            return Decision((patch,), then=lambda results: _after_unblocking(resource, results))
        return Decision((_delete(resource, obj, "Foreground"),))


def _after_unblocking(resource: Resource, results: Sequence[Result]) -> Decision:
    fresh = results[-1].obj
    return Decision((_delete(resource, fresh, "Foreground"),)) if fresh is not None else Decision()


def _misplaced(snapshot: Snapshot, resource: Resource, obj: Obj, ref: Obj) -> list[Action]:
    """An owner in another namespace is none."""
    found = snapshot.find_uid(ref["uid"])
    if found is None or not found[0].namespaced or namespace_of(found[1]) == namespace_of(obj):
        return []
    shown = (
        f"[{ref.get('apiVersion')}/{ref.get('kind')}, namespace: {namespace_of(obj)}, name: {ref.get('name')}, uid: {ref['uid']}]"
    )
    about = {**obj, "apiVersion": resource.api_version, "kind": resource.kind}
    message = f'ownerRef {shown} does not exist in namespace "{namespace_of(obj)}"'
    return [Emit(about, "Warning", "OwnerRefInvalidNamespace", message)]


def _own_policy(obj: Obj) -> str:
    finalizers = obj["metadata"].get("finalizers") or ()
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"


def _finalize(snapshot: Snapshot, resource: Resource, obj: Obj) -> Decision:
    """An object on its way out that has a finalizer of the garbage collector's."""
    finalizers = obj["metadata"].get("finalizers") or ()
    if ORPHAN in finalizers:
        return _orphan(snapshot, resource, obj)
    if FOREGROUND not in finalizers:
        return Decision()
    uid = uid_of(obj)
    for _, dependent in snapshot.dependents(uid):
        if any(ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in references(dependent)):
            return Decision()
    return Decision((_without_finalizer(resource, obj, FOREGROUND),))


def _orphan(snapshot: Snapshot, resource: Resource, obj: Obj) -> Decision:
    uid = uid_of(obj)
    release: list[Action] = []
    for kind, dependent in snapshot.dependents(uid):
        kept = [ref for ref in references(dependent) if ref["uid"] != uid]
        release.append(_patch(kind, dependent, ownerReferences=kept or None))

    def after(results: Sequence[Result]) -> Decision:
        if any(item.error is not None and not isinstance(item.error, NotFound) for item in results):
            return Decision()
        return Decision((_without_finalizer(resource, obj, ORPHAN),))

    return Decision(release, then=after)


def _without_finalizer(resource: Resource, obj: Obj, finalizer: str) -> Patch:
    kept = [item for item in obj["metadata"]["finalizers"] if item != finalizer]
    return _patch(resource, obj, finalizers=kept or None)


def _patch(resource: Resource, obj: Obj, **metadata: object) -> Patch:
    """A merge patch, which every kind takes; lists are replaced whole, hence the resourceVersion."""
    precondition = {"uid": uid_of(obj), "resourceVersion": str(resource_version_of(obj))}
    return Patch(resource, namespace_of(obj), name_of(obj), {"metadata": {**precondition, **metadata}})


def _delete(resource: Resource, obj: Obj, propagation: str) -> Delete:
    """The resourceVersion sees to it that an object adopted meanwhile is looked at again instead."""
    version = str(resource_version_of(obj))
    return Delete(resource, namespace_of(obj), name_of(obj), uid_of(obj), version, propagation=propagation)
