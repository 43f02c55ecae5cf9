"""The numbers of a rollout: how many replicas each ReplicaSet gets next. No objects, no time.

Source: upstream deployment/util/deployment_util.go, rolling.go. Here `total` counts what specs ask for, `available` what runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from steersman.loop.amounts import int_or_percent


@dataclass(frozen=True, slots=True)
class Size:
    """A ReplicaSet's numbers. `max_before`: replicas + surge when the deployment last sized it, 0 if unknown."""

    name: str
    replicas: int
    available: int = 0
    created: str = ""
    max_before: int = 0

    @property
    def surely_available(self) -> int:
        """Status lags behind spec after a scale-down: what is about to be deleted is not counted on."""
        return min(self.available, self.replicas)


@dataclass(frozen=True, slots=True)
class Bounds:
    """maxSurge and maxUnavailable as numbers of pods for a number of replicas."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        return self.replicas - self.unavailable


def bounds(replicas: int, max_surge: int | str, max_unavailable: int | str) -> Bounds:
    """Surge rounds up and unavailability down; if both come to nothing, one may be unavailable, or nothing would ever move."""
    surge = int_or_percent(max_surge, replicas, round_up=True)
    unavailable = int_or_percent(max_unavailable, replicas, round_up=False)
    if not surge and not unavailable:
        unavailable = 1
    return Bounds(replicas, surge, min(unavailable, replicas))


def new_size(limits: Bounds, new: int, total: int) -> int:
    """What the new ReplicaSet may grow (or must shrink) to, when all specs together ask for `total`, it included."""
    if new >= limits.replicas:
        return limits.replicas
    room = limits.most - total
    return new + max(0, min(room, limits.replicas - new))


def shrink_old(limits: Bounds, new: Size, old: Sequence[Size]) -> dict[str, int]:
    """New sizes for old ReplicaSets: unhealthy replicas go first, then healthy ones while enough stay available; oldest first.

    Both together are held to what specs promise, because a status that still counts pods already doomed would allow more.
    """
    total = new.replicas + sum(item.replicas for item in old)
    budget = total - limits.least_available - (new.replicas - min(new.available, new.replicas))
    sizes = {item.name: item.replicas for item in old}
    if budget <= 0:
        return {}
    oldest_first = sorted(old, key=lambda item: (item.created, item.name))
    for item in oldest_first:
        unhealthy = item.replicas - item.surely_available
        cut = min(budget, unhealthy)
        sizes[item.name] -= cut
        budget -= cut
    available = new.surely_available + sum(item.surely_available for item in old)
    healthy_budget = min(budget, available - limits.least_available)
    for item in oldest_first:
        cut = min(max(0, healthy_budget), sizes[item.name])
        sizes[item.name] -= cut
        healthy_budget -= cut
    return {item.name: sizes[item.name] for item in old if sizes[item.name] != item.replicas}


def proportional(limits: Bounds, active: Sequence[Size], status_replicas: int) -> dict[str, int]:
    """Sizes that keep the ReplicaSets' shares when the number of replicas changes in the middle of a rollout.

    `status_replicas` stands in where a ReplicaSet doesn't say what it was sized for. What rounding leaves goes to the largest.
    """
    allowed = limits.most if limits.replicas > 0 else 0
    to_add = allowed - sum(item.replicas for item in active)
    # Among equals the newer grows first and the older shrinks first.
    ordered = sorted(active, key=lambda item: (item.created, item.name), reverse=to_add > 0)
    ordered.sort(key=lambda item: -item.replicas)
    sizes = {item.name: item.replicas for item in ordered}
    added = 0
    for item in ordered:
        if to_add and item.replicas and to_add != added:
            share, left = _share(limits, item, status_replicas), to_add - added
            share = min(share, left) if to_add > 0 else max(share, left)
            sizes[item.name] += share
            added += share
    if ordered and to_add:
        first = ordered[0].name
        sizes[first] = max(0, sizes[first] + to_add - added)
    return sizes


def _share(limits: Bounds, item: Size, status_replicas: int) -> int:
    if limits.replicas == 0:
        return -item.replicas
    before = item.max_before or status_replicas
    if not before:
        return 0
    return math.floor(item.replicas * limits.most / before + 0.5) - item.replicas
