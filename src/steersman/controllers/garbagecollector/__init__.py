"""The garbage collector: deletes what has lost its owners, and carries out foreground and orphaning deletions.

graph.py says what an object's owners are; collect.py what follows from it. Keys are uids. Source: upstream
pkg/controller/garbagecollector.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from steersman.controllers.garbagecollector.collect import Collector
from steersman.controllers.garbagecollector.graph import FOREGROUND, ORPHAN, Kinds, State, owner_state, references
from steersman.loop.spec import ControllerSpec, Snapshot, Watch
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, is_deleting, name_of, namespace_of, uid_of

IGNORED = (("", "events"), ("events.k8s.io", "events"))


def spec() -> ControllerSpec:
    kinds = Kinds()
    collector = Collector(kinds)

    def discovered(resources: Sequence[Resource]) -> tuple[Watch, ...]:
        watched = [resource for resource in resources if (resource.group, resource.plural) not in IGNORED]
        kinds.learn(watched)
        return tuple(Watch(resource, keys_with=partial(_keys, kinds, resource)) for resource in watched)

    return ControllerSpec(
        name="garbage-collector-controller", watches=(), reconcile=collector.reconcile, workers=20, discovered=discovered
    )


def _keys(kinds: Kinds, resource: Resource, obj: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """What an event calls into question. Nearly all events concern nothing, so this looks before it queues."""
    uid, found = uid_of(obj), []
    refs = references(obj)
    if refs:
        states = [owner_state(kinds, snapshot, resource, obj, ref) for ref in refs]
        if any(state is not State.SOLID for state in states):
            found.append(("", uid))
            # The owner may have waited for this one to go.
            found += [("", ref["uid"]) for ref, state in zip(refs, states) if state is State.WAITING]
    finalizers = obj["metadata"].get("finalizers") or ()
    if is_deleting(obj) and (ORPHAN in finalizers or FOREGROUND in finalizers):
        found.append(("", uid))
        found += [("", uid_of(dependent)) for _, dependent in snapshot.dependents(uid)]
    current = snapshot.get(resource, namespace_of(obj), name_of(obj))
    if current is None or uid_of(current) != uid:
        found += [("", uid_of(dependent)) for _, dependent in snapshot.dependents(uid)]
    return found
