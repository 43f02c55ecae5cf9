"""NodeResourcesFit: what a pod requests must be free; with LeastAllocated, the emptier node is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from steersman.machinery.meta import Obj, dig, uid_of
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import MAX_SCORE, Code, Event, Happening, Hint, Normalize, Reasons, always
from steersman.scheduler.nodetable import PODS, NodeTable
from steersman.scheduler.podinfo import CPU, EPHEMERAL_STORAGE, MEMORY, Demand, PodInfo, amounts_of, total_requests

_FIRST = (CPU, MEMORY, EPHEMERAL_STORAGE)


@dataclass(frozen=True, slots=True)
class Needs:
    """Resource and amount, in the order in which they are told."""

    requests: tuple[tuple[str, int], ...]


class NodeResourcesFit:
    name = "NodeResourcesFit"
    weight = 1
    normalize = Normalize.NONE
    uses_pods = True

    def prepare(self, pod: PodInfo) -> Needs:
        wanted = pod.demand.requests
        first = [(name, wanted[name]) for name in _FIRST if name in wanted]
        return Needs((*first, *sorted((name, amount) for name, amount in wanted.items() if name not in _FIRST)))

    def filter(self, needs: Needs, table: NodeTable, rows: Rows) -> Ints:
        full = table.pod_count(rows) >= table.allocatable(PODS, rows)
        codes: Ints = full * np.int64(Code.UNSCHEDULABLE)
        for resource, amount in needs.requests:
            allocatable = table.allocatable(resource, rows)
            lacking = allocatable - table.requested(resource, rows) < amount
            if lacking.any():
                np.maximum(codes, np.where(allocatable < amount, Code.UNRESOLVABLE, Code.UNSCHEDULABLE), out=codes, where=lacking)
        return codes

    def reasons(self, needs: Needs, table: NodeTable, rows: Ints) -> Reasons:
        found = Reasons({"Too many pods": int(np.count_nonzero(table.pod_count(rows) >= table.allocatable(PODS, rows)))})
        for resource, amount in needs.requests:
            lacking = table.allocatable(resource, rows) - table.requested(resource, rows) < amount
            found[f"Insufficient {resource}"] = int(np.count_nonzero(lacking))
        return found

    def prepare_score(self, pod: PodInfo) -> Demand:
        return pod.demand

    def score(self, needs: Demand, table: NodeTable, rows: Rows) -> Ints:
        """The mean over cpu and memory of the part that stays free. Resources a node has none of do not count."""
        cpu = table.allocatable(CPU, rows)
        memory = table.allocatable(MEMORY, rows)
        total = _free_part(cpu, table.scored_cpu(rows) + needs.scored_cpu)
        total += _free_part(memory, table.scored_memory(rows) + needs.scored_memory)
        counted = (cpu != 0).astype(np.int64) + (memory != 0)
        mean: Ints = total // np.maximum(counted, 1)
        return mean

    def hints(self) -> Mapping[Happening, Hint]:
        return {
            Happening.NODE_ADD: _fits_empty,
            Happening.NODE_ALLOCATABLE: _grew_where_it_matters,
            Happening.ASSIGNED_POD_DELETE: always,
            Happening.ASSIGNED_POD_SCALE_DOWN: _shrank_where_it_matters,
            Happening.POD_SCALE_DOWN: _is_this_pod,
        }


def _free_part(allocatable: Ints, requested: Ints) -> Ints:
    free = np.maximum(allocatable - requested, 0)
    part: Ints = free * MAX_SCORE // np.maximum(allocatable, 1)
    return part


def _allocatable(node: Obj | None) -> dict[str, int]:
    return amounts_of(dig(node, "status", "allocatable", default={}))


def _fits_empty(pod: PodInfo, event: Event) -> bool:
    """Whether the pod would fit if nothing else were there."""
    has = _allocatable(event.new)
    return has.get(PODS, 0) >= 1 and all(has.get(name, 0) >= amount for name, amount in pod.demand.requests.items())


def _grew_where_it_matters(pod: PodInfo, event: Event) -> bool:
    before, after = _allocatable(event.old), _allocatable(event.new)
    grew = any(after.get(name, 0) > before.get(name, 0) for name in (*pod.demand.requests, PODS))
    return grew and _fits_empty(pod, event)


def _shrank_where_it_matters(pod: PodInfo, event: Event) -> bool:
    before, after = (total_requests(obj, {}) if obj else {} for obj in (event.old, event.new))
    return any(after.get(name, 0) < before.get(name, 0) for name in pod.demand.requests)


def _is_this_pod(pod: PodInfo, event: Event) -> bool:
    return event.new is not None and uid_of(event.new) == pod.uid
