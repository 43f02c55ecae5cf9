"""Which pods end when, and how long each may take. Pure.

Source: upstream pkg/kubelet/nodeshutdown/nodeshutdown_manager.go (groupByPriority).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from steersman.kubelet.pods import is_critical
from steersman.machinery.meta import Obj, dig

_STATIC_PRIORITY = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Group:
    """Pods that end together, within `seconds`."""

    seconds: float
    pods: tuple[Obj, ...]


def groups(periods: Sequence[tuple[int, float]], pods: Iterable[Obj]) -> list[Group]:
    """In the order in which they end: low priorities first. Groups without pods cost no time and are left out.

    periods: (priority, seconds), ascending; a pod belongs to the last whose priority it reaches, and to the first if to none.
    """
    found: list[list[Obj]] = [[] for _ in periods]
    for pod in pods:
        reached = [index for index, (priority, _) in enumerate(periods) if _priority(pod) >= priority]
        found[reached[-1] if reached else 0].append(pod)
    return [Group(seconds, tuple(listed)) for (_, seconds), listed in zip(periods, found, strict=True) if listed]


def grace_s(pod: Obj, group: Group) -> int:
    """The pod's own grace period, but no longer than its group has."""
    own = dig(pod, "spec", "terminationGracePeriodSeconds", default=None)
    return int(group.seconds) if own is None else min(int(own), int(group.seconds))


def _priority(pod: Obj) -> int:
    """Static pods of no class count as critical: nobody gives them a priority."""
    given = dig(pod, "spec", "priority", default=None)
    if given is None and is_critical(pod):
        return _STATIC_PRIORITY
    return int(given or 0)
