"""NodeAffinity: spec.nodeSelector, required and preferred node affinity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steersman.machinery.meta import Obj, dig
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import Code, Event, Happening, Hint, Normalize, Reasons
from steersman.scheduler.nodeselector import (
    all_groups_match_rows,
    node_names,
    required_groups,
    term_matches_node,
    term_matches_rows,
)
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo


@dataclass(frozen=True, slots=True)
class Required:
    """All groups must match; of a group, one term."""

    groups: tuple[Sequence[Obj], ...]
    only_names: frozenset[str] | None


class NodeAffinity:
    name = "NodeAffinity"
    weight = 2
    normalize = Normalize.DEFAULT
    uses_pods = False

    def prepare(self, pod: PodInfo) -> Required | None:
        groups = required_groups(pod.spec)
        if not groups:
            return None
        required = dig(pod.spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        return Required(groups, node_names(groups[-1]) if required is not None and groups[-1] else None)

    def narrow(self, needs: Required) -> frozenset[str] | None:
        return needs.only_names

    def conflict(self) -> str:
        return "pod affinity terms conflict"

    def filter(self, needs: Required, table: NodeTable, rows: Rows) -> Ints:
        return ~all_groups_match_rows(needs.groups, table, rows) * np.int64(Code.UNRESOLVABLE)

    def reasons(self, needs: Required, table: NodeTable, rows: Ints) -> Reasons:
        return Reasons({"node(s) didn't match Pod's node affinity/selector": len(rows)})

    def prepare_score(self, pod: PodInfo) -> Sequence[Obj] | None:
        return dig(pod.spec, "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution") or None

    def score(self, needs: Sequence[Obj], table: NodeTable, rows: Rows) -> Ints:
        total = np.zeros(table.size_of(rows), np.int64)
        for preference in needs:
            total += int(preference["weight"]) * term_matches_rows(preference.get("preference") or {}, table, rows)
        return total

    def hints(self) -> Mapping[Happening, Hint]:
        return {Happening.NODE_ADD: self._now_matches, Happening.NODE_LABEL: self._now_matches}

    def _now_matches(self, pod: PodInfo, event: Event) -> bool:
        needs = self.prepare(pod)
        return needs is None or (_matches(needs, event.new) and not _matches(needs, event.old))


def _matches(needs: Required, node: Obj | None) -> bool:
    if node is None:
        return False
    return all(any(term_matches_node(term, node) for term in terms) for terms in needs.groups)
