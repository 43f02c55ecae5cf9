"""Volume protection: a claim that pods use, and a volume that a claim uses, stay until they are used no more.

A finalizer holds them; it is put on here as well, for objects made by older servers. Source: upstream pkg/controller/volume/
pvcprotection, pvprotection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from steersman.loop.pods import is_finished, node_of
from steersman.loop.spec import ControllerSpec, Decision, Snapshot, Update, Watch
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, dig, is_deleting, key_of, name_of, namespace_of

CLAIM_FINALIZER, VOLUME_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"
_USED_BY = "pods-by-claim"


def claims_of(pod: Obj) -> Iterable[str]:
    """Names of the claims a pod mounts, generic ephemeral volumes' among them."""
    for volume in dig(pod, "spec", "volumes", default=()):
        if volume.get("persistentVolumeClaim"):
            yield str(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral") is not None:
            yield f"{name_of(pod)}-{volume['name']}"


def _in_use(snapshot: Snapshot, claim: Obj) -> bool:
    """By a scheduled pod that may still run: kubelets start no pod whose claim is being deleted."""
    pods = snapshot.indexed(PODS, _USED_BY, f"{namespace_of(claim)}/{name_of(claim)}")
    return any(node_of(pod) and not is_finished(pod) for pod in pods)


def _is_bound(snapshot: Snapshot, volume: Obj) -> bool:
    return bool(dig(volume, "status", "phase") == "Bound")


def _protect(resource: Resource, finalizer: str, used: Callable[[Snapshot, Obj], bool]) -> Callable[..., Decision]:
    def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        obj = snapshot.get(resource, *key)
        if obj is None:
            return Decision()
        finalizers = obj["metadata"].get("finalizers") or []
        held = finalizer in finalizers
        if not is_deleting(obj) and not held:
            wanted = [*finalizers, finalizer]
        elif is_deleting(obj) and held and not used(snapshot, obj):
            wanted = [item for item in finalizers if item != finalizer]
        else:
            return Decision()
        return Decision((Update(resource, {**obj, "metadata": {**obj["metadata"], "finalizers": wanted}}),))

    return reconcile


SPECS = (
    ControllerSpec(
        name="persistentvolumeclaim-protection-controller",
        watches=(
            Watch(PERSISTENT_VOLUME_CLAIMS, keys=lambda obj: (key_of(obj),)),
            Watch(
                PODS,
                keys=lambda pod: [(namespace_of(pod), name) for name in claims_of(pod)],
                indexes={_USED_BY: lambda pod: [f"{namespace_of(pod)}/{name}" for name in claims_of(pod)]},
            ),
        ),
        reconcile=_protect(PERSISTENT_VOLUME_CLAIMS, CLAIM_FINALIZER, _in_use),
        workers=1,
    ),
    ControllerSpec(
        name="persistentvolume-protection-controller",
        watches=(Watch(PERSISTENT_VOLUMES, keys=lambda obj: (key_of(obj),)),),
        reconcile=_protect(PERSISTENT_VOLUMES, VOLUME_FINALIZER, _is_bound),
        workers=1,
    ),
)
