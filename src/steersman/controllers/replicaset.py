"""ReplicaSet and ReplicationController: as many active pods as asked for.

Pods come and go here; which of several ReplicaSets should have how many is the deployment controller's business.
Source: upstream pkg/controller/replicaset, replication.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from steersman.api.resources import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from steersman.loop import claims
from steersman.loop.failures import namespace_terminates
from steersman.loop.outcomes import error_of, pod_events
from steersman.loop.pods import (
    deletion_order,
    is_active,
    is_terminating,
    node_of,
    pod_from_template,
    seconds_to_available,
)
from steersman.loop.spec import Action, ControllerSpec, Create, Decision, Delete, Result, Snapshot, Update, Watch
from steersman.machinery.gvk import Resource
from steersman.machinery.labels import Selector, from_map, nothing
from steersman.machinery.meta import (
    Key,
    Obj,
    condition,
    controller_of,
    dig,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    set_condition,
    uid_of,
)

BURST = 500
"""Creations or deletions in one turn."""


@dataclass(frozen=True, slots=True)
class Family:
    """What differs between the two kinds."""

    name: str
    resource: Resource
    selector: Callable[[Obj], Selector]
    matches: Callable[[Obj, dict[str, str]], bool]
    counts_terminating: bool
    reports_as: str = ""


def _map_selector(owner: Obj) -> Selector:
    wanted: dict[str, str] = dig(owner, "spec", "selector", default={})
    return from_map(wanted) if wanted else nothing()


def _map_matches(owner: Obj, labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = dig(owner, "spec", "selector", default={})
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


REPLICA_SET = Family("replicaset-controller", REPLICA_SETS, claims.selector_of, claims.matches_label_selector, True)
REPLICATION_CONTROLLER = Family(
    "replicationcontroller-controller",
    REPLICATION_CONTROLLERS,
    _map_selector,
    _map_matches,
    False,
    reports_as="replication-controller",
)


def _spec(family: Family) -> ControllerSpec:
    def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        return _reconcile(family, snapshot, key, now)

    pods = Watch(PODS, keys_with=claims.owner_keys(family.resource, family.matches), indexes=claims.ORPHANS)
    owners = Watch(family.resource, keys=lambda obj: (key_of(obj),))
    return ControllerSpec(name=family.name, reports_as=family.reports_as, watches=(owners, pods), reconcile=reconcile)


def _reconcile(family: Family, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    owner = snapshot.get(family.resource, *key)
    if owner is None:
        return Decision()
    pods, first = claims.claim(snapshot, PODS, family.resource, owner, family.selector(owner))
    if first is not None:
        return first
    active = [pod for pod in pods if is_active(pod)]
    terminating = [pod for pod in pods if is_terminating(pod)]
    missing = int(dig(owner, "spec", "replicas", default=1)) - len(active)
    if not missing or is_deleting(owner):
        return _report(family, owner, active, terminating, (), now)
    actions: list[Action]
    if missing > 0:
        pod = pod_from_template(owner["spec"]["template"], owner)
        actions = [Create(PODS, pod, batch="create")] * min(missing, BURST)
    else:
        victims = deletion_order(active, now, _kin_on_nodes(family, snapshot, owner, active))
        actions = [_delete(pod) for pod in victims[: min(-missing, BURST)]]

    def after(results: Sequence[Result]) -> Decision:
        deleted = {result.action.name for result in results if isinstance(result.action, Delete) and _done(result)}
        made = [result.obj for result in results if isinstance(result.action, Create) and result.obj is not None]
        left = [pod for pod in active if name_of(pod) not in deleted]
        going = [pod for pod in active if name_of(pod) in deleted]
        return _report(family, owner, left + made, terminating + going, results, now)

    return Decision(actions, then=after)


def _delete(pod: Obj) -> Delete:
    return Delete(PODS, namespace_of(pod), name_of(pod), uid=uid_of(pod), batch="delete")


def _done(result: Result) -> bool:
    return not result.skipped and error_of(result) is None


def _kin_on_nodes(family: Family, snapshot: Snapshot, owner: Obj, own: Sequence[Obj]) -> Mapping[str, int]:
    """How many active pods each node has of this owner and of its siblings under the same controller."""
    parent = controller_of(owner)
    kin = list(own)
    if parent is not None:
        for sibling in snapshot.owned_by(family.resource, parent["uid"]):
            if uid_of(sibling) != uid_of(owner):
                kin += [pod for pod in snapshot.owned_by(PODS, uid_of(sibling)) if is_active(pod)]
    return Counter(node for node in map(node_of, kin) if node)


def _report(
    family: Family, owner: Obj, active: Sequence[Obj], terminating: Sequence[Obj], results: Sequence[Result], now: datetime
) -> Decision:
    """Events for what was just done, the status if it changed, and when to look again for minReadySeconds."""
    min_ready_s = int(dig(owner, "spec", "minReadySeconds", default=0))
    waits = [seconds_to_available(pod, min_ready_s, now) for pod in active]
    status = _status(family, owner, active, waits, len(terminating))
    failure = _failure(results)
    if failure is not None:
        if condition(status["conditions"], "ReplicaFailure") is None:
            set_condition(status["conditions"], "ReplicaFailure", "True", now, reason=failure[0], message=failure[1])
    elif _settled(owner, results):
        status["conditions"] = [item for item in status["conditions"] if item["type"] != "ReplicaFailure"]
    if not status["conditions"]:
        del status["conditions"]
    actions: list[Action] = pod_events(owner, results)
    if status != owner.get("status"):
        actions.append(Update(family.resource, {**owner, "status": status}, "status"))
    coming = [wait for wait in waits if wait]
    return Decision(actions, again_after_s=min(coming) if coming else None)


def _settled(owner: Obj, results: Sequence[Result]) -> bool:
    """A turn that wrote nothing because the count is right is a success as well; one for a deleted owner says nothing."""
    return bool(results) or not is_deleting(owner)


def _status(family: Family, owner: Obj, active: Sequence[Obj], waits: Sequence[float | None], terminating: int) -> Obj:
    """`waits`: each pod's time until it is available, None for one that isn't ready."""
    wanted = dig(owner, "spec", "template", "metadata", "labels", default={}).items()
    counts = {
        "fullyLabeledReplicas": sum(wanted <= labels_of(pod).items() for pod in active),
        "readyReplicas": len(waits) - waits.count(None),
        "availableReplicas": waits.count(0.0),
        "observedGeneration": dig(owner, "metadata", "generation", default=0),
    }
    status: Obj = {"replicas": len(active), **{field: count for field, count in counts.items() if count}}
    if family.counts_terminating:
        status["terminatingReplicas"] = terminating
    status["conditions"] = [dict(item) for item in dig(owner, "status", "conditions", default=())]
    return status


def _failure(results: Sequence[Result]) -> tuple[str, str] | None:
    """(reason, message) of the first failed creation or deletion."""
    for result in results:
        error = error_of(result)
        if error is not None and not namespace_terminates(error):
            return ("FailedCreate" if isinstance(result.action, Create) else "FailedDelete"), str(error)
    return None


SPECS = (_spec(REPLICA_SET), _spec(REPLICATION_CONTROLLER))
