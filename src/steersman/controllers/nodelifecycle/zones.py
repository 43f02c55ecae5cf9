"""How fast nodes may be given up: slower where a zone is partly broken, not at all where everything seems to be.

If all nodes go silent at once, it is more likely the network or this side than the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from steersman.machinery.meta import Obj, is_condition_true, labels_of

RATE = 0.1
"""Nodes per second and zone."""
SECONDARY_RATE = 0.01
LARGE_ZONE = 50
UNHEALTHY_SHARE = 0.55
UNHEALTHY_LEAST = 3
_REGION, _ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
_FRESH = timedelta(seconds=1)


class Disruption(Enum):
    NONE = 0
    PARTIAL = 1
    FULL = 2


def zone_of(node: Obj) -> str:
    labels = labels_of(node)
    return f"{labels.get(_REGION, '')}:{labels.get(_ZONE, '')}"


def disruption(ready: int, not_ready: int) -> Disruption:
    if not_ready and not ready:
        return Disruption.FULL
    if not_ready >= UNHEALTHY_LEAST and not_ready / (ready + not_ready) >= UNHEALTHY_SHARE:
        return Disruption.PARTIAL
    return Disruption.NONE


def rate(state: Disruption, size: int) -> float:
    """A fully broken zone beside sound ones is given up at the normal rate: its pods have somewhere to go."""
    if state is Disruption.PARTIAL:
        return SECONDARY_RATE if size > LARGE_ZONE else 0.0
    return RATE


@dataclass(slots=True)
class Zones:
    """The state of all zones, counted anew at most once a second, and when each may lose its next node."""

    all_broken: bool = False
    _rates: dict[str, float] = field(default_factory=dict)
    _next: dict[str, datetime] = field(default_factory=dict)
    _counted_at: datetime | None = None

    def count(self, nodes: Iterable[Obj], now: datetime) -> None:
        if self._counted_at is not None and now - self._counted_at < _FRESH:
            return
        self._counted_at = now
        counts: dict[str, list[int]] = {}
        for node in nodes:
            counts.setdefault(zone_of(node), [0, 0])[not is_condition_true(node, "Ready")] += 1
        states = {zone: disruption(ready, not_ready) for zone, (ready, not_ready) in counts.items()}
        self._rates = {zone: rate(state, sum(counts[zone])) for zone, state in states.items()}
        self.all_broken = bool(states) and all(state is Disruption.FULL for state in states.values())

    def may_give_up(self, node: Obj, now: datetime) -> bool:
        """Takes the zone's turn if it is due."""
        zone = zone_of(node)
        per_second = self._rates.get(zone, RATE)
        if self.all_broken or not per_second or self._next.get(zone, now) > now:
            return False
        self._next[zone] = now + timedelta(seconds=1 / per_second)
        return True
