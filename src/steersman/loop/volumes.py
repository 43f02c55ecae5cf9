"""Persistent volumes and claims: which fit each other, and the annotations by which those who bind them work together.

Used by the binder and provisioners (controllers) and by the scheduler, which chooses volumes for claims that wait for their
first consumer. Pure. Source: upstream component-helpers storage/volume.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from steersman.machinery import quantity
from steersman.machinery.labels import from_label_selector
from steersman.machinery.meta import Obj, annotations_of, dig, is_deleting, labels_of, name_of, namespace_of, uid_of
from steersman.machinery.quantity import Quantity

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER, BETA_PROVISIONER = "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
DELETION_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
"""On a volume whose provisioner has to remove the storage behind it before the volume may go."""
NO_PROVISIONER = "kubernetes.io/no-provisioner"
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_MARKS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def class_of(obj: Obj) -> str:
    """The class of a volume or claim, "" for none."""
    return str(annotations_of(obj).get(_BETA_CLASS) or dig(obj, "spec", "storageClassName", default=""))


def names_class(claim: Obj) -> bool:
    """Whether the claim says anything about its class; "" is a word as well: none."""
    return _BETA_CLASS in annotations_of(claim) or claim["spec"].get("storageClassName") is not None


def default_class(classes: Iterable[Obj]) -> Obj | None:
    """Of several the newest, then the first by name."""
    marked = [item for item in classes if is_default(item)]
    marked.sort(key=name_of)
    return max(marked, key=lambda item: str(dig(item, "metadata", "creationTimestamp", default="")), default=None)


def is_default(storage_class: Obj) -> bool:
    return any(annotations_of(storage_class).get(mark) == "true" for mark in _DEFAULT_MARKS)


def waits_for_consumer(storage_class: Obj | None) -> bool:
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def requested(claim: Obj) -> Quantity:
    return quantity.parse(dig(claim, "spec", "resources", "requests", "storage", default="0"))


def capacity(volume: Obj) -> Quantity:
    return quantity.parse(dig(volume, "spec", "capacity", "storage", default="0"))


def mode(obj: Obj) -> str:
    """Filesystem or Block, of a volume or claim."""
    return str(dig(obj, "spec", "volumeMode", default="Filesystem"))


def is_bound(claim: Obj) -> bool:
    """Both sides know of each other: nothing is left to be done."""
    return bool(dig(claim, "spec", "volumeName")) and BIND_COMPLETED in annotations_of(claim)


def is_reserved_for(volume: Obj, claim: Obj) -> bool:
    """Whether the volume's claimRef is this claim; a reference without uid was written by hand, before the claim was."""
    ref = dig(volume, "spec", "claimRef", default={})
    if (ref.get("namespace"), ref.get("name")) != (namespace_of(claim), name_of(claim)):
        return False
    return not ref.get("uid") or ref["uid"] == uid_of(claim)


def mismatch(volume: Obj, claim: Obj) -> str:
    """Why a volume that was chosen by name can't be the claim's; "" if it can."""
    if capacity(volume) < requested(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if _attributes_class(volume) != _attributes_class(claim):
        return "volumeAttributesClassName does not match"
    if mode(volume) != mode(claim):
        return "incompatible volumeMode"
    return "" if _has_access_modes(volume, claim) else "incompatible accessMode"


def best(
    volumes: Iterable[Obj], claim: Obj, *, waits: bool, usable: Callable[[Obj], bool] | None = None, taken: Collection[str] = ()
) -> Obj | None:
    """The volume reserved for the claim, else the one that fits closest: fewest access modes, then least capacity.

    `waits`: the claim's consumer comes first, so nothing is chosen but what is reserved already. `usable`: whether the
    consumer's node reaches a volume; then waiting is over. `taken`: names of volumes meant for others.
    """
    found: list[Obj] = []
    for volume in volumes:
        if name_of(volume) in taken or not may_serve(volume, claim):
            continue
        if dig(volume, "spec", "claimRef") is not None:
            return volume if usable is None or usable(volume) else None
        if (usable is None and not waits) or (usable is not None and usable(volume)):
            found.append(volume)
    return min(found, key=closeness, default=None)


def closeness(volume: Obj) -> tuple[int, int, str]:
    return len(dig(volume, "spec", "accessModes", default=())), capacity(volume).nano, name_of(volume)


def may_serve(volume: Obj, claim: Obj) -> bool:
    """Whether the volume is free for the claim, or reserved for it, and is what it asks for."""
    if is_deleting(volume) or mode(volume) != mode(claim) or capacity(volume) < requested(claim):
        return False
    if _attributes_class(volume) != _attributes_class(claim):
        return False
    if dig(volume, "spec", "claimRef") is not None:
        return is_reserved_for(volume, claim)
    if dig(volume, "status", "phase") != "Available" or class_of(volume) != class_of(claim):
        return False
    selector = dig(claim, "spec", "selector")
    if selector is not None and not from_label_selector(selector).matches(labels_of(volume)):
        return False
    return _has_access_modes(volume, claim)


def claim_names(pod: Obj) -> Iterator[str]:
    """Names of the claims a pod mounts; that of a generic ephemeral volume is made of the pod's and the volume's."""
    for volume in dig(pod, "spec", "volumes", default=()):
        if volume.get("persistentVolumeClaim") is not None:
            yield str(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral") is not None:
            yield f"{name_of(pod)}-{volume['name']}"


def not_owner(claim: Obj, pod: Obj) -> str:
    """A claim that only happens to have the name of an ephemeral volume's must not be used for it."""
    where = f'"{namespace_of(claim)}/{name_of(claim)}"'
    return f'PVC {where} was not created for pod "{namespace_of(pod)}/{name_of(pod)}" (pod is not owner)'


def _has_access_modes(volume: Obj, claim: Obj) -> bool:
    return set(dig(claim, "spec", "accessModes", default=())) <= set(dig(volume, "spec", "accessModes", default=()))


def _attributes_class(obj: Obj) -> str:
    return str(dig(obj, "spec", "volumeAttributesClassName", default=""))
