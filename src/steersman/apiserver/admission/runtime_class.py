"""RuntimeClass: a pod's class must exist, and says what the pod costs beside its containers and where it can run.

Source: upstream plugin/pkg/admission/runtimeclass.
"""

from __future__ import annotations

from steersman.api.resources import PODS, RUNTIME_CLASSES
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.meta import Obj
from steersman.machinery.quantity import parse


class RuntimeClass:
    name = "RuntimeClass"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def admit(self, request: AdmissionRequest) -> None:
        found = await self._class_of(request)
        if request.obj is None or found is None:
            return
        spec = request.obj["spec"]
        fixed = (found.get("overhead") or {}).get("podFixed")
        if fixed:
            given = spec.get("overhead")
            if given and not _same_amounts(given, fixed):
                raise refused(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
            spec["overhead"] = dict(fixed)
        self._scheduling(request, spec, found.get("scheduling") or {})

    async def validate(self, request: AdmissionRequest) -> None:
        """Without a class, or with one that says nothing of it, a pod has no overhead."""
        if not _concerns(request) or request.obj is None or not request.obj["spec"].get("overhead"):
            return
        found = await self._class_of(request)
        if found is None or not (found.get("overhead") or {}).get("podFixed"):
            raise refused(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")

    async def _class_of(self, request: AdmissionRequest) -> Obj | None:
        if not _concerns(request) or request.obj is None:
            return None
        name = request.obj["spec"].get("runtimeClassName") or ""
        if not name:
            return None
        found = await self._lookup.get(RUNTIME_CLASSES, "", name)
        if found is None:
            raise refused(request, f'pod rejected: RuntimeClass "{name}" not found')
        return found

    def _scheduling(self, request: AdmissionRequest, spec: Obj, wanted: Obj) -> None:
        """Node selectors are merged where they don't contradict each other, tolerations joined."""
        selector = dict(spec.get("nodeSelector") or {})
        for key, value in (wanted.get("nodeSelector") or {}).items():
            if selector.setdefault(key, value) != value:
                where = f"nodeSelector[{key}] = "
                text = f"conflict: runtimeClass.scheduling.{where}{value}; pod.spec.{where}{selector[key]}"
                raise refused(request, text)
        if selector:
            spec["nodeSelector"] = selector
        tolerations = list(spec.get("tolerations") or ())
        added = [item for item in wanted.get("tolerations") or () if item not in tolerations]
        if added:
            spec["tolerations"] = tolerations + added


def _concerns(request: AdmissionRequest) -> bool:
    return request.resource == PODS and not request.subresource and request.operation == "CREATE"


def _same_amounts(some: Obj, others: Obj) -> bool:
    return some.keys() == others.keys() and all(parse(some[key]) == parse(others[key]) for key in some)
