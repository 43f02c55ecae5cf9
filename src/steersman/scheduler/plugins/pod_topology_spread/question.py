"""What PodTopologySpread wants to know, and which nodes and pods count for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from steersman.scheduler.columns import ALL, Bools
from steersman.scheduler.nodeselector import all_groups_match_rows, required_groups
from steersman.scheduler.nodetable import NodeTable, Taint
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Constraint, Group
from steersman.scheduler.tolerations import repelled

HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Question:
    """`matches_self`: per constraint, whether the pod itself counts. `all_keys`: nodes that lack any of the keys are out."""

    namespace: str
    constraints: tuple[Constraint, ...]
    matches_self: tuple[bool, ...]
    all_keys: bool = True


class Matching:
    """Which constraints (by place) pods of a group count for."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._known: dict[Group, tuple[int, ...]] = {}

    def of(self, group: Group) -> tuple[int, ...]:
        found = self._known.get(group)
        if found is None:
            found = self._known[group] = tuple(self._of(group))
        return found

    def present(self, table: NodeTable) -> Iterator[tuple[int, int, int]]:
        """(constraint, row, number of pods) for all that counts."""
        for group, by_node in table.census.groups.items():
            if places := self.of(group):
                for node, number in by_node.items():
                    row = table.row(node)
                    if row is not None:
                        for place in places:
                            yield place, row, number

    def _of(self, group: Group) -> Iterator[int]:
        if group.namespace != self._question.namespace or group.terminating:
            return
        for place, constraint in enumerate(self._question.constraints):
            # As upstream: a selector of all pods counts none.
            if not constraint.selector.empty and constraint.selector.matches(group.labels):
                yield place


def with_all_keys(question: Question, table: NodeTable) -> Bools:
    found = np.ones(table.count, np.bool_)
    for constraint in question.constraints:
        codes = table.label_codes(constraint.topology_key)
        found &= codes >= 0 if codes is not None else False
    return found


def included(constraint: Constraint, pod: PodInfo, table: NodeTable) -> Bools:
    """Nodes that the node inclusion policies let count (KEP-3094)."""
    found = np.ones(table.count, np.bool_)
    if constraint.honor_affinity and (groups := required_groups(pod.spec)):
        found &= all_groups_match_rows(groups, table, ALL)
    if constraint.honor_taints:
        tolerations = pod.spec.get("tolerations") or ()
        open_ = [not repelled(tolerations, _taints(taints)) for taints in table.taint_sets.values]
        found &= np.array(open_, np.bool_)[table.taint_code()]
    return found


def _taints(code: object) -> tuple[Taint, ...]:
    assert isinstance(code, tuple)
    return code
