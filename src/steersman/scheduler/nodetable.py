"""The nodes as a table of columns (design decision 9): what filters and scores compute over, updated in place.

A pod that comes or goes changes a handful of numbers in one row; `moves_since` tells which pods did, so that results
computed earlier can be brought up to date without looking at the others. A node that changes in any other way changes
`version`, which makes all earlier results void. Pure: no clock, no I/O. Not here: the objects' history (informers).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from steersman.machinery.meta import Obj, labels_of, name_of
from steersman.scheduler.census import Census, Move
from steersman.scheduler.columns import ALL, Bools, Dictionary, Ints, LabelColumns, Rows, grown
from steersman.scheduler.podinfo import CPU, MEMORY, HostPort, PodInfo, amounts_of

PODS = "pods"
_MOVES_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: str


@dataclass(slots=True)
class _Node:
    """What the columns can't hold. `facts` is all of a Node that scheduling depends on: equal facts, nothing to do."""

    name: str
    facts: tuple[object, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    pods: dict[str, PodInfo] = field(default_factory=dict)
    ports: dict[HostPort, int] = field(default_factory=dict)
    stamp: int = 0


class NodeTable:
    """Rows 0 … count−1 are nodes, in no particular order; a removed node's row is taken by the last one."""

    def __init__(self) -> None:
        self.count = 0
        self.version = 0
        self.labels = LabelColumns(64)
        self.taint_sets = Dictionary()
        """Distinct tuples of Taint; nodes refer to them by code, so tolerations are judged once per distinct set."""
        self._capacity = 64
        self._nodes: list[_Node] = []
        self._rows: dict[str, int] = {}
        self._allocatable: dict[str, Ints] = {name: np.zeros(64, np.int64) for name in (CPU, MEMORY, PODS)}
        self._requested: dict[str, Ints] = {name: np.zeros(64, np.int64) for name in (CPU, MEMORY)}
        self._scored_cpu, self._scored_memory, self._pod_count, self._taint_code, self._unschedulable = (
            np.zeros(64, np.int64) for _ in range(5)
        )
        self._node_of_pod: dict[str, str] = {}
        self._homeless: dict[str, dict[str, PodInfo]] = {}
        self._nodes_by_image: dict[str, dict[str, int]] = {}
        self._nodes_by_port: dict[tuple[str, int], set[str]] = {}
        self.census = Census()
        self._moves: list[Move] = []
        self._moves_before = 0

    # --- reading: columns ------------------------------------------------------------------------------------------

    def allocatable(self, resource: str, rows: Rows = ALL) -> Ints:
        return self._view(self._allocatable.get(resource), rows)

    def requested(self, resource: str, rows: Rows = ALL) -> Ints:
        return self._view(self._requested.get(resource), rows)

    def scored_cpu(self, rows: Rows = ALL) -> Ints:
        return self._view(self._scored_cpu, rows)

    def scored_memory(self, rows: Rows = ALL) -> Ints:
        return self._view(self._scored_memory, rows)

    def pod_count(self, rows: Rows = ALL) -> Ints:
        return self._view(self._pod_count, rows)

    def taint_code(self, rows: Rows = ALL) -> Ints:
        return self._view(self._taint_code, rows)

    def unschedulable(self, rows: Rows = ALL) -> Bools:
        return self._view(self._unschedulable, rows).astype(np.bool_)

    def label_codes(self, key: str, rows: Rows = ALL) -> Ints | None:
        """Codes of the key's values; None if no node has had the key."""
        column = self.labels.column(key)
        return self._view(column.codes, rows) if column is not None else None

    def size_of(self, rows: Rows) -> int:
        return self.count if isinstance(rows, slice) else len(rows)

    # --- reading: single rows --------------------------------------------------------------------------------------

    def row(self, name: str) -> int | None:
        return self._rows.get(name)

    def name(self, row: int) -> str:
        return self._nodes[row].name

    def names(self) -> list[str]:
        return [node.name for node in self._nodes]

    def pods_on(self, row: int) -> Mapping[str, PodInfo]:
        return self._nodes[row].pods

    def node_of(self, pod_uid: str) -> str | None:
        """The node a pod is counted on, known or not yet known."""
        return self._node_of_pod.get(pod_uid)

    def stamp(self, row: int) -> int:
        """Grows with every pod that comes to the row, changes there, or goes."""
        return self._nodes[row].stamp

    def ports_on(self, row: int) -> Mapping[HostPort, int]:
        return self._nodes[row].ports

    def rows_using_port(self, protocol: str, port: int) -> list[int]:
        return [self._rows[name] for name in self._nodes_by_port.get((protocol, port), ())]

    def rows_with_image(self, image: str) -> Mapping[int, int]:
        """Row to the image's size in bytes."""
        return {self._rows[name]: size for name, size in self._nodes_by_image.get(image, {}).items()}

    # --- what changed ----------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """A mark to ask `moves_since` with."""
        return self._moves_before + len(self._moves)

    def moves_since(self, position: int) -> list[Move] | None:
        """Pods that came and went; None if the mark is too old to tell. Rows are those of the same `version`."""
        return None if position < self._moves_before else self._moves[position - self._moves_before :]

    # --- nodes -----------------------------------------------------------------------------------------------------

    def set_node(self, node: Obj) -> bool:
        """Add or update. False if nothing that matters here changed (a heartbeat)."""
        name = name_of(node)
        facts = _facts(node)
        row = self._rows.get(name)
        if row is None:
            row = self._append(name)
        elif self._nodes[row].facts == facts:
            return False
        held = self._nodes[row]
        held.facts = facts
        labels = labels_of(node)
        self.labels.set(row, held.labels, labels)
        held.labels = dict(labels)
        self._set_allocatable(row, amounts_of((node.get("status") or {}).get("allocatable")))
        self._taint_code[row] = self.taint_sets.code(taints_of(node))
        self._unschedulable[row] = bool((node.get("spec") or {}).get("unschedulable"))
        self._set_images(held, node)
        self.version += 1
        for pod in self._homeless.pop(name, {}).values():
            self._count(row, pod, 1)
        return True

    def remove_node(self, name: str) -> None:
        """Forget a node. Its pods are remembered, in case it comes back before they are gone."""
        row = self._rows.pop(name, None)
        if row is None:
            return
        gone, last = self._nodes[row], self.count - 1
        for pod in list(gone.pods.values()):
            self._count(row, pod, -1)
            self._homeless.setdefault(name, {})[pod.uid] = pod
        for image in gone.images:
            self._forget_image(image, name)
        self.labels.set(row, gone.labels, {})
        for column in self._number_columns():
            column[row] = column[last]
            column[last] = 0
        if row != last:
            self.labels.move(last, row)
            self._nodes[row] = self._nodes[last]
            self._rows[self._nodes[row].name] = row
        self._nodes.pop()
        self.count = last
        self.version += 1

    # --- pods ------------------------------------------------------------------------------------------------------

    def add_pod(self, pod: PodInfo, node: str) -> None:
        """Count a pod on a node, whatever was counted for that pod before."""
        row = self._rows.get(node)
        if row is not None and (counted := self._nodes[row].pods.get(pod.uid)) is not None and _counts_alike(counted, pod):
            # The pod that was assumed here is now seen to be here: nothing to compute anew.
            self._nodes[row].pods[pod.uid] = pod
            self._nodes[row].stamp += 1
            return
        self.remove_pod(pod.uid)
        self._node_of_pod[pod.uid] = node
        if row is None:
            self._homeless.setdefault(node, {})[pod.uid] = pod
        else:
            self._count(row, pod, 1)

    def remove_pod(self, uid: str) -> None:
        node = self._node_of_pod.pop(uid, None)
        if node is None:
            return
        row = self._rows.get(node)
        if row is not None:
            self._count(row, self._nodes[row].pods[uid], -1)
            return
        homeless = self._homeless[node]
        del homeless[uid]
        if not homeless:
            del self._homeless[node]

    def suppose(self, row: int, pod: PodInfo, sign: int) -> None:
        """Count a pod on a row (or take it off) for an experiment, which must be undone. Nobody who follows is told."""
        node, demand = self._nodes[row], pod.demand
        if sign > 0:
            node.pods[pod.uid] = pod
        else:
            del node.pods[pod.uid]
        self._pod_count[row] += sign
        for resource, amount in demand.requests.items():
            column = self._requested.get(resource)
            if column is None:
                column = self._requested[resource] = np.zeros(self._capacity, np.int64)
            column[row] += sign * amount
        self._scored_cpu[row] += sign * demand.scored_cpu
        self._scored_memory[row] += sign * demand.scored_memory
        for port in demand.ports:
            self._count_port(node, port, sign)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _view(self, column: Ints | None, rows: Rows) -> Ints:
        if column is None:
            return np.zeros(self.size_of(rows), np.int64)
        return column[: self.count] if isinstance(rows, slice) else column[rows]

    def _count(self, row: int, pod: PodInfo, sign: int) -> None:
        self.suppose(row, pod, sign)
        self._nodes[row].stamp += 1
        self.census.count(self._nodes[row].name, pod.group, pod.terms, sign)
        self._moves.append(Move(row, pod.group, pod.terms, sign))
        if len(self._moves) > _MOVES_KEPT:
            self._moves_before += len(self._moves)
            self._moves.clear()

    def _count_port(self, node: _Node, port: HostPort, sign: int) -> None:
        users = node.ports.get(port, 0) + sign
        if users:
            node.ports[port] = users
            self._nodes_by_port.setdefault((port.protocol, port.port), set()).add(node.name)
            return
        del node.ports[port]
        if not any((other.protocol, other.port) == (port.protocol, port.port) for other in node.ports):
            self._nodes_by_port[port.protocol, port.port].discard(node.name)

    def _append(self, name: str) -> int:
        if self.count == self._capacity:
            self._grow()
        row = self.count
        self._nodes.append(_Node(name))
        self._rows[name] = row
        self.count += 1
        return row

    def _grow(self) -> None:
        self._capacity *= 2
        self.labels.grow(self._capacity)
        for columns in (self._allocatable, self._requested):
            for name, column in columns.items():
                columns[name] = grown(column, self._capacity)
        self._scored_cpu = grown(self._scored_cpu, self._capacity)
        self._scored_memory = grown(self._scored_memory, self._capacity)
        self._pod_count = grown(self._pod_count, self._capacity)
        self._taint_code = grown(self._taint_code, self._capacity)
        self._unschedulable = grown(self._unschedulable, self._capacity)

    def _number_columns(self) -> list[Ints]:
        single = [self._scored_cpu, self._scored_memory, self._pod_count, self._taint_code, self._unschedulable]
        return [*self._allocatable.values(), *self._requested.values(), *single]

    def _set_allocatable(self, row: int, amounts: Mapping[str, int]) -> None:
        for resource in amounts.keys() - self._allocatable.keys():
            self._allocatable[resource] = np.zeros(self._capacity, np.int64)
        for resource, column in self._allocatable.items():
            column[row] = amounts.get(resource, 0)

    def _set_images(self, held: _Node, node: Obj) -> None:
        images = {
            name: int(image.get("sizeBytes") or 0)
            for image in (node.get("status") or {}).get("images") or ()
            for name in image.get("names") or ()
        }
        for image in held.images.keys() - images.keys():
            self._forget_image(image, held.name)
        for image, size in images.items():
            self._nodes_by_image.setdefault(image, {})[held.name] = size
        held.images = images

    def _forget_image(self, image: str, name: str) -> None:
        holders = self._nodes_by_image[image]
        del holders[name]
        if not holders:
            del self._nodes_by_image[image]


def _counts_alike(one: PodInfo, other: PodInfo) -> bool:
    same_terms = one.terms is other.terms or one.terms.all == other.terms.all
    return one.group is other.group and same_terms and one.demand == other.demand


def taints_of(node: Obj) -> tuple[Taint, ...]:
    return tuple(
        Taint(taint.get("key") or "", taint.get("value") or "", taint.get("effect") or "")
        for taint in (node.get("spec") or {}).get("taints") or ()
    )


def _facts(node: Obj) -> tuple[object, ...]:
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return (
        labels_of(node),
        status.get("allocatable"),
        spec.get("taints"),
        bool(spec.get("unschedulable")),
        status.get("images"),
    )
