"""PrioritySort: higher priority first, then who waits longer."""

from __future__ import annotations

from steersman.scheduler.podinfo import PodInfo


class PrioritySort:
    name = "PrioritySort"

    def sort_key(self, pod: PodInfo, queued_at_s: float) -> tuple[float, ...]:
        return (-pod.priority, queued_at_s)
