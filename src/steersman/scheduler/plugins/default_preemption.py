"""DefaultPreemption: a pod that fits nowhere may take the place of pods of lower priority.

While its victims are being evicted (run.py does that, beside other decisions) the pod is kept from being tried again.
"""

from __future__ import annotations

from collections.abc import Mapping

from steersman.machinery.meta import Obj, condition, dig, is_deleting
from steersman.scheduler.framework import Code, Happening, Hint
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.preemption import Attempt, Decision, find


class DefaultPreemption:
    name = "DefaultPreemption"

    def __init__(self, min_candidate_nodes_percentage: int = 10, min_candidate_nodes_absolute: int = 100) -> None:
        self._percentage, self._absolute = min_candidate_nodes_percentage, min_candidate_nodes_absolute
        self.preempting: set[str] = set()
        """Uids of pods whose victims are being evicted just now."""

    def pre_enqueue(self, pod: PodInfo) -> str:
        return "waiting for the preemption for this pod to be finished" if pod.uid in self.preempting else ""

    def post_filter(self, pod: PodInfo, attempt: Attempt) -> Decision:
        if why := _not_eligible(pod, attempt):
            return Decision(message=f"preemption: {why}")
        found = find(pod, attempt, self._percentage, self._absolute)
        return Decision(found.node, found.victims, f"preemption: {found.message}" if found.message else "")

    def hints(self) -> Mapping[Happening, Hint]:
        # Nothing that happens ends this; the scheduler does when the victims are gone.
        return {}


def _not_eligible(pod: PodInfo, attempt: Attempt) -> str:
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    node = attempt.nominations.node_of(pod.uid) or dig(pod.obj, "status", "nominatedNodeName", default="")
    row = attempt.outlook.table.row(node) if node else None
    if row is None or attempt.outlook.code(row) is Code.UNRESOLVABLE:
        return ""
    others = attempt.outlook.table.pods_on(row).values()
    if any(other.priority < pod.priority and _is_leaving_for_another(other.obj) for other in others):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def _is_leaving_for_another(pod: Obj) -> bool:
    found = condition(pod, "DisruptionTarget") or {}
    return is_deleting(pod) and found.get("status") == "True" and found.get("reason") == "PreemptionByScheduler"
