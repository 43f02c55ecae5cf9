"""Rows of storage.k8s.io/v1. CSIStorageCapacity prints with the default table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import Column, TableSpec
from steersman.api.printers.cells import AGE, NAME, age, col, spec
from steersman.machinery.meta import Obj, annotations_of, dig, name_of

_DEFAULT_CLASS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _storage_class(obj: Obj, now: datetime) -> list[Any]:
    annotations = annotations_of(obj)
    default = " (default)" if any(annotations.get(key) == "true" for key in _DEFAULT_CLASS) else ""
    return [
        name_of(obj) + default,
        str(obj.get("provisioner") or ""),
        str(obj.get("reclaimPolicy") or "Delete"),
        str(obj.get("volumeBindingMode") or "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        age(obj, now),
    ]


def _volume_attributes_class(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), str(obj.get("driverName") or ""), age(obj, now)]


def _volume_attachment(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    return [
        name_of(obj),
        str(wanted.get("attacher") or ""),
        str(dig(wanted, "source", "persistentVolumeName", default="")),
        str(wanted.get("nodeName") or ""),
        bool(dig(obj, "status", "attached")),
        age(obj, now),
    ]


def _csi_node(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), len(dig(obj, "spec", "drivers", default=())), age(obj, now)]


def _csi_driver(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    requests = wanted.get("tokenRequests")
    return [
        name_of(obj),
        bool(wanted.get("attachRequired", True)),
        bool(wanted.get("podInfoOnMount")),
        bool(wanted.get("storageCapacity")),
        "<unset>" if requests is None else ",".join(request.get("audience", "") for request in requests),
        bool(wanted.get("requiresRepublish")),
        ",".join(wanted.get("volumeLifecycleModes") or ()) or "<none>",
        age(obj, now),
    ]


TABLES: dict[str, TableSpec] = {
    "StorageClass": spec(
        _storage_class,
        NAME,
        col("Provisioner"),
        col("ReclaimPolicy"),
        col("VolumeBindingMode"),
        col("AllowVolumeExpansion"),
        AGE,
    ),
    "VolumeAttributesClass": spec(_volume_attributes_class, NAME, col("DriverName"), AGE),
    "VolumeAttachment": spec(
        _volume_attachment,
        NAME,
        Column("Attacher", format="name"),
        col("PV"),
        col("Node"),
        col("Attached", "boolean"),
        AGE,
    ),
    "CSINode": spec(_csi_node, NAME, col("Drivers", "integer"), AGE),
    "CSIDriver": spec(
        _csi_driver,
        NAME,
        col("AttachRequired", "boolean"),
        col("PodInfoOnMount", "boolean"),
        col("StorageCapacity", "boolean"),
        col("TokenRequests"),
        col("RequiresRepublish", "boolean"),
        col("Modes"),
        AGE,
    ),
}
