"""A daemon set's status: counted over nodes, by the oldest pod of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from steersman.controllers.daemonset import pods as making
from steersman.loop.pods import is_ready, node_of, seconds_to_available
from steersman.machinery.meta import Obj, dig, name_of


def counted(
    owner: Obj, by_node: Mapping[str, Sequence[Obj]], should_run: Mapping[str, bool], digest: str, now: datetime
) -> tuple[Obj, float | None]:
    """The status, and when the next pod becomes available by time alone."""
    min_ready_s = int(dig(owner, "spec", "minReadySeconds", default=0))
    counts = dict.fromkeys(
        ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0
    )  # always written
    more = dict.fromkeys(("updatedNumberScheduled", "numberAvailable"), 0)
    waits: list[float] = []
    for node, wanted in should_run.items():
        pods = by_node.get(node) or ()
        if not wanted:
            counts["numberMisscheduled"] += bool(pods)
            continue
        counts["desiredNumberScheduled"] += 1
        if not pods:
            continue
        counts["currentNumberScheduled"] += 1
        oldest = min(
            pods, key=lambda pod: (not node_of(pod), dig(pod, "metadata", "creationTimestamp", default=""), name_of(pod))
        )
        more["updatedNumberScheduled"] += making.is_updated(owner, oldest, digest)
        if is_ready(oldest):
            counts["numberReady"] += 1
            wait = seconds_to_available(oldest, min_ready_s, now)
            if wait == 0.0:
                more["numberAvailable"] += 1
            elif wait is not None:
                waits.append(wait)
    more["numberUnavailable"] = counts["desiredNumberScheduled"] - more["numberAvailable"]
    more["observedGeneration"] = dig(owner, "metadata", "generation", default=0)
    kept = {key: value for key, value in (owner.get("status") or {}).items() if key in ("collisionCount", "conditions")}
    return {**counts, **{key: value for key, value in more.items() if value}, **kept}, min(waits, default=None)
