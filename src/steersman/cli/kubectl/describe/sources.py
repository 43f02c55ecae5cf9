"""Where volumes come from: one entry per source, those of pods and those of PersistentVolumes.

Most are a sentence and a few fields, so they are data; the others have a function. Not here: claims (claims.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from steersman.cli.kubectl.describe.golang import message, verb_v
from steersman.cli.kubectl.describe.subject import shorten
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import quantity
from steersman.machinery.meta import Obj

Write = Callable[[Writer, Obj], None]
_NAME, _NAMESPACE = ("Name", "name"), ("Namespace", "namespace")
_LEVEL = 2
Fields = tuple[tuple[str, str, Any], ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """A source told by its fields, as (label, key, what an absent one shows). Some labels of upstream lack their colon."""

    type: str
    fields: Fields

    def __call__(self, w: Writer, source: Obj) -> None:
        w.field("Type", self.type, _LEVEL)
        for label, key, absent in self.fields:
            if callable(absent):
                shown = absent(source.get(key))
            else:
                value = source.get(key)
                shown = verb_v(absent if value is None else value)
            w.write(f"{label}\t{shown}\n", _LEVEL)


def _local_reference(value: Obj | None) -> str:
    return message("LocalObjectReference", value, _NAME)


def _secret_reference(value: Obj | None) -> str:
    return message("SecretReference", value, _NAME, _NAMESPACE)


def _joined(value: list[str] | None) -> str:
    return ", ".join(value or ())


def _size_limit(value: Any) -> str:
    return quantity.canonical(value) if value is not None and quantity.parse(value).sign > 0 else "<unset>"


_READ_ONLY = ("ReadOnly:", "readOnly", False)
_FS_TYPE = ("FSType:", "fsType", "")
_OPTIONAL = ("Optional:", "optional", False)
_DISK = (_FS_TYPE, ("Partition:", "partition", 0), _READ_ONLY)
_GLUSTER = "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)"
_AZURE_FILE = "AzureFile (an Azure File Service mount on the host and bind mount to the pod)"
_SCALE_IO = "ScaleIO (a persistent volume backed by a block device in ScaleIO)"
_SCALE_IO_FIELDS = (
    ("Gateway:", "gateway", ""), ("System:", "system", ""), ("Protection Domain:", "protectionDomain", ""),
    ("Storage Pool:", "storagePool", ""), ("Storage Mode:", "storageMode", ""), ("VolumeName:", "volumeName", ""),
)  # fmt: skip


def _iscsi(reference: Callable[[Obj | None], str]) -> Plain:
    fields: Fields = (
        ("TargetPortal:", "targetPortal", ""), ("IQN:", "iqn", ""), ("Lun:", "lun", 0), ("ISCSIInterface", "iscsiInterface", ""),
        _FS_TYPE, _READ_ONLY, ("Portals:", "portals", []), ("DiscoveryCHAPAuth:", "chapAuthDiscovery", False),
        ("SessionCHAPAuth:", "chapAuthSession", False), ("SecretRef:", "secretRef", reference),
        ("InitiatorName:", "initiatorName", "<none>"),
    )  # fmt: skip
    return Plain(
        "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the pod)", fields
    )


def _rbd(reference: Callable[[Obj | None], str]) -> Plain:
    fields: Fields = (
        ("CephMonitors:", "monitors", []), ("RBDImage:", "image", ""), _FS_TYPE, ("RBDPool:", "pool", ""),
        ("RadosUser:", "user", ""), ("Keyring:", "keyring", ""), ("SecretRef:", "secretRef", reference), _READ_ONLY,
    )  # fmt: skip
    return Plain("RBD (a Rados Block Device mount on the host that shares a pod's lifetime)", fields)


def _cinder(reference: Callable[[Obj | None], str]) -> Plain:
    fields: Fields = (("VolumeID:", "volumeID", ""), _FS_TYPE, _READ_ONLY, ("SecretRef:", "secretRef", reference))
    return Plain("Cinder (a Persistent Disk resource in OpenStack)", fields)


def _ceph_fs(reference: Callable[[Obj | None], str]) -> Plain:
    fields: Fields = (
        ("Monitors:", "monitors", []), ("Path:", "path", ""), ("User:", "user", ""), ("SecretFile:", "secretFile", ""),
        ("SecretRef:", "secretRef", reference), _READ_ONLY,
    )  # fmt: skip
    return Plain("CephFS (a CephFS mount on the host that shares a pod's lifetime)", fields)


def _flex(reference: Callable[[Obj | None], str]) -> Plain:
    fields: Fields = (
        ("Driver:", "driver", ""),
        _FS_TYPE,
        ("SecretRef:", "secretRef", reference),
        _READ_ONLY,
        ("Options:", "options", {}),
    )
    return Plain("FlexVolume (a generic volume resource that is provisioned/attached using an exec based plugin)", fields)


def _scale_io_persistent(w: Writer, source: Obj) -> None:
    secret = source.get("secretRef") or {}
    flat = {**source, "secretName": secret.get("name", ""), "secretNamespace": secret.get("namespace", "")}
    fields: Fields = (("SecretName:", "secretName", ""), ("SecretNamespace:", "secretNamespace", ""), _FS_TYPE, _READ_ONLY)
    Plain(_SCALE_IO, _SCALE_IO_FIELDS + fields)(w, flat)


def _projected(w: Writer, source: Obj) -> None:
    w.field("Type", "Projected (a volume that contains injected data from multiple sources)", _LEVEL)
    for item in source.get("sources") or ():
        for key, label, optional in (
            ("secret", "SecretName", "SecretOptionalName"),
            ("configMap", "ConfigMapName", "ConfigMapOptional"),
        ):
            if (named := item.get(key)) is not None:
                w.field(label, named.get("name", ""), _LEVEL)
                w.field(optional, verb_v(named.get("optional")), _LEVEL)
        if item.get("downwardAPI") is not None:
            w.field("DownwardAPI", "true", _LEVEL)
        if (token := item.get("serviceAccountToken")) is not None:
            w.field("TokenExpirationSeconds", token.get("expirationSeconds", 0), _LEVEL)


def _downward(w: Writer, source: Obj) -> None:
    w.field("Type", "DownwardAPI (a volume populated by information about the pod)", _LEVEL)
    w.write("Items:\n", _LEVEL)
    for item in source.get("items") or ():
        for key, name in (("fieldRef", "fieldPath"), ("resourceFieldRef", "resource")):
            if (found := item.get(key)) is not None:
                w.write(f"{found.get(name, '')} -> {item.get('path', '')}\n", _LEVEL + 1)


def _csi(*fields: tuple[str, str, Any]) -> Write:
    plain = Plain(
        "CSI (a Container Storage Interface (CSI) volume source)", (("Driver:", "driver", ""), _FS_TYPE, *fields, _READ_ONLY)
    )

    def write(w: Writer, source: Obj) -> None:
        plain(w, source)
        w.write("VolumeAttributes:\t", _LEVEL)
        attributes = sorted((source.get("volumeAttributes") or {}).items())
        if not attributes:
            w.write("<none>\n")
        for place, (key, value) in enumerate(attributes):
            if place:
                w.write("", _LEVEL)
                w.write("\t", _LEVEL)
            w.write(f"{shorten(f'{key}={value}')}\n", _LEVEL)

    return write


_HOST_PATH = Plain(
    "HostPath (bare host directory volume)", (("Path:", "path", ""), ("HostPathType:", "type", "<none>"))
)  # fmt: skip
_GCE = Plain("GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)", (("PDName:", "pdName", ""), *_DISK))
_AWS = Plain("AWSElasticBlockStore (a Persistent Disk resource in AWS)", (("VolumeID:", "volumeID", ""), *_DISK))
_NFS = Plain(
    "NFS (an NFS mount that lasts the lifetime of a pod)", (("Server:", "server", ""), ("Path:", "path", ""), _READ_ONLY)
)  # fmt: skip
_QUOBYTE = Plain(
    "Quobyte (a Quobyte mount on the host that shares a pod's lifetime)",
    (("Registry:", "registry", ""), ("Volume:", "volume", ""), _READ_ONLY),
)
_AZURE_DISK = Plain(
    "AzureDisk (an Azure Data Disk mount on the host and bind mount to the pod)",
    (
        ("DiskName:", "diskName", ""), ("DiskURI:", "diskURI", ""), ("Kind: ", "kind", ""), _FS_TYPE,
        ("CachingMode:", "cachingMode", ""), _READ_ONLY,
    ),
)  # fmt: skip
_VSPHERE = Plain(
    "vSphereVolume (a Persistent Disk resource in vSphere)",
    (("VolumePath:", "volumePath", ""), _FS_TYPE, ("StoragePolicyName:", "storagePolicyName", "")),
)
_PHOTON = Plain("PhotonPersistentDisk (a Persistent Disk resource in photon platform)", (("PdID:", "pdID", ""), _FS_TYPE))
_PORTWORX = Plain("PortworxVolume (a Portworx Volume resource)", (("VolumeID:", "volumeID", ""),))
_STORAGE_OS = Plain(
    "StorageOS (a StorageOS Persistent Disk resource)",
    (("VolumeName:", "volumeName", ""), ("VolumeNamespace:", "volumeNamespace", ""), _FS_TYPE, _READ_ONLY),
)
_FC = Plain(
    "FC (a Fibre Channel disk)", (("TargetWWNs:", "targetWWNs", _joined), ("LUN:", "lun", "<none>"), _FS_TYPE, _READ_ONLY)
)  # fmt: skip
_FLOCKER = Plain(
    "Flocker (a Flocker volume mounted by the Flocker agent)",
    (("DatasetName:", "datasetName", ""), ("DatasetUUID:", "datasetUUID", "")),
)

POD_SOURCES: dict[str, Write] = {
    "hostPath": _HOST_PATH,
    "emptyDir": Plain(
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        (("Medium:", "medium", ""), ("SizeLimit:", "sizeLimit", _size_limit)),
    ),
    "gcePersistentDisk": _GCE,
    "awsElasticBlockStore": _AWS,
    "gitRepo": Plain(
        "GitRepo (a volume that is pulled from git when the pod is created)",
        (("Repository:", "repository", ""), ("Revision:", "revision", "")),
    ),
    "secret": Plain("Secret (a volume populated by a Secret)", (("SecretName:", "secretName", ""), _OPTIONAL)),
    "configMap": Plain("ConfigMap (a volume populated by a ConfigMap)", (("Name:", "name", ""), _OPTIONAL)),
    "nfs": _NFS,
    "iscsi": _iscsi(_local_reference),
    "glusterfs": Plain(_GLUSTER, (("EndpointsName:", "endpoints", ""), ("Path:", "path", ""), _READ_ONLY)),
    "persistentVolumeClaim": Plain(
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        (("ClaimName:", "claimName", ""), _READ_ONLY),
    ),
    "rbd": _rbd(_local_reference),
    "quobyte": _QUOBYTE,
    "downwardAPI": _downward,
    "azureDisk": _AZURE_DISK,
    "vsphereVolume": _VSPHERE,
    "cinder": _cinder(_local_reference),
    "photonPersistentDisk": _PHOTON,
    "portworxVolume": _PORTWORX,
    "scaleIO": Plain(_SCALE_IO, (*_SCALE_IO_FIELDS, _FS_TYPE, _READ_ONLY)),
    "cephfs": _ceph_fs(_local_reference),
    "storageos": _STORAGE_OS,
    "fc": _FC,
    "azureFile": Plain(_AZURE_FILE, (("SecretName:", "secretName", ""), ("ShareName:", "shareName", ""), _READ_ONLY)),
    "flexVolume": _flex(_local_reference),
    "flocker": _FLOCKER,
    "projected": _projected,
    "csi": _csi(),
    "image": Plain(
        "Image (a container image or OCI artifact)", (("Reference:", "reference", ""), ("PullPolicy:", "pullPolicy", ""))
    ),
}

PERSISTENT_SOURCES: dict[str, Write] = {
    "hostPath": _HOST_PATH,
    "gcePersistentDisk": _GCE,
    "awsElasticBlockStore": _AWS,
    "nfs": _NFS,
    "iscsi": _iscsi(_secret_reference),
    "glusterfs": Plain(
        _GLUSTER,
        (
            ("EndpointsName:", "endpoints", ""), ("EndpointsNamespace:", "endpointsNamespace", "<unset>"), ("Path:", "path", ""),
            _READ_ONLY,
        ),
    ),
    "rbd": _rbd(_secret_reference),
    "quobyte": _QUOBYTE,
    "vsphereVolume": _VSPHERE,
    "cinder": _cinder(_secret_reference),
    "azureDisk": _AZURE_DISK,
    "photonPersistentDisk": _PHOTON,
    "portworxVolume": _PORTWORX,
    "scaleIO": _scale_io_persistent,
    "local": Plain("LocalVolume (a persistent volume backed by local storage on a node)", (("Path:", "path", ""),)),
    "cephfs": _ceph_fs(_secret_reference),
    "storageos": _STORAGE_OS,
    "fc": _FC,
    "azureFile": Plain(
        _AZURE_FILE,
        (
            ("SecretName:", "secretName", ""), ("SecretNamespace:", "secretNamespace", ""), ("ShareName:", "shareName", ""),
            _READ_ONLY,
        ),
    ),
    "flexVolume": _flex(_secret_reference),
    "flocker": _FLOCKER,
    "csi": _csi(("VolumeHandle:", "volumeHandle", "")),
}  # fmt: skip


def write_source(w: Writer, sources: dict[str, Write], holder: Obj) -> None:
    """The one source that `holder` has."""
    for key, write in sources.items():
        if (source := holder.get(key)) is not None:
            write(w, source)
            return
    w.write("<unknown>\n", 1)
