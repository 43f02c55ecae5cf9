"""Which nodes a daemon set's pods belong on, and what the set adds to its pods so that they can stay there."""

from __future__ import annotations

from dataclasses import dataclass

from steersman.loop import nodefit
from steersman.machinery.meta import Obj, dig, name_of

_NODE = "node.kubernetes.io/"
_ALWAYS: tuple[Obj, ...] = (
    {"key": f"{_NODE}not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": f"{_NODE}unreachable", "operator": "Exists", "effect": "NoExecute"},
    {"key": f"{_NODE}disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": f"{_NODE}memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": f"{_NODE}pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": f"{_NODE}unschedulable", "operator": "Exists", "effect": "NoSchedule"},
)
_HOST_NETWORK: Obj = {"key": f"{_NODE}network-unavailable", "operator": "Exists", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`run`: a pod should be started there. `stay`: one that is there may stay."""

    run: bool
    stay: bool


def with_tolerations(pod_spec: Obj) -> Obj:
    """The pod spec with the tolerations every daemon pod has."""
    own = list(pod_spec.get("tolerations") or ())
    wanted = (*_ALWAYS, _HOST_NETWORK) if pod_spec.get("hostNetwork") else _ALWAYS
    return {**pod_spec, "tolerations": own + [item for item in wanted if item not in own]}


def judge(pod_spec: Obj, node: Obj) -> Verdict:
    """`pod_spec`: the template's, with tolerations."""
    if pod_spec.get("nodeName") not in (None, "", name_of(node)) or not nodefit.is_selected(pod_spec, node):
        return Verdict(False, False)
    tolerations = pod_spec["tolerations"]
    if nodefit.tolerates_all(tolerations, node, ("NoSchedule", "NoExecute")):
        return Verdict(True, True)
    return Verdict(False, nodefit.tolerates_all(tolerations, node, ("NoExecute",)))


def target_of(pod: Obj) -> str:
    """The node a daemon pod is on, or is meant for."""
    bound = dig(pod, "spec", "nodeName", default="")
    if bound:
        return str(bound)
    terms = dig(
        pod,
        "spec",
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
        default=(),
    )
    for term in terms:
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("operator") == "In" and len(field.get("values") or ()) == 1:
                return str(field["values"][0])
    return ""
