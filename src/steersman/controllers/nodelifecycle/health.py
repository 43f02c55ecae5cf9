"""When a node's kubelet was last heard of, by this controller's own clock, and the conditions of one that isn't any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from steersman.machinery.meta import Obj, condition, dig, format_time, uid_of

GRACE = timedelta(seconds=50)
START_GRACE = timedelta(seconds=60)
_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


@dataclass(slots=True)
class Heard:
    """`beat`: what the kubelet last wrote; `at`: when that was first seen here, so that clocks need not agree."""

    uid: str
    beat: tuple[str, str]
    at: datetime
    pods_marked: bool = False


def beat_of(node: Obj, lease: Obj | None) -> tuple[str, str]:
    """Changes whenever the kubelet renews its lease or reports a status."""
    ready = condition(node, "Ready") or {}
    return str(dig(lease, "spec", "renewTime", default="")), str(ready.get("lastHeartbeatTime") or "")


def listen(known: Heard | None, node: Obj, lease: Obj | None, now: datetime) -> Heard:
    """What is known of a node, brought up to date."""
    beat = beat_of(node, lease)
    if known is None or known.uid != uid_of(node):
        return Heard(uid_of(node), beat, now)
    # This controller's own verdict moves no heartbeat that was reported, so it is not taken for a sign of life.
    if known.beat != beat:
        known.beat, known.at = beat, now
    return known


def is_silent(heard: Heard, node: Obj, now: datetime, grace: timedelta = GRACE) -> bool:
    return now - heard.at > (grace if condition(node, "Ready") else START_GRACE)


def given_up(node: Obj, now: datetime) -> Obj | None:
    """The node with all that only its kubelet can know Unknown; None if it is so already."""
    conditions: list[Obj] = [dict(item) for item in dig(node, "status", "conditions", default=())]
    moment, changed = format_time(now), False
    for kind in _CONDITIONS:
        found = condition(conditions, kind)
        if found is None:
            conditions.append(
                {
                    "type": kind,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": dig(node, "metadata", "creationTimestamp"),
                    "lastTransitionTime": moment,
                }
            )
            changed = True
        elif found.get("status") != "Unknown":
            found.update(status="Unknown", reason="NodeStatusUnknown", message="Kubelet stopped posting node status.")
            found["lastTransitionTime"] = moment
            changed = True
    if not changed:
        return None
    return {**node, "status": {**(node.get("status") or {}), "conditions": conditions}}
