"""StorageObjectInUseProtection: volumes and claims are held from their first moment until nothing uses them any more.

Source: upstream plugin/pkg/admission/storage/storageobjectinuseprotection. Controllers take the finalizers away.
"""

from __future__ import annotations

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, VOLUME_ATTRIBUTES_CLASSES
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.meta import metadata

_FINALIZERS = {
    PERSISTENT_VOLUMES: "kubernetes.io/pv-protection",
    PERSISTENT_VOLUME_CLAIMS: "kubernetes.io/pvc-protection",
    VOLUME_ATTRIBUTES_CLASSES: "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection:
    name = "StorageObjectInUseProtection"

    async def admit(self, request: AdmissionRequest) -> None:
        obj, finalizer = request.obj, _FINALIZERS.get(request.resource)
        if finalizer is None or request.subresource or request.operation != "CREATE" or obj is None:
            return
        meta = metadata(obj)
        held = meta.get("finalizers") or []
        if finalizer not in held:
            meta["finalizers"] = [*held, finalizer]
