"""The row of a Pod: STATUS, READY and RESTARTS say in three words how its containers are doing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, age, col, since, text, wide
from steersman.machinery.meta import Obj, condition, dig, is_condition_true, is_deleting, name_of

_COMPLETED = {
    "Succeeded": {
        "type": "Completed",
        "status": "True",
        "reason": "Succeeded",
        "message": "The pod has completed successfully.",
    },
    "Failed": {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."},
}


@dataclass(slots=True)
class _Summary:
    """What the walk over the containers finds."""

    reason: str
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""

    def count(self, status: Obj) -> None:
        self.restarts += int(status.get("restartCount") or 0)
        # RFC 3339 times in UTC compare as text.
        self.last_restart = max(self.last_restart, str(dig(status, "lastState", "terminated", "finishedAt", default="")))


def _ended(terminated: Obj) -> str:
    """Why a container ended."""
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode') or 0}"


def _init_stop(status: Obj, index: int, total: int) -> str:
    """The text of an init container that is not done."""
    state = status.get("state") or {}
    if state.get("terminated") is not None:
        return f"Init:{_ended(state['terminated'])}"
    waiting = dig(state, "waiting", "reason", default="")
    if waiting and waiting != "PodInitializing":
        return f"Init:{waiting}"
    return f"Init:{index}/{total}"


def _walk_init(pod: Obj, summary: _Summary) -> tuple[bool, _Summary]:
    """Whether the pod still initialises, and the restarts of sidecars alone."""
    specs = dig(pod, "spec", "initContainers", default=())
    sidecars = {item.get("name") for item in specs if item.get("restartPolicy") == "Always"}
    of_sidecars = _Summary("")
    for index, status in enumerate(dig(pod, "status", "initContainerStatuses", default=())):
        summary.count(status)
        sidecar = status.get("name") in sidecars
        if sidecar:
            of_sidecars.count(status)
        terminated = dig(status, "state", "terminated")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if sidecar and status.get("started"):
            summary.ready += bool(status.get("ready"))
            continue
        summary.reason = _init_stop(status, index, len(specs))
        return True, of_sidecars
    return False, of_sidecars


def _walk_containers(pod: Obj, summary: _Summary) -> None:
    """App containers, last to first, so that the first in the list has the last word."""
    running, failure = False, ""
    for status in reversed(dig(pod, "status", "containerStatuses", default=())):
        summary.count(status)
        state = status.get("state") or {}
        terminated = state.get("terminated")
        if dig(state, "waiting", "reason"):
            summary.reason = state["waiting"]["reason"]
        elif terminated is not None:
            summary.reason = _ended(terminated)
            if terminated.get("exitCode"):
                failure = summary.reason
        elif status.get("ready") and state.get("running") is not None:
            running = True
            summary.ready += 1
    if summary.reason == "Completed":
        if running and is_condition_true(pod, "Ready"):
            summary.reason = "Running"
        elif failure:
            summary.reason = failure
        elif running:
            summary.reason = "NotReady"


def summarize(pod: Obj) -> tuple[str, int, int, str]:
    """(STATUS, ready containers, restarts, time of the last restart or empty)."""
    status = pod.get("status") or {}
    phase, why = status.get("phase") or "", status.get("reason") or ""
    summary = _Summary(why or phase)
    if dig(condition(pod, "PodScheduled"), "reason") == "SchedulingGated":
        summary.reason = "SchedulingGated"
    initializing, of_sidecars = _walk_init(pod, summary)
    if not initializing or is_condition_true(pod, "Initialized"):
        summary.restarts, summary.last_restart = of_sidecars.restarts, of_sidecars.last_restart
        _walk_containers(pod, summary)
    if is_deleting(pod):
        if why == "NodeLost":
            summary.reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            summary.reason = "Terminating"
    return summary.reason, summary.ready, summary.restarts, summary.last_restart


def _gates(pod: Obj) -> str:
    gates = dig(pod, "spec", "readinessGates", default=())
    if not gates:
        return "<none>"
    passed = sum(is_condition_true(pod, gate.get("conditionType", "")) for gate in gates)
    return f"{passed}/{len(gates)}"


def _cells(pod: Obj, now: datetime) -> list[Any]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = sum(item.get("restartPolicy") == "Always" for item in spec.get("initContainers") or ())
    reason, ready, restarts, last_restart = summarize(pod)
    shown = f"{restarts} ({since(last_restart, now)} ago)" if restarts and last_restart else str(restarts)
    return [
        name_of(pod),
        f"{ready}/{len(spec.get('containers') or ()) + sidecars}",
        reason,
        shown,
        age(pod, now),
        text(dig(status, "podIPs", 0, "ip") or status.get("podIP")),
        text(spec.get("nodeName")),
        text(status.get("nominatedNodeName")),
        _gates(pod),
    ]


def _conditions(pod: Obj) -> list[Obj]:
    found = _COMPLETED.get(dig(pod, "status", "phase", default=""))
    return [dict(found)] if found else []


POD = TableSpec(
    (
        NAME,
        col("Ready"),
        col("Status"),
        col("Restarts"),
        AGE,
        wide("IP"),
        wide("Node"),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ),
    _cells,
    _conditions,
)
