"""One node at a time: silent or not, which taints, and what its pods must be told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from steersman.api.resources import LEASES, NODES, PODS
from steersman.controllers.nodelifecycle import health, taints
from steersman.controllers.nodelifecycle.zones import Zones
from steersman.loop.pods import is_ready
from steersman.loop.spec import Action, Decision, Emit, Patch, Result, Snapshot, Update
from steersman.machinery.meta import (
    Key,
    Obj,
    format_time,
    is_condition_true,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    resource_version_of,
    uid_of,
)

LEASE_NAMESPACE = "kube-node-lease"
_SAME_LABELS = (("kubernetes.io/os", "beta.kubernetes.io/os"), ("kubernetes.io/arch", "beta.kubernetes.io/arch"))


class Monitor:
    """Holds what nodes can't tell: when they were last heard of. Used by one worker."""

    def __init__(self, grace: timedelta = health.GRACE) -> None:
        self._grace = grace
        self._heard: dict[str, health.Heard] = {}
        self._zones = Zones()
        self._granted: dict[str, str] = {}

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        name = key[1]
        node = snapshot.get(NODES, "", name)
        if node is None:
            return self._forget(name)
        known = self._heard.get(name)
        heard = health.listen(known, node, snapshot.get(LEASES, LEASE_NAMESPACE, name), now)
        self._heard[name] = heard
        events: list[Action] = []
        if heard is not known:
            events.append(_event(node, "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller"))
        if health.is_silent(heard, node, now, self._grace) and (unknown := health.given_up(node, now)) is not None:
            if is_condition_true(node, "Ready"):
                events.append(_event(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady"))
            return Decision((*events, Update(NODES, unknown, "status")))
        actions = [*events, *self._mend(snapshot, node, now)]
        if is_condition_true(node, "Ready"):
            heard.pods_marked = False
            self._granted.pop(name, None)
            return Decision(actions)
        if heard.pods_marked or taints.readiness_taint(node) is None:
            return Decision(actions)
        marks = _mark_pods(snapshot, node, now)
        first = len(actions)

        def after(results: Sequence[Result]) -> Decision:
            heard.pods_marked = all(result.error is None for result in results[first:])
            return Decision()

        return Decision([*actions, *marks], then=after)

    def _forget(self, name: str) -> Decision:
        known = self._heard.pop(name, None)
        self._granted.pop(name, None)
        if known is None:
            return Decision()
        gone: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": known.uid}}
        return Decision((_event(gone, "RemovingNode", f"Node {name} event: Removing Node {name} from Controller"),))

    def _mend(self, snapshot: Snapshot, node: Obj, now: datetime) -> list[Action]:
        """Taints and labels in one patch, if they aren't as the node's state demands."""
        metadata: Obj = {"uid": uid_of(node), "resourceVersion": str(resource_version_of(node))}
        patch: Obj = {"metadata": metadata}
        wanted = taints.wanted_taints(node, self._execute(snapshot, node, now), now)
        if wanted is not None:
            patch["spec"] = {"taints": wanted}
        labels = labels_of(node)
        differing = {
            beta: labels[stable] for stable, beta in _SAME_LABELS if stable in labels and labels.get(beta) != labels[stable]
        }
        if differing:
            metadata["labels"] = differing
        return [Patch(NODES, "", name_of(node), patch)] if wanted is not None or differing else []

    def _execute(self, snapshot: Snapshot, node: Obj, now: datetime) -> str | None:
        """The NoExecute taint the node should have now. One given already is kept or swapped without waiting for a turn."""
        key = taints.readiness_taint(node)
        if key is None or is_deleting(node):
            return None
        name = name_of(node)
        self._zones.count(snapshot.list(NODES), now)
        if self._zones.all_broken:
            self._granted.pop(name, None)
            return None
        if taints.executing(node) or name in self._granted or self._zones.may_give_up(node, now):
            self._granted[name] = key
            return key
        return None


def _mark_pods(snapshot: Snapshot, node: Obj, now: datetime) -> list[Action]:
    """Ready=False for the node's pods, since nobody else can say that they don't answer; services then leave them out."""
    actions: list[Action] = []
    status = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": format_time(now)}]}
    for pod in snapshot.indexed(PODS, "pods-by-node", name_of(node)):
        if is_ready(pod):
            patch = {"metadata": {"uid": uid_of(pod)}, "status": status}
            actions.append(Patch(PODS, namespace_of(pod), name_of(pod), patch, "strategic", "status"))
            actions.append(Emit(pod, "Warning", "NodeNotReady", "Node is not ready"))
    return actions


def _event(node: Obj, reason: str, message: str) -> Emit:
    return Emit(node, "Normal", reason, message)
