"""NodeResourcesBalancedAllocation: better where cpu and memory would be used evenly, and where the pod makes it more even."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import MAX_SCORE, Normalize
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import CPU, MEMORY, PodInfo

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Needs:
    cpu: int
    memory: int


class NodeResourcesBalancedAllocation:
    name = "NodeResourcesBalancedAllocation"
    weight = 1
    normalize = Normalize.NONE
    uses_pods = True

    def prepare_score(self, pod: PodInfo) -> Needs | None:
        cpu, memory = pod.demand.requests.get(CPU, 0), pod.demand.requests.get(MEMORY, 0)
        return Needs(cpu, memory) if cpu or memory else None

    def score(self, needs: Needs, table: NodeTable, rows: Rows) -> Ints:
        cpu, memory = table.allocatable(CPU, rows), table.allocatable(MEMORY, rows)
        used_cpu, used_memory = table.requested(CPU, rows), table.requested(MEMORY, rows)
        both = (cpu > 0) & (memory > 0)
        after = _balance(_part(used_cpu + needs.cpu, cpu), _part(used_memory + needs.memory, memory), both)
        before = _balance(_part(used_cpu, cpu), _part(used_memory, memory), both)
        return MAX_SCORE // 2 + (MAX_SCORE // 2 + after - before) // 2


def _part(used: Ints, allocatable: Ints) -> Floats:
    return np.minimum(used / np.maximum(allocatable, 1), 1.0)


def _balance(one: Floats, other: Floats, both: npt.NDArray[np.bool_]) -> Ints:
    """100 when even. The deviation of two numbers is half their distance; one number alone is always even."""
    deviation = np.where(both, np.abs(one - other) / 2, 0.0)
    return ((1 - deviation) * MAX_SCORE).astype(np.int64)
