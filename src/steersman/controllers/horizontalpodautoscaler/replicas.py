"""How many replicas a metric calls for: the ratio of use to target, with care for pods that are not counted on yet.

Upstream's rules: pods that have no metrics, or are not ready, are assumed to pull towards what is there now; if that changes
the direction, nothing is done. Amounts are thousandths. Source: upstream replica_calculator.go, metrics/utilization.go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from steersman.loop.pods import phase_of
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, condition, dig, is_deleting, name_of, parse_time

CPU_INITIALIZATION = timedelta(minutes=5)
INITIAL_READINESS = timedelta(seconds=30)


class MetricsError(Exception):
    """A metric from which nothing can be computed; the text is what users see."""


class Use(NamedTuple):
    """What a pod uses, in thousandths, and when and over how long it was seen."""

    milli: int
    at: datetime
    window: timedelta


@dataclass(frozen=True, slots=True)
class Tolerances:
    up: float = 0.1
    down: float = 0.1

    def within(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Proposal(NamedTuple):
    """`utilization` in percent of the requests where the target is one; `average_milli` per pod."""

    replicas: int
    average_milli: int
    utilization: int = 0


@dataclass(slots=True)
class Groups:
    """Names of pods by how far their use can be counted on; `ready` are only counted."""

    ready: int
    unready: set[str]
    missing: set[str]
    ignored: set[str]


def group(pods: Iterable[Obj], uses: Mapping[str, Use], resource: str, now: datetime) -> Groups:
    found = Groups(0, set(), set(), set())
    for pod in pods:
        name = name_of(pod)
        if is_deleting(pod) or phase_of(pod) == "Failed":
            found.ignored.add(name)
        elif phase_of(pod) == "Pending":
            found.unready.add(name)
        elif name not in uses:
            found.missing.add(name)
        elif resource == "cpu" and _starting(pod, uses[name], now):
            found.unready.add(name)
        else:
            found.ready += 1
    return found


def _starting(pod: Obj, use: Use, now: datetime) -> bool:
    """Whether its CPU use may be that of its start: nothing to go by."""
    ready, started = condition(pod, "Ready"), parse_time(dig(pod, "status", "startTime"))
    changed = parse_time(ready.get("lastTransitionTime")) if ready is not None else None
    if ready is None or started is None or changed is None:
        return True
    if started + CPU_INITIALIZATION > now:
        return ready["status"] == "False" or use.at < changed + use.window
    return ready["status"] == "False" and started + INITIAL_READINESS > changed


def requests_of(pods: Iterable[Obj], container: str, resource: str) -> dict[str, int]:
    """By pod, of one container or of all. Raises MetricsError if a pod does not say what it wants."""
    return {name_of(pod): _request(pod, container, resource) for pod in pods}


def _request(pod: Obj, container: str, resource: str) -> int:
    spec = pod["spec"]
    whole = dig(spec, "resources", "requests", resource)
    if not container and whole is not None:
        return quantity.milli(whole)
    sidecars = [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    total, seen = 0, False
    for item in [*spec["containers"], *sidecars]:
        if container and item["name"] != container:
            continue
        seen, request = True, dig(item, "resources", "requests", resource)
        if request is None:
            raise MetricsError(f"missing request for {resource} in container {item['name']} of Pod {name_of(pod)}")
        total += quantity.milli(request)
    if not seen:
        raise MetricsError(f"container {container} not found in Pod {name_of(pod)}")
    return total


@dataclass(frozen=True, slots=True)
class Calculator:
    """For one metric of one target: `pods` are all that its selector matches, `current` what its scale asks for."""

    pods: Sequence[Obj]
    current: int
    tolerances: Tolerances
    now: datetime

    def by_utilization(self, uses: Mapping[str, Use], percent: int, resource: str, container: str = "") -> Proposal:
        """Towards an average of that many percent of the requests. Raises MetricsError."""
        groups, counted = self._counted(uses, resource)
        requests = requests_of(self.pods, container, resource)

        def ratio(milli: Mapping[str, int]) -> float:
            return _utilization(milli, requests) / percent

        used = {name: milli for name, milli in counted.items() if name in requests}
        utilization = _utilization(counted, requests)
        assumed = {name: requests[name] * max(100, percent) // 100 for name in groups.missing}
        return Proposal(self._settle(counted, groups, ratio, assumed), sum(used.values()) // len(used), utilization)

    def by_average(self, uses: Mapping[str, Use], target_milli: int, resource: str) -> Proposal:
        """Towards that average per pod. Raises MetricsError."""
        groups, counted = self._counted(uses, resource)

        def average(milli: Mapping[str, int]) -> int:
            return sum(milli.values()) // len(milli)

        assumed = dict.fromkeys(groups.missing, target_milli)
        replicas = self._settle(counted, groups, lambda milli: average(milli) / target_milli, assumed)
        return Proposal(replicas, average(counted))

    def _counted(self, uses: Mapping[str, Use], resource: str) -> tuple[Groups, dict[str, int]]:
        if not self.pods:
            raise MetricsError("no pods returned by selector while calculating replica count")
        groups = group(self.pods, uses, resource, self.now)
        left_out = groups.ignored | groups.unready
        counted = {name: use.milli for name, use in uses.items() if name not in left_out}
        if not counted:
            raise MetricsError("did not receive metrics for targeted pods (pods might be unready)")
        return groups, counted

    def _settle(
        self,
        counted: Mapping[str, int],
        groups: Groups,
        ratio_of: Callable[[Mapping[str, int]], float],
        assumed: Mapping[str, int],
    ) -> int:
        """`assumed`: what pods without metrics are taken to use when that holds a scale-down back."""
        ratio = ratio_of(counted)
        unready = groups.unready if ratio > 1.0 else set()
        if not unready and not groups.missing:
            return self.current if self.tolerances.within(ratio) else math.ceil(ratio * groups.ready)
        filled = dict(counted)
        if ratio < 1.0:
            filled.update(assumed)
        elif ratio > 1.0:
            filled.update(dict.fromkeys(groups.missing, 0))
        filled.update(dict.fromkeys(unready, 0))
        anew = ratio_of(filled)
        if self.tolerances.within(anew) or (ratio - 1.0) * (anew - 1.0) < 0:
            return self.current
        replicas = math.ceil(anew * len(filled))
        against = (anew < 1.0 and replicas > self.current) or (anew > 1.0 and replicas < self.current)
        return self.current if against else replicas


def _utilization(milli: Mapping[str, int], requests: Mapping[str, int]) -> int:
    """Percent of the requests, over the pods that have both."""
    known = [name for name in milli if name in requests]
    wanted = sum(requests[name] for name in known)
    if not wanted:
        raise MetricsError("no metrics returned matched known pods")
    return sum(milli[name] for name in known) * 100 // wanted
