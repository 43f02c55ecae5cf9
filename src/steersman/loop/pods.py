"""What several controllers ask about pods: active, ready, available; which to delete first; making one from a template.

Pure. Which pods are whose is in claims.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cmp_to_key

from steersman.machinery import names
from steersman.machinery.meta import (
    Obj,
    annotations_of,
    condition,
    dig,
    is_condition_true,
    is_deleting,
    name_of,
    owner_reference,
    parse_time,
    uid_of,
)

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_FINISHED = ("Succeeded", "Failed")
_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}


def phase_of(pod: Obj) -> str:
    return str(dig(pod, "status", "phase", default=""))


def node_of(pod: Obj) -> str:
    """The node a pod is bound to; the empty string before."""
    return str(dig(pod, "spec", "nodeName", default=""))


def is_finished(pod: Obj) -> bool:
    """Succeeded or Failed: its containers never run again."""
    return phase_of(pod) in _FINISHED


def is_active(pod: Obj) -> bool:
    return not is_finished(pod) and not is_deleting(pod)


def is_terminating(pod: Obj) -> bool:
    return is_deleting(pod) and not is_finished(pod)


def is_ready(pod: Obj) -> bool:
    return is_condition_true(pod, "Ready")


def ready_since(pod: Obj) -> datetime | None:
    """When the Ready condition last became True; None if it isn't."""
    ready = condition(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    return parse_time(ready.get("lastTransitionTime"))


def seconds_to_available(pod: Obj, min_ready_s: int, now: datetime) -> float | None:
    """0 when the pod is available (Ready for at least that long), the time until it will be, or None while not ready."""
    if not is_ready(pod):
        return None
    if not min_ready_s:
        return 0.0
    since = ready_since(pod)
    if since is None:
        return float(min_ready_s)
    return max(0.0, (since + timedelta(seconds=min_ready_s) - now).total_seconds())


def is_available(pod: Obj, min_ready_s: int, now: datetime) -> bool:
    return seconds_to_available(pod, min_ready_s, now) == 0.0


def by_node(pod: Obj) -> Iterable[str]:
    """Index function: pods by the node they are bound to."""
    node = node_of(pod)
    return (node,) if node else ()


BY_NODE: dict[str, Callable[[Obj], Iterable[str]]] = {"pods-by-node": by_node}
"""For Watch.indexes; the one index that several controllers share."""


def pod_from_template(template: Obj, owner: Obj) -> Obj:
    """A pod of `owner`: the template's metadata and spec, a generated name and the controller reference."""
    meta = template.get("metadata") or {}
    prefix = f"{name_of(owner)}-"
    if names.dns1123_subdomain(f"{prefix}x"):
        prefix = name_of(owner)
    made: Obj = {"generateName": prefix, "namespace": owner["metadata"]["namespace"], "ownerReferences": [owner_reference(owner)]}
    for field in ("labels", "annotations", "finalizers"):
        if meta.get(field):
            made[field] = meta[field]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": template["spec"]}


def deletion_order(pods: Sequence[Obj], now: datetime, related_on_node: Mapping[str, int] | None = None) -> list[Obj]:
    """The pods in the order in which a scale-down removes them, first victim first.

    `related_on_node`: how many pods of the same owner's kin each node has; None gives the plain order, which ignores
    deletion cost and compares times exactly. With it, times are compared by the power of two of their age, so that
    pods of about the same age are chosen from evenly, by uid.
    """
    ranks = [_Rank(pod, now, related_on_node) for pod in pods]
    ranks.sort(key=cmp_to_key(_compare))
    return [rank.pod for rank in ranks]


class _Rank:
    """A pod's keys, computed once per sort. Lower goes first."""

    __slots__ = ("pod", "lead", "ready_at", "restarts", "created", "uid", "now", "by_power")

    def __init__(self, pod: Obj, now: datetime, related_on_node: Mapping[str, int] | None) -> None:
        self.pod = pod
        node = node_of(pod)
        cost = 0 if related_on_node is None else _deletion_cost(pod)
        crowding = 0 if related_on_node is None else -related_on_node.get(node, 0)
        ready = is_ready(pod)
        self.lead = (bool(node), _PHASE_ORDER.get(phase_of(pod), 0), ready, cost, crowding)
        self.ready_at = ready_since(pod) if ready else None
        self.restarts = _restarts(pod)
        self.created = parse_time(dig(pod, "metadata", "creationTimestamp"))
        self.uid = uid_of(pod)
        self.now = now
        self.by_power = related_on_node is not None


def _compare(a: _Rank, b: _Rank) -> int:
    if a.lead != b.lead:
        return -1 if a.lead < b.lead else 1
    if a.ready_at is not None or b.ready_at is not None:
        order = _newer_first(a, b, a.ready_at, b.ready_at)
        if order:
            return order
    if a.restarts != b.restarts:
        return -1 if a.restarts > b.restarts else 1
    return _newer_first(a, b, a.created, b.created)


def _newer_first(a: _Rank, b: _Rank, time_a: datetime | None, time_b: datetime | None) -> int:
    """An unknown time counts as the newest."""
    if time_a == time_b:
        return 0
    if time_a is None or time_b is None:
        return -1 if time_a is None else 1
    if a.by_power:
        rank_a, rank_b = _power(a.now, time_a), _power(b.now, time_b)
        if rank_a != rank_b:
            return -1 if rank_a < rank_b else 1
        return -1 if a.uid < b.uid else 1
    return -1 if time_a > time_b else 1


def _power(now: datetime, moment: datetime) -> int:
    age_ns = int((now - moment).total_seconds() * 1e9)
    return int(math.log2(age_ns)) if age_ns > 0 else 0


def _deletion_cost(pod: Obj) -> int:
    text = annotations_of(pod).get(DELETION_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def _restarts(pod: Obj) -> tuple[int, int]:
    """(most restarts of a container, most restarts of a restartable init container)."""
    status = pod.get("status") or {}
    sidecars = {item["name"] for item in dig(pod, "spec", "initContainers", default=()) if item.get("restartPolicy") == "Always"}
    plain = max((item.get("restartCount", 0) for item in status.get("containerStatuses") or ()), default=0)
    beside = max(
        (item.get("restartCount", 0) for item in status.get("initContainerStatuses") or () if item.get("name") in sidecars),
        default=0,
    )
    return plain, beside
