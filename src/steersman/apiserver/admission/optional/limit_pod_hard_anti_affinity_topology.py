"""LimitPodHardAntiAffinityTopology: no pod keeps others from anything larger than its own node.

Source: upstream plugin/pkg/admission/antiaffinity.
"""

from __future__ import annotations

from steersman.api.resources import PODS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.meta import dig

_HOST = "kubernetes.io/hostname"
_FIELD = "requiredDuringSchedulingIgnoredDuringExecution"


class LimitPodHardAntiAffinityTopology:
    name = "LimitPodHardAntiAffinityTopology"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.resource != PODS or request.subresource or request.obj is None:
            return
        for term in dig(request.obj, "spec", "affinity", "podAntiAffinity", _FIELD, default=()):
            key = term.get("topologyKey") or ""
            if key != _HOST:
                raise refused(
                    request,
                    f"affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key {_HOST} is allowed",
                )
