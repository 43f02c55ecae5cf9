"""What a pod asks for, or is limited to, as a whole. Exact: quantities, of any resource.

What a kubelet makes of it for the kernel is in kubelet/resources.py, what a scheduler counts in scheduler/podinfo.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from steersman.machinery import quantity
from steersman.machinery.meta import Obj, dig
from steersman.machinery.quantity import Quantity

Usage: TypeAlias = dict[str, Quantity]


def add(total: Usage, more: Mapping[str, Quantity]) -> None:
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def pod_total(spec: Obj, field: str) -> Usage:
    """Effective `requests` or `limits`: those of its containers; pod-level ones win; overhead on top."""
    total = containers_total(spec, field) | _listed(spec, field)
    overhead = {name: quantity.parse(value) for name, value in (spec.get("overhead") or {}).items()}
    add(total, overhead if field == "requests" else {name: amount for name, amount in overhead.items() if name in total})
    return total


def containers_total(spec: Obj, field: str) -> Usage:
    """All that runs at once, or the largest step of initialisation."""
    running: Usage = {}
    beside: Usage = {}
    peak: Usage = {}
    for container in spec.get("containers") or ():
        add(running, _listed(container, field))
    for container in spec.get("initContainers") or ():
        own = _listed(container, field)
        step = dict(beside)
        add(step, own)
        if container.get("restartPolicy") == "Always":
            add(running, own)
            beside = step
        for name, amount in step.items():
            peak[name] = max(peak[name], amount) if name in peak else amount
    return {name: max(item[name] for item in (running, peak) if name in item) for name in running.keys() | peak.keys()}


def _listed(holder: Obj, field: str) -> Usage:
    return {name: quantity.parse(value) for name, value in dig(holder, "resources", field, default={}).items()}
