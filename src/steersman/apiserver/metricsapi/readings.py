"""What nodes and pods use, from the last two scrapes of each kubelet: CPU as a rate between them. Pure.

Source: metrics-server pkg/storage. A container that is younger than the earlier scrape counts from its start.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from steersman.apiserver.metricsapi.exposition import Point, Scrape
from steersman.machinery import duration
from steersman.machinery.meta import Obj, format_time
from steersman.machinery.quantity import BINARY_SI, Quantity

FRESH_AT_LEAST_S, FRESH_AT_MOST_S = 10.0, 15.0
"""Between these ages a container's one sample is enough: with its start, it makes two."""


class Reading(NamedTuple):
    """`cpu` in cores, memory in bytes; `at` in seconds since the epoch, the rate's window in seconds."""

    at: float
    window_s: float
    cpu: float
    memory: int

    @property
    def usage(self) -> Obj:
        """The ResourceList, in metrics-server's units."""
        return {"cpu": str(Quantity(round(self.cpu * 1e9))), "memory": str(Quantity.of(self.memory, BINARY_SI))}

    @property
    def moment(self) -> Obj:
        """timestamp and window."""
        at = datetime.fromtimestamp(self.at, UTC)
        return {"timestamp": format_time(at), "window": duration.format_go(round(self.window_s, 3))}


def reading(earlier: Point | None, later: Point) -> Reading | None:
    """None as long as there are no two samples of the same run of it."""
    if earlier is None or earlier.started != later.started or later.cpu < earlier.cpu:
        age_s = later.at - later.started
        if not later.started or not FRESH_AT_LEAST_S <= age_s < FRESH_AT_MOST_S:
            return None
        earlier = Point(later.started, 0.0, 0, later.started)
    window_s = later.at - earlier.at
    return Reading(later.at, window_s, (later.cpu - earlier.cpu) / window_s, later.memory) if window_s > 0 else None


class Readings:
    """The last two scrapes of each node."""

    def __init__(self) -> None:
        self._earlier: Mapping[str, Scrape] = {}
        self._later: Mapping[str, Scrape] = {}
        self._homes: dict[tuple[str, str], str] = {}

    def take(self, scrapes: Mapping[str, Scrape]) -> None:
        """A round of scrapes, by node. A node that did not answer has no readings until it does twice."""
        self._earlier, self._later = self._later, scrapes
        self._homes = {pod: node for node, scrape in scrapes.items() for pod in scrape.pods}

    def clear(self) -> None:
        self._earlier, self._later, self._homes = {}, {}, {}

    def node(self, name: str) -> Reading | None:
        earlier, later = self._earlier.get(name), self._later.get(name)
        if later is None or later.node is None:
            return None
        return reading(earlier.node if earlier is not None else None, later.node)

    def pod(self, namespace: str, name: str) -> dict[str, Reading]:
        """Container -> reading; empty unless every container has one: half a pod's use would mislead."""
        key = (namespace, name)
        node = self._homes.get(key)
        if node is None:
            return {}
        earlier = self._earlier.get(node)
        before = earlier.pods.get(key, {}) if earlier is not None else {}
        found: dict[str, Reading] = {}
        for container, point in self._later[node].pods[key].items():
            made = reading(before.get(container), point)
            if made is None:
                return {}
            found[container] = made
        return found


def node_metrics(reading: Reading) -> Obj:
    return {**reading.moment, "usage": reading.usage}


def pod_metrics(containers: Mapping[str, Reading]) -> Obj:
    """The earliest of the containers' times: autoscalers compare it with when the pod became ready."""
    first = min(containers.values())
    parts = [{"name": name, "usage": found.usage} for name, found in sorted(containers.items())]
    return {**first.moment, "containers": parts}
