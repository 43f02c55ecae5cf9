"""Validation of persistent volumes and claims, and of their updates."""

from __future__ import annotations

import copy

from steersman.api.equality import same
from steersman.api.validation import volume_sources
from steersman.api.validation.claims import VOLUME_MODES, access_modes, claim_spec, positive_amount
from steersman.api.validation.common import Errors, immutable, needs, one_of, subdomain
from steersman.api.validation.differences import difference
from steersman.api.validation.scheduling import node_selector
from steersman.machinery import quantity
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, not_supported, required
from steersman.machinery.meta import Obj, annotations_of

_RECLAIM = ("Delete", "Recycle", "Retain")
_MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_SECRET_REFS = (
    "controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeStageSecretRef",
    "nodeExpandSecretRef",
)  # fmt: skip
_MOUNTABLE = (
    "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "nfs", "rbd", "iscsi", "cinder", "cephfs", "azureFile",
    "vsphereVolume", "azureDisk", "photonPersistentDisk", "portworxVolume", "scaleIO", "storageos", "quobyte",
)  # fmt: skip
SOURCES = (
    "hostPath", *volume_sources.NEEDED, "nfs", "iscsi", "fc", "flexVolume", "flocker", "local", "csi",
)  # fmt: skip
"""Fields of a volume's spec of which it has exactly one."""
_RESIZE_STATES = (
    "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible",
    "NodeResizePending",
)  # fmt: skip


def validate_volume(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    access_modes(errors, "spec.accessModes", spec.get("accessModes") or [], "")
    capacity = spec.get("capacity") or {}
    if not capacity:
        errors.append(required("spec.capacity"))
    elif list(capacity) != ["storage"]:
        errors.append(not_supported("spec.capacity", capacity, ("storage",)))
    for name, value in capacity.items():
        positive_amount(errors, f"spec.capacity[{name}]", value)
    one_of(errors, "spec.persistentVolumeReclaimPolicy", spec.get("persistentVolumeReclaimPolicy"), _RECLAIM)
    affinity = (spec.get("nodeAffinity") or {}).get("required")
    if spec.get("nodeAffinity") is not None:
        if affinity is None:
            errors.append(required("spec.nodeAffinity.required", "must specify required node constraints"))
        else:
            node_selector(errors, "spec.nodeAffinity.required", affinity)
    _volume_source(errors, obj, spec)
    root = (spec.get("hostPath") or {}).get("path")
    if root is not None and root.rstrip("/") == "" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        text = "may not be 'recycle' for a hostPath mount of '/'"
        errors.append(forbidden("spec.persistentVolumeReclaimPolicy", text))
    if spec.get("storageClassName"):
        subdomain(errors, "spec.storageClassName", spec["storageClassName"])
    one_of(errors, "spec.volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    _attributes_class(errors, spec)
    return errors


def _attributes_class(errors: Errors, spec: Obj) -> None:
    name = spec.get("volumeAttributesClassName")
    if name is None:
        return
    path = "spec.volumeAttributesClassName"
    if not name:
        errors.append(required(path, "an empty string is disallowed"))
    else:
        subdomain(errors, path, name)
    if spec.get("csi") is None:
        errors.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))


def _volume_source(errors: Errors, obj: Obj, spec: Obj) -> None:
    kinds = [kind for kind in SOURCES if spec.get(kind) is not None]
    if not kinds:
        errors.append(required("spec", "must specify a volume type"))
    for kind in kinds[1:]:
        errors.append(forbidden(f"spec.{kind}", "may not specify more than 1 volume type"))
    for kind in kinds[:1]:
        path, source = f"spec.{kind}", spec[kind]
        if kind == "csi":
            _csi(errors, path, source)
        elif kind == "local":
            if needs(errors, f"{path}.path", source.get("path")) and ".." in source["path"].split("/"):
                errors.append(invalid(f"{path}.path", source["path"], "must not contain '..'"))
            if spec.get("nodeAffinity") is None:
                errors.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
        elif kind in volume_sources.CHECKS:
            volume_sources.CHECKS[kind](errors, path, source)
        else:
            volume_sources.needed(errors, path, source, volume_sources.NEEDED.get(kind, ()))
        if kind in ("cinder", "storageos") and (source.get("secretRef") or {}).get("name"):
            needs(errors, f"{path}.secretRef.namespace", source["secretRef"].get("namespace"))
        if kind not in _MOUNTABLE and annotations_of(obj).get(_MOUNT_OPTIONS) is not None:
            inner = f"metadata.annotations[{_MOUNT_OPTIONS}]"
            errors.append(forbidden(inner, "may not specify mount options for this volume type"))


def _csi(errors: Errors, path: str, source: Obj) -> None:
    volume_sources.csi_driver(errors, f"{path}.driver", source.get("driver") or "")
    needs(errors, f"{path}.volumeHandle", source.get("volumeHandle"))
    for key in _SECRET_REFS:
        ref = source.get(key)
        if ref is not None:
            needs(errors, f"{path}.{key}.name", ref.get("name"))
            needs(errors, f"{path}.{key}.namespace", ref.get("namespace"))


def validate_volume_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_volume(new)
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    source = {key: spec[key] for key in SOURCES if spec.get(key) is not None}
    before = {key: stored[key] for key in SOURCES if stored.get(key) is not None}
    if "csi" in source and "csi" in before and before["csi"].get("controllerExpandSecretRef") is None:
        source = {**source, "csi": {k: v for k, v in source["csi"].items() if k != "controllerExpandSecretRef"}}
    if not same(source, before):
        text = f"spec.persistentvolumesource is immutable after creation\n{difference(before, source)}"
        errors.append(forbidden("spec.persistentvolumesource", text))
    immutable(errors, "spec.volumeMode", spec.get("volumeMode"), stored.get("volumeMode"))
    if stored.get("nodeAffinity") is not None and not same(spec.get("nodeAffinity"), stored["nodeAffinity"]):
        text = "field is immutable, except for updating from beta label to GA"
        errors.append(invalid("spec.nodeAffinity", spec.get("nodeAffinity"), text))
    if stored.get("volumeAttributesClassName") is not None and spec.get("volumeAttributesClassName") is None:
        text = "update from non-nil value to nil is forbidden"
        errors.append(forbidden("spec.volumeAttributesClassName", text))
    return errors


def validate_claim(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    claim_spec(errors, "spec", obj.get("spec") or {})
    return errors


def validate_claim_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_claim(new)
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    allowed = _with_allowed_changes(spec, stored, (old.get("status") or {}).get("phase") == "Bound")
    if not same(allowed, stored):
        text = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        errors.append(forbidden("spec", f"{text}\n{difference(stored, allowed)}"))
    _shrink(errors, spec, stored, (old.get("status") or {}).get("capacity") or {})
    found, before = annotations_of(new).get(_BETA_CLASS), annotations_of(old).get(_BETA_CLASS)
    if before is not None:
        immutable(errors, f"metadata.annotations.{_BETA_CLASS}", found or "", before)
    immutable(errors, "spec.volumeMode", spec.get("volumeMode"), stored.get("volumeMode"))
    current = (old.get("status") or {}).get("currentVolumeAttributesClassName")
    if current is not None and stored.get("volumeAttributesClassName") is not None:
        chosen = spec.get("volumeAttributesClassName")
        what = "nil" if chosen is None else "empty string" if not chosen else ""
        if what:
            text = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
            errors.append(forbidden("spec.volumeAttributesClassName", text))
    return errors


def _with_allowed_changes(spec: Obj, stored: Obj, bound: bool) -> Obj:
    """The new spec with what may change taken from the stored one; what still differs is forbidden."""
    allowed = copy.deepcopy(spec)
    if not stored.get("volumeName"):
        allowed.pop("volumeName", None)
    if stored.get("storageClassName") is None:
        allowed.pop("storageClassName", None)
    if bound:
        _take(allowed, stored, "volumeAttributesClassName")
        storage = ((stored.get("resources") or {}).get("requests") or {}).get("storage")
        if storage is not None:
            allowed.setdefault("resources", {}).setdefault("requests", {})["storage"] = storage
    return allowed


def _take(target: Obj, source: Obj, key: str) -> None:
    if key in source:
        target[key] = source[key]
    else:
        target.pop(key, None)


def _shrink(errors: Errors, spec: Obj, stored: Obj, capacity: Obj) -> None:
    path = "spec.resources.requests.storage"
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    before = ((stored.get("resources") or {}).get("requests") or {}).get("storage")
    if asked is None or before is None or not quantity.parse(asked) < quantity.parse(before):
        return
    have = capacity.get("storage")
    if have is not None and not quantity.parse(have) < quantity.parse(asked):
        errors.append(forbidden(path, "field can not be less than status.capacity"))


def validate_claim_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    for name, value in (status.get("capacity") or {}).items():
        if quantity.parse(value).milli < 0:
            errors.append(invalid(f"status.capacity[{name}]", value, "must be a valid resource quantity"))
    for key in ("allocatedResources", "allocatedResourceStatuses"):
        for name in status.get(key) or {}:
            if ("/" not in name or "kubernetes.io/" in name) and name != "storage":
                errors.append(not_supported(f"status.{key}[{name}]", name, ("storage",)))
    for name, state in (status.get("allocatedResourceStatuses") or {}).items():
        one_of(errors, f"status.allocatedResourceStatuses[{name}]", state, _RESIZE_STATES)
    return errors
