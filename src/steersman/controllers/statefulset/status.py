"""A stateful set's status: its counters, and the moment at which an update has become what is current."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from steersman.controllers.statefulset.identity import revision_of
from steersman.loop.pods import is_ready, phase_of, seconds_to_available
from steersman.machinery.meta import Obj, dig, is_deleting


def counted(owner: Obj, pods: Iterable[Obj], current: str, updated: str, now: datetime) -> tuple[Obj, float | None]:
    """The status, and when the next pod becomes available by time alone."""
    min_ready_s = int(dig(owner, "spec", "minReadySeconds", default=0))
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"), 0)
    waits: list[float] = []
    for pod in pods:
        counts["replicas"] += 1
        if phase_of(pod) == "Running" and is_ready(pod):
            counts["readyReplicas"] += 1
            wait = seconds_to_available(pod, min_ready_s, now)
            if wait == 0.0:
                counts["availableReplicas"] += 1
            elif wait is not None:
                waits.append(wait)
        if not is_deleting(pod):
            counts["currentReplicas"] += revision_of(pod) == current
            counts["updatedReplicas"] += revision_of(pod) == updated
    rolling = dig(owner, "spec", "updateStrategy", "type") == "RollingUpdate"
    wanted = int(dig(owner, "spec", "replicas", default=1))
    if rolling and counts["updatedReplicas"] == counts["replicas"] == counts["readyReplicas"] == wanted:
        counts["currentReplicas"], current = counts["updatedReplicas"], updated
    always = {key: counts.pop(key) for key in ("replicas", "availableReplicas")}
    status: Obj = {**always, **{key: count for key, count in counts.items() if count}}
    status |= {"currentRevision": current, "updateRevision": updated}
    status["collisionCount"] = dig(owner, "status", "collisionCount", default=0)
    if dig(owner, "metadata", "generation"):
        status["observedGeneration"] = owner["metadata"]["generation"]
    conditions = dig(owner, "status", "conditions")
    return {**status, "conditions": conditions} if conditions else status, min(waits, default=None)
