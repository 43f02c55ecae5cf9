"""A deployment's ReplicaSets: which is the new one, how it is made and annotated, which old ones are history.

The annotations are how `kubectl rollout history` and `undo` find revisions, and how a change of size is told from a rollout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from steersman.controllers.deployment.arithmetic import Bounds, Size, bounds
from steersman.loop.hashing import content_hash
from steersman.machinery.meta import Obj, annotations_of, dig, is_deleting, name_of, namespace_of, owner_reference

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        DESIRED,
        MAX,
    )
)
_HISTORY_CHARS = 2000
_NAME_CHARS = 253


def replicas_of(obj: Obj) -> int:
    return int(dig(obj, "spec", "replicas", default=1))


def limits_of(deployment: Obj) -> Bounds:
    """maxSurge and maxUnavailable; none of either with Recreate."""
    replicas = replicas_of(deployment)
    if is_recreate(deployment):
        return Bounds(replicas, 0, 0)
    rolling = dig(deployment, "spec", "strategy", "rollingUpdate", default={})
    return bounds(replicas, rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%"))


def is_recreate(deployment: Obj) -> bool:
    return bool(dig(deployment, "spec", "strategy", "type") == "Recreate")


def size_of(rs: Obj) -> Size:
    return Size(
        name_of(rs),
        replicas_of(rs),
        int(dig(rs, "status", "availableReplicas", default=0)),
        str(dig(rs, "metadata", "creationTimestamp", default="")),
        _number(annotations_of(rs).get(MAX)),
    )


def total_replicas(sets: Iterable[Obj]) -> int:
    return sum(map(replicas_of, sets))


def by_age(sets: Iterable[Obj]) -> list[Obj]:
    """Oldest first; names decide within a second."""
    return sorted(sets, key=lambda rs: (str(dig(rs, "metadata", "creationTimestamp", default="")), name_of(rs)))


def find_new(deployment: Obj, sets: Sequence[Obj]) -> Obj | None:
    """The oldest ReplicaSet with the deployment's template."""
    template = dig(deployment, "spec", "template", default={})
    return next((rs for rs in by_age(sets) if same_template(dig(rs, "spec", "template", default={}), template)), None)


def same_template(of_replica_set: Obj, of_deployment: Obj) -> bool:
    """Equal apart from the hash label, an empty field being the same as a missing one."""
    if of_replica_set.get("spec") == of_deployment.get("spec") and _meta(of_replica_set) == _meta(of_deployment):
        return True
    return bool(_pruned(_without_hash(of_replica_set)) == _pruned(_without_hash(of_deployment)))


def _meta(template: Obj) -> Any:
    return _without_hash(template).get("metadata")


def _without_hash(template: Obj) -> Obj:
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH_LABEL}
    return {**template, "metadata": {**meta, "labels": labels}}


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: kept for key, item in value.items() if (kept := _pruned(item)) not in (None, {}, [])}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return value


def revision_of(obj: Obj) -> int:
    return _number(annotations_of(obj).get(REVISION))


def next_revision(old: Iterable[Obj]) -> int:
    return max(map(revision_of, old), default=0) + 1


def make_new(deployment: Obj, sets: Sequence[Obj]) -> Obj:
    """The ReplicaSet of the deployment's template, already as large as the rollout allows."""
    from_template = dig(deployment, "spec", "template", default={})
    value = content_hash(from_template, dig(deployment, "status", "collisionCount"))
    template = dict(from_template)
    template["metadata"] = {**(from_template.get("metadata") or {})}
    template["metadata"]["labels"] = {**(template["metadata"].get("labels") or {}), HASH_LABEL: value}
    selector = dict(dig(deployment, "spec", "selector", default={}))
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: value}
    suffix = f"-{value}"
    spec: Obj = {"replicas": first_size(deployment, sets), "selector": selector, "template": template}
    if min_ready := dig(deployment, "spec", "minReadySeconds", default=0):
        spec["minReadySeconds"] = min_ready
    made: Obj = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name_of(deployment)[: _NAME_CHARS - len(suffix)] + suffix,
            "namespace": namespace_of(deployment),
            "labels": template["metadata"]["labels"],
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": spec,
    }
    made["metadata"]["annotations"] = {
        **_annotations(deployment, made, next_revision(sets)),
        **size_annotations(deployment),
    }
    return made


def first_size(deployment: Obj, sets: Sequence[Obj]) -> int:
    """What a ReplicaSet that isn't there yet starts with."""
    limits = limits_of(deployment)
    if is_recreate(deployment):
        return limits.replicas
    return max(0, min(limits.most - total_replicas(sets), limits.replicas))


def size_annotations(deployment: Obj) -> dict[str, str]:
    limits = limits_of(deployment)
    return {DESIRED: str(limits.replicas), MAX: str(limits.most)}


def resized(deployment: Obj, rs: Obj, replicas: int) -> Obj | None:
    """The ReplicaSet with that size and the annotations that go with it; None if it has both."""
    annotations = {**annotations_of(rs), **size_annotations(deployment)}
    if replicas_of(rs) == replicas and annotations == annotations_of(rs):
        return None
    return {**rs, "metadata": {**rs["metadata"], "annotations": annotations}, "spec": {**rs["spec"], "replicas": replicas}}


def refreshed(deployment: Obj, rs: Obj, old: Sequence[Obj]) -> Obj | None:
    """The new ReplicaSet with the deployment's annotations, revision and minReadySeconds; None if nothing differs."""
    annotations = _annotations(deployment, rs, next_revision(old))
    min_ready = dig(deployment, "spec", "minReadySeconds", default=0)
    if annotations == annotations_of(rs) and dig(rs, "spec", "minReadySeconds", default=0) == min_ready:
        return None
    changed = {**rs, "metadata": {**rs["metadata"], "annotations": annotations}}
    if min_ready or "minReadySeconds" in rs["spec"]:
        changed["spec"] = {**rs["spec"], "minReadySeconds": min_ready}
    return changed


def _annotations(deployment: Obj, rs: Obj, revision: int) -> dict[str, str]:
    """The ReplicaSet's annotations brought up to date. A reused one keeps its earlier revisions as history."""
    made = dict(annotations_of(rs))
    made.update({key: value for key, value in annotations_of(deployment).items() if key not in _NOT_COPIED})
    earlier = made.get(REVISION, "")
    if _number(earlier) < revision:
        made[REVISION] = str(revision)
        if earlier:
            history = [item for item in made.get(HISTORY, "").split(",") if item] + [earlier]
            while len(",".join(history)) > _HISTORY_CHARS:
                history.pop(0)
            made[HISTORY] = ",".join(history)
    return made


def is_scaling(deployment: Obj, sets: Sequence[Obj]) -> bool:
    """Whether the number of replicas changed since some active ReplicaSet was last sized."""
    wanted = str(replicas_of(deployment))
    return any(DESIRED in annotations_of(rs) and annotations_of(rs)[DESIRED] != wanted for rs in sets if replicas_of(rs) > 0)


def superfluous(deployment: Obj, old: Sequence[Obj]) -> list[Obj]:
    """Old ReplicaSets beyond revisionHistoryLimit, lowest revision first, of those that are surely empty."""
    limit = dig(deployment, "spec", "revisionHistoryLimit")
    candidates = sorted((rs for rs in old if not is_deleting(rs)), key=revision_of)
    if limit is None or len(candidates) <= limit:
        return []
    return [rs for rs in candidates[: len(candidates) - limit] if _is_empty(rs)]


def _is_empty(rs: Obj) -> bool:
    observed = dig(rs, "status", "observedGeneration", default=0) >= dig(rs, "metadata", "generation", default=0)
    return bool(observed and replicas_of(rs) == 0 and not dig(rs, "status", "replicas", default=0))


def _number(text: str | None) -> int:
    try:
        return int(text or "0")
    except ValueError:
        return 0
