"""DefaultTolerationSeconds: pods tolerate an unready or unreachable node for five minutes, unless they say otherwise.

Source: upstream plugin/pkg/admission/defaulttolerationseconds.
"""

from __future__ import annotations

from steersman.api.resources import PODS
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.meta import Obj

_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_SECONDS = 300


class DefaultTolerationSeconds:
    name = "DefaultTolerationSeconds"

    async def admit(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if request.resource != PODS or request.subresource or pod is None or request.operation not in ("CREATE", "UPDATE"):
            return
        tolerations: list[Obj] = list(pod["spec"].get("tolerations") or ())
        added = [_toleration(taint) for taint in _TAINTS if not any(_tolerates(item, taint) for item in tolerations)]
        if added:
            pod["spec"]["tolerations"] = tolerations + added


def _tolerates(toleration: Obj, taint: str) -> bool:
    key, effect = toleration.get("key") or "", toleration.get("effect") or ""
    return key in ("", taint) and effect in ("", "NoExecute")


def _toleration(taint: str) -> Obj:
    return {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
