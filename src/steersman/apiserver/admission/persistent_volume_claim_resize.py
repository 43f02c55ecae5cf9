"""PersistentVolumeClaimResize: a claim grows only if it is bound and its class says that its volumes can.

Source: upstream plugin/pkg/admission/storage/persistentvolume/resize.
"""

from __future__ import annotations

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, annotations_of, dig

_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_NOT_RESIZABLE = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)


class PersistentVolumeClaimResize:
    name = "PersistentVolumeClaimResize"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def validate(self, request: AdmissionRequest) -> None:
        new, old = request.obj, request.old
        if request.resource != PERSISTENT_VOLUME_CLAIMS or request.subresource or request.operation != "UPDATE":
            return
        if new is None or old is None or not _grows(new, old):
            return
        if dig(old, "status", "phase") != "Bound":
            raise refused(request, "Only bound persistent volume claims can be expanded")
        name = _class_of(new)
        found = await self._lookup.get(STORAGE_CLASSES, "", name) if name and name == _class_of(old) else None
        if found is None or not found.get("allowVolumeExpansion"):
            raise refused(request, _NOT_RESIZABLE)


def _grows(new: Obj, old: Obj) -> bool:
    sizes = [dig(claim, "spec", "resources", "requests", "storage", default="0") for claim in (new, old)]
    return sizes[0] != sizes[1] and quantity.parse(str(sizes[0])) > quantity.parse(str(sizes[1]))


def _class_of(claim: Obj) -> str:
    return str(annotations_of(claim).get(_CLASS_ANNOTATION) or dig(claim, "spec", "storageClassName", default="") or "")
