"""TaintNodesByCondition: a new Node takes no pods before it is known to be ready.

Source: upstream plugin/pkg/admission/nodetaint. The node lifecycle controller removes the taint.
"""

from __future__ import annotations

from steersman.api.resources import NODES
from steersman.apiserver.contracts import AdmissionRequest

_TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition:
    name = "TaintNodesByCondition"

    async def admit(self, request: AdmissionRequest) -> None:
        node = request.obj
        if request.resource != NODES or request.subresource or request.operation != "CREATE" or node is None:
            return
        spec = node.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(taint.get("key") == _TAINT["key"] and taint.get("effect") == _TAINT["effect"] for taint in taints):
            spec["taints"] = [*taints, dict(_TAINT)]
