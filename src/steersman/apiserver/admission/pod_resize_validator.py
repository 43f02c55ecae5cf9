"""PodResizeValidator: a running pod is not made larger than its node, and only on Linux.

Source: upstream plugin/pkg/admission/podresize.
"""

from __future__ import annotations

from steersman.api.podresources import pod_total
from steersman.api.resources import NODES, PODS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, dig, labels_of


class PodResizeValidator:
    name = "PodResizeValidator"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def validate(self, request: AdmissionRequest) -> None:
        pod, old = request.obj, request.old
        if request.resource != PODS or request.subresource != "resize" or pod is None or old is None:
            return
        name = dig(pod, "spec", "nodeName", default="")
        if not name or dig(pod, "metadata", "generation") == dig(old, "metadata", "generation"):
            return
        node = await self._lookup.get(NODES, "", name)
        if node is None:
            raise refused(request, f'node "{name}" not found')
        short = _short(pod, node)
        if short:
            why = f"node didn't have enough allocatable resources: {'; '.join(short)}"
            raise refused(request, why, causes=[{"reason": "NodeCapacity"}])
        system = labels_of(node).get("kubernetes.io/os", "")
        if system != "linux":
            why = f'pod resize is only supported on linux nodes, node "{name}" is "{system}"'
            raise refused(request, why, causes=[{"reason": "UnsupportedPlatform"}])


def _short(pod: Obj, node: Obj) -> list[str]:
    """What the pod asks for beyond all that the node has, in milli-cpu and bytes."""
    asked = pod_total(pod["spec"], "requests")
    found = []
    for resource in ("cpu", "memory"):
        has = quantity.parse(str(dig(node, "status", "allocatable", resource, default="0")))
        if resource in asked and asked[resource] > has:
            amounts = [amount.milli if resource == "cpu" else amount.value for amount in (asked[resource], has)]
            found.append(f"{resource}, requested: {amounts[0]}, allocatable: {amounts[1]}")
    return found
