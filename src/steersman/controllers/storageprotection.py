"""Volume protection: what is in use stays until it is used no more: a claim by pods, a volume by a claim, a class of attributes
by either.

A finalizer holds them; it is put on here as well, for objects made by older servers. Source: upstream pkg/controller/volume/
pvcprotection, pvprotection, vacprotection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES
from steersman.loop.pods import is_finished, node_of
from steersman.loop.spec import ControllerSpec, Decision, Snapshot, Update, Watch
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, dig, is_deleting, key_of, name_of, namespace_of

CLAIM_FINALIZER, VOLUME_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"
ATTRIBUTES_FINALIZER = "kubernetes.io/vac-protection"
_USED_BY = "pods-by-claim"
_ATTRIBUTES = "by-attributes"


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


def _attributes_of(obj: Obj) -> set[str]:
    """Names of the classes that a claim or volume has, had, or is to have."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    target = dig(status, "modifyVolumeStatus", "targetVolumeAttributesClassName", default="")
    found = {spec.get("volumeAttributesClassName"), status.get("currentVolumeAttributesClassName"), target}
    return {str(name) for name in found if name}


def _in_force(snapshot: Snapshot, attributes: Obj) -> bool:
    name = name_of(attributes)
    return any(snapshot.indexed(resource, _ATTRIBUTES, name) for resource in (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES))


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
    ControllerSpec(
        name="volumeattributesclass-protection-controller",
        watches=(
            Watch(VOLUME_ATTRIBUTES_CLASSES, keys=lambda obj: (key_of(obj),)),
            *(
                Watch(
                    resource, keys=lambda obj: [("", name) for name in _attributes_of(obj)], indexes={_ATTRIBUTES: _attributes_of}
                )
                for resource in (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES)
            ),
        ),
        reconcile=_protect(VOLUME_ATTRIBUTES_CLASSES, ATTRIBUTES_FINALIZER, _in_force),
        workers=1,
    ),
)
