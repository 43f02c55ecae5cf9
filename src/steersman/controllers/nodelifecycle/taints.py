"""Conditions as taints: NoSchedule at once for each, NoExecute for a node that isn't ready, if it may be given up now."""

from __future__ import annotations

from datetime import datetime

from steersman.machinery.meta import Obj, condition, dig, format_time

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OF_CONDITION = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
_NO_SCHEDULE = {*_OF_CONDITION.values(), UNSCHEDULABLE}
_NO_EXECUTE = {NOT_READY, UNREACHABLE}


def readiness_taint(node: Obj) -> str | None:
    """The taint key for the node's Ready condition; None if it is ready or never said."""
    ready = condition(node, "Ready")
    return _OF_CONDITION.get(("Ready", ready.get("status", ""))) if ready is not None else None


def taints_of(node: Obj) -> list[Obj]:
    found: list[Obj] = dig(node, "spec", "taints", default=[])
    return found


def executing(node: Obj) -> set[str]:
    """Readiness taints that already evict."""
    return {t["key"] for t in taints_of(node) if t.get("effect") == "NoExecute" and t.get("key") in _NO_EXECUTE}


def wanted_taints(node: Obj, execute: str | None, now: datetime) -> list[Obj] | None:
    """The node's taints as they should be, with `execute` as its NoExecute readiness taint; None if they are. Others stay."""
    no_schedule = {key for item in dig(node, "status", "conditions", default=()) if (key := _OF_CONDITION.get(_state(item)))}
    if dig(node, "spec", "unschedulable"):
        no_schedule.add(UNSCHEDULABLE)
    wanted = {(key, "NoSchedule") for key in no_schedule} | ({(execute, "NoExecute")} if execute else set())
    kept = [taint for taint in taints_of(node) if not _is_ours(taint) or _id(taint) in wanted]
    missing = wanted - {_id(taint) for taint in kept}
    if not missing and len(kept) == len(taints_of(node)):
        return None
    moment = format_time(now)
    return kept + [{"key": key, "effect": effect, "timeAdded": moment} for key, effect in sorted(missing)]


def _state(item: Obj) -> tuple[str, str]:
    return item.get("type", ""), item.get("status", "")


def _id(taint: Obj) -> tuple[str, str]:
    return taint.get("key", ""), taint.get("effect", "")


def _is_ours(taint: Obj) -> bool:
    key, effect = _id(taint)
    return (effect == "NoSchedule" and key in _NO_SCHEDULE) or (effect == "NoExecute" and key in _NO_EXECUTE)
