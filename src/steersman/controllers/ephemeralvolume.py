"""The ephemeral volume controller: a claim for each generic ephemeral volume of a pod, which goes with the pod (KEP-1698)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from steersman.loop.spec import Action, ControllerSpec, Create, Decision, Emit, Result, Snapshot, Watch
from steersman.loop.volumes import not_owner
from steersman.machinery.meta import (
    Key,
    Obj,
    controller_of,
    dig,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    pod = snapshot.get(PODS, *key)
    if pod is None or is_deleting(pod):
        return Decision()
    actions: list[Action] = []
    for volume in dig(pod, "spec", "volumes", default=()):
        if volume.get("ephemeral") is None:
            continue
        wanted = _claim(pod, volume)
        found = snapshot.get(PERSISTENT_VOLUME_CLAIMS, *key_of(wanted))
        if found is None:
            actions.append(Create(PERSISTENT_VOLUME_CLAIMS, wanted))
        elif (controller_of(found) or {}).get("uid") != uid_of(pod):
            actions.append(_failure(pod, volume["name"], not_owner(found, pod)))

    def told(done: Sequence[Result]) -> Decision:
        failed = [result for result in done if isinstance(result.action, Create) and result.error is not None]
        return Decision([_failure(pod, _volume_of(pod, result.action), f"create PVC: {result.error}") for result in failed])

    return Decision(actions, then=told) if actions else Decision()


def _claim(pod: Obj, volume: Obj) -> Obj:
    template = volume["ephemeral"]["volumeClaimTemplate"]
    given = template.get("metadata") or {}
    metadata = {key: given[key] for key in ("labels", "annotations") if given.get(key)}
    owner = owner_reference({"apiVersion": PODS.api_version, "kind": PODS.kind, **pod})
    metadata |= {"name": f"{name_of(pod)}-{volume['name']}", "namespace": namespace_of(pod), "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}


def _failure(pod: Obj, volume: str, why: str) -> Emit:
    return Emit(pod, "Warning", "FailedBinding", f"ephemeral volume {volume}: {why}")


def _volume_of(pod: Obj, action: Action) -> str:
    made = name_of(action.obj) if isinstance(action, Create) else ""
    return made.removeprefix(f"{name_of(pod)}-")


def _of_pod(pod: Obj) -> Iterable[Key]:
    volumes = dig(pod, "spec", "volumes", default=())
    return (key_of(pod),) if any(volume.get("ephemeral") is not None for volume in volumes) else ()


def _of_claim(claim: Obj) -> Iterable[Key]:
    """A claim that went while its pod stays is made again."""
    owner = controller_of(claim)
    return ((namespace_of(claim), owner["name"]),) if owner is not None and owner.get("kind") == PODS.kind else ()


SPEC = ControllerSpec(
    name="ephemeral-volume-controller",
    reports_as="ephemeral_volume",
    watches=(Watch(PODS, keys=_of_pod), Watch(PERSISTENT_VOLUME_CLAIMS, keys=_of_claim)),
    reconcile=reconcile,
)
