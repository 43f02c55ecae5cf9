"""DefaultStorageClass and DefaultIngressClass: who names no class gets the one marked as default.

Source: upstream plugin/pkg/admission/storage/storageclass/setdefault and network/defaultingressclass.
"""

from __future__ import annotations

from steersman.api.resources import INGRESS_CLASSES, INGRESSES, PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, annotations_of, name_of


class _DefaultClass:
    name = ""
    resource: Resource
    classes: Resource
    field = ""
    marks: tuple[str, ...] = ()
    """Annotations with which a class says that it is the default one."""
    chosen = ""
    """The older way to name a class: an annotation of the object."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._default: tuple[int, str] = (-1, "")

    async def admit(self, request: AdmissionRequest) -> None:
        obj = request.obj
        if request.resource != self.resource or request.subresource or request.operation != "CREATE" or obj is None:
            return
        spec = obj.setdefault("spec", {})
        if spec.get(self.field) is not None or self.chosen in annotations_of(obj):
            return
        name = self._default_class()
        if name:
            spec[self.field] = name

    def _default_class(self) -> str:
        """Of several the newest, then the first by name."""
        lister = self._lookup.listers(self.classes)
        version = lister.version
        if version != self._default[0]:
            marked = sorted((item for item in lister.list() if self._is_default(item)), key=name_of)
            newest = max(marked, key=lambda item: str(item["metadata"].get("creationTimestamp") or ""), default={})
            self._default = (version, name_of(newest))
        return self._default[1]

    def _is_default(self, item: Obj) -> bool:
        return any(annotations_of(item).get(mark) == "true" for mark in self.marks)


class DefaultStorageClass(_DefaultClass):
    name = "DefaultStorageClass"
    resource, classes, field = PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES, "storageClassName"
    marks = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
    chosen = "volume.beta.kubernetes.io/storage-class"


class DefaultIngressClass(_DefaultClass):
    name = "DefaultIngressClass"
    resource, classes, field = INGRESSES, INGRESS_CLASSES, "ingressClassName"
    marks = ("ingressclass.kubernetes.io/is-default-class",)
    chosen = "kubernetes.io/ingress.class"
