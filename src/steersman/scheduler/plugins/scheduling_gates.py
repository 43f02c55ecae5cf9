"""SchedulingGates: a pod with spec.schedulingGates is not scheduled until all are removed (KEP-3521)."""

from __future__ import annotations

from collections.abc import Mapping

from steersman.machinery.meta import uid_of
from steersman.scheduler.framework import Event, Happening, Hint
from steersman.scheduler.podinfo import PodInfo


class SchedulingGates:
    name = "SchedulingGates"

    def pre_enqueue(self, pod: PodInfo) -> str:
        gates = [gate["name"] for gate in pod.spec.get("schedulingGates") or ()]
        return f"waiting for scheduling gates: [{' '.join(gates)}]" if gates else ""

    def hints(self) -> Mapping[Happening, Hint]:
        return {Happening.POD_GATES_GONE: _is_this_pod}


def _is_this_pod(pod: PodInfo, event: Event) -> bool:
    return event.new is not None and uid_of(event.new) == pod.uid
