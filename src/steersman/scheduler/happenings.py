"""What changed between two versions of a node or pod, in the terms that queueing hints are about. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from steersman.machinery.meta import Obj, dig, labels_of
from steersman.scheduler.framework import Event, Happening
from steersman.scheduler.podinfo import total_requests


def node_events(old: Obj | None, new: Obj | None) -> Iterator[Event]:
    if old is None or new is None:
        yield Event(Happening.NODE_DELETE if new is None else Happening.NODE_ADD, old, new)
        return
    if dig(old, "status", "allocatable") != dig(new, "status", "allocatable"):
        yield Event(Happening.NODE_ALLOCATABLE, old, new)
    if labels_of(old) != labels_of(new):
        yield Event(Happening.NODE_LABEL, old, new)
    if any(dig(old, "spec", part) != dig(new, "spec", part) for part in ("taints", "unschedulable")):
        yield Event(Happening.NODE_TAINT, old, new)


def assigned_pod_events(old: Obj | None, new: Obj | None) -> Iterator[Event]:
    """Of a pod that has a node."""
    if new is None:
        yield Event(Happening.ASSIGNED_POD_DELETE, old, None)
        return
    if old is None or not old["spec"].get("nodeName"):
        yield Event(Happening.ASSIGNED_POD_ADD, None, new)
        return
    if labels_of(old) != labels_of(new):
        yield Event(Happening.ASSIGNED_POD_LABEL, old, new)
    if _requests_shrank(old, new):
        yield Event(Happening.ASSIGNED_POD_SCALE_DOWN, old, new)


def waiting_pod_events(old: Obj, new: Obj) -> Iterator[Event]:
    """Of a pod that has no node yet."""
    if labels_of(old) != labels_of(new):
        yield Event(Happening.POD_LABEL, old, new)
    if old["spec"].get("tolerations") != new["spec"].get("tolerations"):
        yield Event(Happening.POD_TOLERATION, old, new)
    if old["spec"].get("schedulingGates") and not new["spec"].get("schedulingGates"):
        yield Event(Happening.POD_GATES_GONE, old, new)
    if _requests_shrank(old, new):
        yield Event(Happening.POD_SCALE_DOWN, old, new)


def _requests_shrank(old: Obj, new: Obj) -> bool:
    if _sized(old) == _sized(new):
        return False
    before, after = total_requests(old, {}), total_requests(new, {})
    return any(after.get(name, 0) < amount for name, amount in before.items())


def _sized(pod: Obj) -> list[object]:
    """The parts that requests come from, to tell quickly that nothing changed: most updates are of other things."""
    spec = pod["spec"]
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    statuses = dig(pod, "status", "containerStatuses", default=())
    held = [(status.get("allocatedResources"), status.get("resources")) for status in statuses]
    return [spec.get("resources"), [container.get("resources") for container in containers], held]
