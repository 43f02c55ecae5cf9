"""The namespace controller: empties a namespace that is being deleted, then lets it go.

Pods go first, for what they use must not vanish under them (KEP-5080), then everything else that discovery shows. Caches
of objects follow writes with a short delay, hence the pause before the end; should something slip through all the same
(a kind that discovery didn't show yet), it is deleted after the namespace. Source: upstream pkg/controller/namespace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from steersman.api.resources import NAMESPACES, PODS
from steersman.loop.spec import Action, ControllerSpec, Decision, Delete, Fetch, Result, Snapshot, Update, Watch
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, dig, is_deleting, name_of, namespace_of, parse_time, set_condition, uid_of

FINALIZER = "kubernetes"
SETTLE_S = 2.0
"""How long after the deletion's (whole) second a namespace is looked at last: caches have caught up by then."""
_RECHECK_S = 15.0
_REMEMBERED = 1000
_Content = Mapping[Resource, Sequence[Obj]]

_GOOD = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


class _Emptier:
    """Remembers the namespaces it let go: only in these is anything deleted afterwards."""

    def __init__(self) -> None:
        self._finished: dict[str, None] = {}

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        name = key[1]
        namespace = snapshot.get(NAMESPACES, "", name)
        if namespace is None:
            return _sweep(name, _content(snapshot, name)) if name in self._finished else Decision()
        if not is_deleting(namespace) or FINALIZER not in _finalizers(namespace):
            return Decision()
        content = _content(snapshot, name)
        if not content:
            self._finished[name] = None
            while len(self._finished) > _REMEMBERED:
                del self._finished[next(iter(self._finished))]
            return _finish(namespace, now)
        return _empty(namespace, content, now)

    def keys_of_content(self, obj: Obj, snapshot: Snapshot) -> Iterable[Key]:
        """An object to its namespace, if that is going or gone."""
        name = namespace_of(obj)
        namespace = snapshot.get(NAMESPACES, "", name)
        going = name in self._finished if namespace is None else is_deleting(namespace)
        return (("", name),) if going else ()


def _empty(namespace: Obj, content: _Content, now: datetime) -> Decision:
    todo = {PODS: content[PODS]} if PODS in content else content
    deletes = _deletes(todo)
    if not deletes:
        return Decision(_report(namespace, _bad(content, ()), now), again_after_s=_RECHECK_S)

    def after(results: Sequence[Result]) -> Decision:
        errors = [item.error for item in results if item.error is not None and not isinstance(item.error, NotFound)]
        return Decision(_report(namespace, _bad(content, errors), now) if errors else (), again_after_s=_RECHECK_S)

    return Decision(deletes, then=after)


def _finalizers(namespace: Obj) -> list[str]:
    found: list[str] = dig(namespace, "spec", "finalizers", default=[])
    return found


def _content(snapshot: Snapshot, name: str) -> dict[Resource, list[Obj]]:
    """Everything in the namespace. What is served under several groups (events) is counted once."""
    known: set[str] = set()
    found: dict[Resource, list[Obj]] = {}
    for resource in snapshot.resources():
        if not resource.namespaced:
            continue
        fresh = [obj for obj in snapshot.list(resource, name) if uid_of(obj) not in known]
        if fresh:
            known.update(map(uid_of, fresh))
            found[PODS if _is_pods(resource) else resource] = fresh
    return found


def _is_pods(resource: Resource) -> bool:
    return resource.group == PODS.group and resource.plural == PODS.plural


def _deletes(content: _Content) -> list[Action]:
    return [
        Delete(resource, namespace_of(obj), name_of(obj), uid_of(obj), propagation="Background", batch=resource.qualified)
        for resource, objs in content.items()
        for obj in objs
        if not is_deleting(obj)
    ]


def _sweep(name: str, content: _Content) -> Decision:
    """Left-overs: unless a new namespace of that name is only too new for this cache, so ask."""
    deletes = _deletes(content)
    if not deletes:
        return Decision()

    def after(results: Sequence[Result]) -> Decision:
        return Decision(deletes if isinstance(results[-1].error, NotFound) else ())

    return Decision((Fetch(NAMESPACES, "", name),), then=after)


def _finish(namespace: Obj, now: datetime) -> Decision:
    since = parse_time(namespace["metadata"]["deletionTimestamp"]) or now
    wait_s = (since + timedelta(seconds=SETTLE_S) - now).total_seconds()
    if wait_s > 0:
        return Decision(again_after_s=wait_s)
    rest = [item for item in _finalizers(namespace) if item != FINALIZER]
    finalized = Update(NAMESPACES, {**namespace, "spec": {**(namespace.get("spec") or {}), "finalizers": rest}}, "finalize")
    stays = rest or dig(namespace, "metadata", "finalizers")
    told = _report(namespace, {}, now) if stays or dig(namespace, "status", "conditions") else []
    if told:
        # The status write changes the resourceVersion: the finalizer goes in the turn that it brings.
        return Decision(told)
    return Decision((finalized,))


def _bad(content: _Content, errors: Sequence[Exception]) -> dict[str, tuple[str, str]]:
    """Conditions that hold: type -> (reason, message)."""
    bad: dict[str, tuple[str, str]] = {}
    if errors:
        message = f"Failed to delete all resource types, {len(errors)} remaining: {errors[0]}"
        bad["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", message)
    counts = sorted(f"{r.plural}.{r.group} has {len(objs)} resource instances" for r, objs in content.items())
    if counts:
        bad["NamespaceContentRemaining"] = ("SomeResourcesRemain", f"Some resources are remaining: {', '.join(counts)}")
    held = Counter(item for objs in content.values() for obj in objs for item in obj["metadata"].get("finalizers") or ())
    if held:
        texts = [f"{item} in {count} resource instances" for item, count in sorted(held.items())]
        message = f"Some content in the namespace has finalizers remaining: {', '.join(texts)}"
        bad["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", message)
    return bad


def _report(namespace: Obj, bad: Mapping[str, tuple[str, str]], now: datetime) -> list[Action]:
    stored = namespace.get("status") or {}
    conditions = [dict(item) for item in stored.get("conditions") or ()]
    for kind, good in _GOOD.items():
        reason, message = bad.get(kind, good)
        set_condition(conditions, kind, "True" if kind in bad else "False", now, reason=reason, message=message)
    if conditions == (stored.get("conditions") or []):
        return []
    return [Update(NAMESPACES, {**namespace, "status": {**stored, "conditions": conditions}}, "status")]


def spec() -> ControllerSpec:
    emptier = _Emptier()

    def discovered(resources: Sequence[Resource]) -> tuple[Watch, ...]:
        return tuple(Watch(resource, keys_with=emptier.keys_of_content) for resource in resources if resource.namespaced)

    return ControllerSpec(
        name="namespace-controller",
        watches=(Watch(NAMESPACES, keys=lambda obj: (("", name_of(obj)),)),),
        reconcile=emptier.reconcile,
        workers=10,
        discovered=discovered,
    )
