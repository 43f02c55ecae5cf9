"""Volumes are the cluster's own kinds, or claims; whatever names a disk or a server itself is not allowed."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, plural, quoted
from steersman.apiserver.admission.podsecurity.checks import host_path_volumes
from steersman.apiserver.admission.podsecurity.levels import RESTRICTED
from steersman.machinery.meta import Obj

_ALLOWED = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
)  # fmt: skip
_OTHERS = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd", "flexVolume",
    "cinder", "cephfs", "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk",
    "portworxVolume", "scaleIO", "storageos",
)  # fmt: skip


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    bad: list[str] = []
    types: set[str] = set()
    for volume in spec.get("volumes") or ():
        if not any(volume.get(source) is not None for source in _ALLOWED):
            bad.append(str(volume.get("name")))
            types.add(next((source for source in _OTHERS if volume.get(source) is not None), "unknown"))
    if not bad:
        return None
    who, verb = f"{plural('volume', 'volumes', len(bad))} {quoted(bad)}", plural("uses", "use", len(bad))
    what = plural("restricted volume type", "restricted volume types", len(types))
    return Violation("restricted volume types", f"{who} {verb} {what} {quoted(sorted(types))}")


CHECK = Check("restrictedVolumes", RESTRICTED, ((0, _check),), (host_path_volumes.ID,))
