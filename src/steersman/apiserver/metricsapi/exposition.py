"""Reads a kubelet's /metrics/resource: the text form of Prometheus, as far as that page uses it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_LINE = re.compile(r"(\w+)(?:\{([^}]*)\})? (\S+)(?: (-?\d+))?")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Point(NamedTuple):
    """One node's or container's counters: `at` and `started` in seconds since the epoch, `cpu` in core-seconds."""

    at: float
    cpu: float
    memory: int
    started: float = 0.0


@dataclass(slots=True)
class Scrape:
    """What one kubelet said. `pods`: (namespace, name) -> container -> its point."""

    node: Point | None = None
    pods: dict[tuple[str, str], dict[str, Point]] = field(default_factory=dict)


def parse(text: str, now: float) -> Scrape:
    """`now` (seconds since the epoch) stands in for times that are not given. Lines that are nothing known are passed over."""
    node: dict[str, tuple[float, float]] = {}
    containers: dict[tuple[str, str, str], dict[str, tuple[float, float]]] = {}
    for name, labels, value, at in _samples(text, now):
        part, _, what = name.partition("_")
        if part == "node":
            node[what] = (value, at)
        elif part == "container":
            key = (labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", ""))
            containers.setdefault(key, {})[what] = (value, at)
    found = Scrape(_point(node))
    for (namespace, pod, container), values in containers.items():
        point = _point(values)
        if point is not None:
            found.pods.setdefault((namespace, pod), {})[container] = point
    return found


def _samples(text: str, now: float) -> Iterator[tuple[str, Mapping[str, str], float, float]]:
    for line in text.splitlines():
        read = _LINE.fullmatch(line)
        if read is None:
            continue
        try:
            value = float(read[3])
        except ValueError:
            continue
        yield read[1], dict(_LABEL.findall(read[2] or "")), value, int(read[4]) / 1000 if read[4] else now


def _point(values: Mapping[str, tuple[float, float]]) -> Point | None:
    """None unless both CPU and memory are known; no memory at all is what a container shows that is just ending."""
    cpu, memory = values.get("cpu_usage_seconds_total"), values.get("memory_working_set_bytes")
    if cpu is None or memory is None or memory[0] <= 0:
        return None
    return Point(cpu[1], cpu[0], int(memory[0]), values.get("start_time_seconds", (0.0, 0.0))[0])
