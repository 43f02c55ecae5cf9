"""The taint eviction controller: pods leave a node with a NoExecute taint, unless and as long as they tolerate it.

Source: upstream pkg/controller/tainteviction; KEP-3902.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from steersman.api.resources import NODES, PODS
from steersman.loop.nodefit import tolerates
from steersman.loop.pods import BY_NODE, is_finished, node_of
from steersman.loop.spec import Action, ControllerSpec, Decision, Delete, Emit, Patch, Snapshot, Watch
from steersman.machinery.meta import (
    Key,
    Obj,
    dig,
    format_time,
    is_condition_true,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    parse_time,
    uid_of,
)

NO_EXECUTE = "NoExecute"


def seconds_tolerated(tolerations: Sequence[Obj], taints: Sequence[Obj]) -> float | None:
    """How long a pod stays: 0 not at all, None for ever."""
    used: list[Obj] = []
    for taint in taints:
        fitting = [item for item in tolerations if tolerates(item, taint)]
        if not fitting:
            return 0.0
        used.append(fitting[0])
    limits = [max(0.0, float(item["tolerationSeconds"])) for item in used if item.get("tolerationSeconds") is not None]
    return min(limits) if limits else None


def no_execute_taints(node: Obj | None) -> list[Obj]:
    return [taint for taint in dig(node, "spec", "taints", default=()) if taint.get("effect") == NO_EXECUTE]


class _Evictor:
    """Remembers which pods are waiting, and since when, for taints that don't say."""

    def __init__(self) -> None:
        self._since: dict[Key, tuple[str, datetime]] = {}

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        pod = snapshot.get(PODS, *key)
        if pod is None or is_deleting(pod) or is_finished(pod):
            self._since.pop(key, None)
            return Decision()
        taints = no_execute_taints(snapshot.get(NODES, "", node_of(pod)))
        stays_s = seconds_tolerated(dig(pod, "spec", "tolerations", default=()), taints) if taints else None
        if stays_s is None:
            return self._spare(pod)
        since = self._started(pod, taints, now)
        left_s = (since + timedelta(seconds=stays_s) - now).total_seconds()
        if stays_s and left_s > 0:
            return Decision(again_after_s=left_s)
        return Decision(_evict(pod, now))

    def _started(self, pod: Obj, taints: Sequence[Obj], now: datetime) -> datetime:
        """Since when the pod's patience runs: the taint, but for a pod that came later its own beginning."""
        uid, known = self._since.get(key_of(pod), ("", now))
        if uid == uid_of(pod):
            return known
        texts = [taint.get("timeAdded") for taint in taints]
        added = [moment for text in texts if (moment := parse_time(text)) is not None]
        created = parse_time(dig(pod, "metadata", "creationTimestamp"))
        since = min(max([*added, created or now]), now) if added else now
        self._since[key_of(pod)] = (uid_of(pod), since)
        return since

    def _spare(self, pod: Obj) -> Decision:
        if self._since.pop(key_of(pod), None) is None:
            return Decision()
        message = f"Cancelling deletion of Pod {namespace_of(pod)}/{name_of(pod)}"
        return Decision((Emit(pod, "Normal", "TaintManagerEviction", message),))

    def keys_of_pod(self, pod: Obj, snapshot: Snapshot) -> Iterable[Key]:
        key, node = key_of(pod), node_of(pod)
        if key in self._since:
            return (key,)
        return (key,) if node and no_execute_taints(snapshot.get(NODES, "", node)) else ()


def _evict(pod: Obj, now: datetime) -> list[Action]:
    """The event, the reason in the pod's status, then the deletion with the pod's own grace period."""
    namespace, name = key_of(pod)
    actions: list[Action] = [Emit(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}")]
    if not is_condition_true(pod, "DisruptionTarget"):
        target = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": format_time(now),
        }
        patch = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [target]}}
        actions.append(Patch(PODS, namespace, name, patch, "strategic", "status"))
    actions.append(Delete(PODS, namespace, name, uid_of(pod)))
    return actions


def _keys_of_node(node: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """Only taints matter. The old node is asked as well, so that removing a taint spares its pods."""
    if not no_execute_taints(node):
        return ()
    return [key_of(pod) for pod in snapshot.indexed(PODS, "pods-by-node", name_of(node))]


def spec() -> ControllerSpec:
    evictor = _Evictor()
    return ControllerSpec(
        name="taint-eviction-controller",
        watches=(Watch(PODS, keys_with=evictor.keys_of_pod, indexes=BY_NODE), Watch(NODES, keys_with=_keys_of_node)),
        reconcile=evictor.reconcile,
        workers=8,
    )
