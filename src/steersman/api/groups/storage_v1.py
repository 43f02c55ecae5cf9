"""storage.k8s.io/v1: classes of storage, and what CSI drivers, nodes and the attach controller tell each other."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.defaults import storage as defaults
from steersman.api.kinds import STATUS, KindSpec
from steersman.api.strategies import storage
from steersman.machinery.gvk import Resource

GROUP = "storage.k8s.io"
SCHEMA = "io.k8s.api.storage.v1."

STORAGE_CLASSES = KindSpec(
    resource=r.STORAGE_CLASSES,
    short_names=("sc",),
    schema=SCHEMA + "StorageClass",
    default=defaults.storage_class,
    strategy=storage.STORAGE_CLASS,
    delete_returns_object=True,
)

VOLUME_ATTRIBUTES_CLASSES = KindSpec(
    resource=Resource(GROUP, "v1", "volumeattributesclasses", False, "VolumeAttributesClass"),
    short_names=("vac",),
    schema=SCHEMA + "VolumeAttributesClass",
    strategy=storage.VOLUME_ATTRIBUTES_CLASS,
    delete_returns_object=True,
)

VOLUME_ATTACHMENTS = KindSpec(
    resource=Resource(GROUP, "v1", "volumeattachments", False, "VolumeAttachment"),
    schema=SCHEMA + "VolumeAttachment",
    strategy=storage.VOLUME_ATTACHMENT,
    subresources=(STATUS,),
    delete_returns_object=True,
)

CSI_DRIVERS = KindSpec(
    resource=Resource(GROUP, "v1", "csidrivers", False, "CSIDriver"),
    schema=SCHEMA + "CSIDriver",
    default=defaults.csi_driver,
    strategy=storage.CSI_DRIVER,
    delete_returns_object=True,
)

CSI_NODES = KindSpec(
    resource=Resource(GROUP, "v1", "csinodes", False, "CSINode"),
    schema=SCHEMA + "CSINode",
    strategy=storage.CSI_NODE,
    delete_returns_object=True,
)

CSI_STORAGE_CAPACITIES = KindSpec(
    resource=Resource(GROUP, "v1", "csistoragecapacities", kind="CSIStorageCapacity"),
    schema=SCHEMA + "CSIStorageCapacity",
    strategy=storage.CSI_STORAGE_CAPACITY,
)

KINDS: tuple[KindSpec, ...] = (
    CSI_DRIVERS, CSI_NODES, CSI_STORAGE_CAPACITIES, STORAGE_CLASSES, VOLUME_ATTACHMENTS, VOLUME_ATTRIBUTES_CLASSES,
)  # fmt: skip
