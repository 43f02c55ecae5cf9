"""From what the metrics call for to what is asked for: stabilisation windows, speed limits, minimum and maximum.

Source: upstream horizontal.go, KEP-853 (configurable behaviour).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from steersman.controllers.horizontalpodautoscaler.memory import Memory
from steersman.machinery.meta import Obj

DOWNSCALE_WINDOW_S = 300
_READY = ("ReadyForNewScale", "recommended size matches current size")
_HIGHEST = "recent recommendations were higher than current one, applying the highest recent recommendation"
_LOWEST = "recent recommendations were lower than current one, applying the lowest recent recommendation"
_UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")

Why = tuple[str, str]
"""Reason and message of a condition."""


class Limited(NamedTuple):
    """`able` is for the condition AbleToScale (True), `limit` for ScalingLimited, which is True if `limited`."""

    replicas: int
    able: Why
    limit: Why
    limited: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one turn."""

    minimum: int
    maximum: int
    current: int
    memory: Memory
    now: datetime

    def apply(self, desired: int, behavior: Obj | None) -> Limited:
        """`behavior` is spec.behavior, None if there is none. Remembers the recommendation."""
        if behavior is None:
            stable, able = self._plainly_stabilized(desired)
            replicas, why = self._plainly_limited(stable)
        else:
            up, down = behavior.get("scaleUp") or {}, behavior.get("scaleDown") or {}
            stable, able = self._stabilized(desired, up, down)
            replicas, why = self._limited(stable, up, down)
        return Limited(replicas, able, why, replicas != stable)

    def _plainly_stabilized(self, desired: int) -> tuple[int, Why]:
        stable = max([desired, *self.memory.since(self.now, DOWNSCALE_WINDOW_S)])
        self.memory.recommend(self.now, desired)
        return stable, _READY if stable == desired else ("ScaleDownStabilized", _HIGHEST)

    def _plainly_limited(self, desired: int) -> tuple[int, Why]:
        fastest = max(2 * self.current, 4)
        top, why = (fastest, _UP_LIMIT) if self.maximum > fastest else (self.maximum, _TOO_MANY)
        if desired < self.minimum:
            return self.minimum, _TOO_FEW
        return (top, why) if desired > top else (desired, _WITHIN)

    def _stabilized(self, desired: int, up: Obj, down: Obj) -> tuple[int, Why]:
        """Up only as far as all recommendations of its window agree, down likewise."""
        window_s = down.get("stabilizationWindowSeconds")
        lowest = min([desired, *self.memory.since(self.now, up.get("stabilizationWindowSeconds") or 0)])
        highest = max([desired, *self.memory.since(self.now, DOWNSCALE_WINDOW_S if window_s is None else window_s)])
        stable = min(max(self.current, lowest), highest)
        self.memory.recommend(self.now, desired)
        if stable == desired:
            return stable, _READY
        return stable, ("ScaleUpStabilized", _LOWEST) if desired >= self.current else ("ScaleDownStabilized", _HIGHEST)

    def _limited(self, desired: int, up: Obj, down: Obj) -> tuple[int, Why]:
        if desired > self.current:
            fastest = max(self._reach(up, upwards=True), self.current)
            top, why = (fastest, _UP_LIMIT) if self.maximum > fastest else (self.maximum, _TOO_MANY)
            return (top, why) if desired > top else (desired, _WITHIN)
        if desired < self.current:
            fastest = min(self._reach(down, upwards=False), self.current)
            bottom, why = (fastest, _DOWN_LIMIT) if self.minimum < fastest else (self.minimum, _TOO_FEW)
            return (bottom, why) if desired < bottom else (desired, _WITHIN)
        return desired, _WITHIN

    def _reach(self, rules: Obj, *, upwards: bool) -> int:
        """How far the policies let the count go in one direction."""
        select, policies = rules.get("selectPolicy") or "Max", rules.get("policies") or ()
        if select == "Disabled" or not policies:
            return self.current
        reached = [self._one_policy(policy, upwards) for policy in policies]
        # Max is the policy that changes most.
        return max(reached) if (select == "Max") is upwards else min(reached)

    def _one_policy(self, policy: Obj, upwards: bool) -> int:
        start = self.memory.at_start_of(self.now, policy["periodSeconds"], self.current)
        sign, value = (1 if upwards else -1), policy["value"]
        if policy["type"] == "Pods":
            return start + sign * int(value)
        changed = start * (1 + sign * value / 100)
        return math.ceil(changed) if upwards else int(changed)
