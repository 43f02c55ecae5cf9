"""NodeAffinity: spec.nodeSelector, required and preferred node affinity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steersman.machinery.meta import Obj, dig
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import Code, Event, Happening, Hint, Normalize, Reason
from steersman.scheduler.nodeselector import (
    any_term_matches_rows,
    from_map,
    node_names,
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
        groups: list[Sequence[Obj]] = []
        if selector := pod.spec.get("nodeSelector"):
            groups.append([from_map(selector)])
        required = dig(pod.spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        if required is None:
            return Required(tuple(groups), None) if groups else None
        terms = required.get("nodeSelectorTerms") or ()
        return Required((*groups, terms), node_names(terms) if terms else None)

    def narrow(self, needs: Required) -> frozenset[str] | None:
        return needs.only_names

    def conflict(self) -> Reason:
        return Reason("pod affinity terms conflict", Code.UNRESOLVABLE)

    def filter(self, needs: Required, table: NodeTable, rows: Rows) -> Ints:
        matched = np.ones(table.size_of(rows), np.bool_)
        for terms in needs.groups:
            matched &= any_term_matches_rows(terms, table, rows)
        return (~matched).astype(np.int64)

    def reasons(self, needs: Required) -> Sequence[Reason]:
        return (Reason("node(s) didn't match Pod's node affinity/selector", Code.UNRESOLVABLE),)

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
