"""The quality-of-service class of a pod, from its spec (upstream pkg/apis/core/helper/qos)."""

from __future__ import annotations

from steersman.machinery import quantity
from steersman.machinery.meta import Obj

_COUNTED = ("cpu", "memory")


def qos_class(spec: Obj) -> str:
    """Guaranteed, Burstable or BestEffort. Pod-level resources decide alone where they are set."""
    own = spec.get("resources") or {}
    if own.get("requests") or own.get("limits"):
        return _class([own])
    items = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return _class([item.get("resources") or {} for item in items])


def _class(parts: list[Obj]) -> str:
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    guaranteed = True
    for part in parts:
        _sum(requests, part.get("requests"))
        if _sum(limits, part.get("limits")) < len(_COUNTED):
            guaranteed = False
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requests == limits else "Burstable"


def _sum(total: dict[str, int], amounts: Obj | None) -> int:
    """Add cpu and memory that are not zero; how many of the two there were."""
    found = 0
    for name in _COUNTED:
        value = (amounts or {}).get(name)
        if value is None:
            continue
        milli = quantity.milli(value)
        if milli > 0:
            total[name] = total.get(name, 0) + milli
            found += 1
    return found
