"""A deployment's status: counters, the conditions Available, Progressing and ReplicaFailure, the progress deadline.

Source: upstream deployment/progress.go, sync.go. Progressing is judged by comparing the counters with the stored ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from steersman.controllers.deployment.replicasets import (
    limits_of,
    replicas_of,
    total_replicas,
)
from steersman.machinery.meta import Obj, condition, dig, format_time, name_of, parse_time

_NO_DEADLINE = 2147483647
AVAILABLE_NOW = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
_COUNTERS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas", "observedGeneration")


def deadline_s(deployment: Obj) -> int | None:
    """progressDeadlineSeconds; None when there is none to watch."""
    value = dig(deployment, "spec", "progressDeadlineSeconds")
    return None if value is None or value == _NO_DEADLINE else int(value)


def put_condition(status: Obj, kind: str, value: str, reason: str, message: str, now: datetime) -> None:
    """Set a condition; one with the same status and reason stays as it is, its times included."""
    found = condition(status["conditions"], kind)
    if found is not None and found["status"] == value and found.get("reason") == reason:
        return
    moment = format_time(now)
    made = {"type": kind, "status": value, "lastUpdateTime": moment, "lastTransitionTime": moment, "reason": reason}
    made["message"] = message
    if found is not None and found["status"] == value:
        made["lastTransitionTime"] = found.get("lastTransitionTime") or moment
    drop_condition(status, kind)
    status["conditions"].append(made)


def drop_condition(status: Obj, kind: str) -> None:
    status["conditions"] = [item for item in status["conditions"] if item["type"] != kind]


def status_of(deployment: Obj) -> Obj:
    """A copy of the stored status, with its conditions free to change."""
    stored = deployment.get("status") or {}
    return {**stored, "conditions": [dict(item) for item in stored.get("conditions") or ()]}


def counted(deployment: Obj, sets: Sequence[Obj], new: Obj | None, now: datetime) -> Obj:
    """The status with fresh counters and the Available condition."""
    status = status_of(deployment)
    available = _sum(sets, "availableReplicas")
    values = {
        "observedGeneration": dig(deployment, "metadata", "generation", default=0),
        "replicas": _sum(sets, "replicas"),
        "updatedReplicas": _sum([new] if new else [], "replicas"),
        "readyReplicas": _sum(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total_replicas(sets) - available),
    }
    for field in _COUNTERS:
        status.pop(field, None)
        if values[field]:
            status[field] = values[field]
    status["terminatingReplicas"] = _sum(sets, "terminatingReplicas")
    if available >= limits_of(deployment).least_available:
        reason, message = "MinimumReplicasAvailable", "Deployment has minimum availability."
        put_condition(status, "Available", "True", reason, message, now)
    else:
        reason, message = "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
        put_condition(status, "Available", "False", reason, message, now)
    return status


def _sum(sets: Sequence[Obj], field: str) -> int:
    return sum(int(dig(rs, "status", field, default=0)) for rs in sets)


def is_complete(deployment: Obj, status: Obj) -> bool:
    wanted = replicas_of(deployment)
    counts = {status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas")}
    return counts == {wanted} and status.get("observedGeneration", 0) >= dig(deployment, "metadata", "generation", default=0)


def judge_progress(deployment: Obj, status: Obj, sets: Sequence[Obj], new: Obj | None, now: datetime) -> None:
    """Set Progressing and ReplicaFailure in `status`."""
    current = condition(status["conditions"], "Progressing")
    if deadline_s(deployment) is None:
        drop_condition(status, "Progressing")
    elif not _finished_before(status, current):
        name = name_of(new or deployment)
        subject = f'ReplicaSet "{name}"' if new else f'Deployment "{name}"'
        if is_complete(deployment, status):
            put_condition(status, "Progressing", "True", AVAILABLE_NOW, f"{subject} has successfully progressed.", now)
        elif _has_progressed(deployment.get("status") or {}, status):
            _touch(status, current, f"{subject} is progressing.", now)
        elif has_timed_out(deployment, current, now):
            put_condition(status, "Progressing", "False", TIMED_OUT, f"{subject} has timed out progressing.", now)
    failure = next((found for rs in _new_first(sets, new) if (found := condition(rs, "ReplicaFailure"))), None)
    if failure is None:
        drop_condition(status, "ReplicaFailure")
    else:
        put_condition(status, "ReplicaFailure", failure["status"], failure.get("reason", ""), failure.get("message", ""), now)


def _finished_before(status: Obj, current: Obj | None) -> bool:
    """A rollout that was complete stays so while its pods come and go: only a new template starts another."""
    same = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    return same and current is not None and current.get("reason") == AVAILABLE_NOW


def _has_progressed(before: Obj, after: Obj) -> bool:
    def old(status: Obj) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grown = any(after.get(field, 0) > before.get(field, 0) for field in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grown or old(after) < old(before)


def _touch(status: Obj, current: Obj | None, message: str, now: datetime) -> None:
    """Progress restarts the deadline's clock: lastUpdateTime moves although status and reason may stay."""
    known = current.get("lastTransitionTime") if current is not None and current["status"] == "True" else None
    since = known or format_time(now)
    drop_condition(status, "Progressing")
    put_condition(status, "Progressing", "True", "ReplicaSetUpdated", message, now)
    status["conditions"][-1]["lastTransitionTime"] = since


def _new_first(sets: Sequence[Obj], new: Obj | None) -> list[Obj]:
    return ([new] if new else []) + [rs for rs in sets if rs is not new]


def has_timed_out(deployment: Obj, current: Obj | None, now: datetime) -> bool:
    if current is None or current.get("reason") == AVAILABLE_NOW:
        return False
    if current.get("reason") == TIMED_OUT:
        return True
    limit = deadline_s(deployment)
    since = parse_time(current.get("lastUpdateTime"))
    return limit is not None and since is not None and since + timedelta(seconds=limit) < now


def recheck_after_s(deployment: Obj, status: Obj, now: datetime) -> float | None:
    """When the deadline may have passed; None if nothing is under way."""
    limit = deadline_s(deployment)
    current = condition(status.get("conditions"), "Progressing")
    if limit is None or current is None or is_complete(deployment, status) or dig(deployment, "spec", "paused"):
        return None
    since = parse_time(current.get("lastUpdateTime"))
    if current.get("reason") in (TIMED_OUT, AVAILABLE_NOW) or since is None:
        return None
    return max(1.0, (since - now).total_seconds() + limit + 1)
