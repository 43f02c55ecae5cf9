"""ExtendedResourceToleration: who asks for a special resource tolerates the taint of the nodes that have it.

Source: upstream plugin/pkg/admission/extendedresourcetoleration.
"""

from __future__ import annotations

from steersman.api.resources import PODS
from steersman.api.validation.resources import is_extended
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.meta import Obj, dig


class ExtendedResourceToleration:
    name = "ExtendedResourceToleration"

    async def admit(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if request.resource != PODS or request.subresource or pod is None or request.operation not in ("CREATE", "UPDATE"):
            return
        spec = pod["spec"]
        tolerations: list[Obj] = list(spec.get("tolerations") or ())
        for name in sorted(_asked(spec)):
            toleration = {"key": name, "operator": "Exists"}
            if not any(_same(item, toleration) for item in tolerations):
                tolerations.append(toleration)
        if tolerations:
            spec["tolerations"] = tolerations


def _asked(spec: Obj) -> set[str]:
    containers = [item for part in ("containers", "initContainers") for item in spec.get(part) or ()]
    return {name for item in containers for name in dig(item, "resources", "requests", default=()) if is_extended(name)}


def _same(some: Obj, other: Obj) -> bool:
    return all((some.get(key) or "") == (other.get(key) or "") for key in ("key", "operator", "value", "effect"))
