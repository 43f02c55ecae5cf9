"""How a pod that got no node is told: the PodScheduled condition and the text of its event. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from steersman.machinery.meta import Obj, condition, dig, format_time, uid_of

UNSCHEDULABLE = "Unschedulable"
ERROR = "SchedulerError"

_EVENT_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the pod with that uid has no node: condition reason and message.

    `nominated`: the node where room is made for it; empty: none (others must not keep a place free); None: as it was.
    """

    uid: str
    reason: str
    message: str
    nominated: str | None = ""


def event_text(message: str) -> str:
    """Events hold at most 1024 characters."""
    return message if len(message) <= _EVENT_LIMIT else f"{message[: _EVENT_LIMIT - 4]} ..."


def patch(pod: Obj, verdict: Verdict, now: datetime) -> Obj | None:
    """The strategic merge patch for the pod's status; None if it says all that already."""
    found = condition(pod, "PodScheduled") or {}
    wanted: Obj = {
        "type": "PodScheduled",
        "status": "False",
        "reason": verdict.reason,
        "message": verdict.message,
        "lastProbeTime": None,
    }
    if generation := dig(pod, "metadata", "generation"):
        wanted["observedGeneration"] = generation
    same = all((found.get(field) or None) == value for field, value in wanted.items())
    nominated = dig(pod, "status", "nominatedNodeName", default="")
    wanted_node = nominated if verdict.nominated is None else verdict.nominated
    if same and nominated == wanted_node:
        return None
    if found.get("status") != "False":
        wanted["lastTransitionTime"] = format_time(now)
    status: Obj = {"conditions": [wanted]}
    if nominated != wanted_node:
        status["nominatedNodeName"] = wanted_node or None
    return {"metadata": {"uid": uid_of(pod)}, "status": status}
