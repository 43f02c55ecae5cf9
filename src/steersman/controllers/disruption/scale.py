"""How many pods there should be: the sum of what the pods' controllers are asked for, each once."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.resources import DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from steersman.loop.spec import Snapshot
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, controller_of, dig, name_of, namespace_of, uid_of

_SCALED: dict[tuple[str, str], Resource] = {
    (resource.group, resource.kind): resource for resource in (REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS)
}
_WITHOUT_SCALE = {("apps", "DaemonSet"): "daemonsets.apps", ("batch", "Job"): "jobs.batch"}


def expected(snapshot: Snapshot, pods: Sequence[Obj]) -> tuple[int, list[Obj]]:
    """(the sum, the pods without a controller, which count for nothing). Raises LookupError for owners without a scale."""
    scales: dict[str, int] = {}
    unmanaged: list[Obj] = []
    for pod in pods:
        ref = controller_of(pod)
        if ref is None:
            unmanaged.append(pod)
        elif ref["uid"] not in scales:
            owner = _owner(snapshot, pod, ref)
            scales[ref["uid"]] = 0
            scales[uid_of(owner)] = int(dig(owner, "spec", "replicas", default=1))
    return sum(scales.values()), unmanaged


def _owner(snapshot: Snapshot, pod: Obj, ref: Obj) -> Obj:
    """Whoever decides how many: a Deployment for the pods of its ReplicaSets, old and new."""
    group = ref["apiVersion"].rpartition("/")[0]
    without = _WITHOUT_SCALE.get((group, ref["kind"]))
    if without:
        raise LookupError(f"{without} does not implement the scale subresource")
    resource = _SCALED.get((group, ref["kind"]))
    found = snapshot.get(resource, namespace_of(pod), ref["name"]) if resource is not None else None
    if found is None or uid_of(found) != ref["uid"]:
        raise LookupError(f'found no controllers for pod "{name_of(pod)}"')
    parent = controller_of(found)
    if parent is None or parent.get("kind") != DEPLOYMENTS.kind:
        return found
    deployment = snapshot.get(DEPLOYMENTS, namespace_of(pod), parent["name"])
    if deployment is None or uid_of(deployment) != parent["uid"]:
        raise LookupError(f'found no controllers for pod "{name_of(pod)}"')
    return deployment
