"""The filter of PodTopologySpread: with this pod, no domain may have more than maxSkew pods more than the emptiest has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steersman.scheduler.columns import Bools, Ints, Rows
from steersman.scheduler.domains import Domains
from steersman.scheduler.framework import Code
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.plugins.pod_topology_spread.question import Matching, Question, included, with_all_keys
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Constraint, Group, Terms


@dataclass(slots=True)
class _Counts:
    """Matching pods per domain, on the nodes that count."""

    constraint: Constraint
    matches_self: bool
    domains: Domains
    counted: Bools
    pods: Ints

    def verdicts(self) -> Ints:
        """Per domain."""
        number = self.domains.count
        least = int(self.pods[:number].min()) if number >= max(self.constraint.min_domains, 1) else 0
        too_many = self.pods + (self.matches_self - least) > self.constraint.max_skew
        found: Ints = too_many * np.int64(Code.UNSCHEDULABLE)
        found[self.domains.nowhere] = Code.UNRESOLVABLE
        return found


class FilterSurvey:
    def __init__(self, question: Question, pod: PodInfo, table: NodeTable) -> None:
        self._matching = Matching(question)
        keyed = with_all_keys(question, table)
        self._counts: list[_Counts] = []
        for constraint, matches_self in zip(question.constraints, question.matches_self, strict=True):
            counted = keyed & included(constraint, pod, table)
            domains = Domains(table, constraint.topology_key, counted)
            self._counts.append(_Counts(constraint, matches_self, domains, counted, domains.zeros()))
        for place, row, number in self._matching.present(table):
            self._count(place, row, number)

    def move(self, row: int, group: Group, terms: Terms, sign: int) -> None:
        for place in self._matching.of(group):
            self._count(place, row, sign)

    def codes(self, rows: Rows) -> Ints:
        """Of several constraints the first that is not met decides."""
        first, *others = self._counts
        found: Ints = first.verdicts()[first.domains.of_row[rows]]
        for counts in others:
            found = np.where(found == 0, counts.verdicts()[counts.domains.of_row[rows]], found)
        return found

    def _count(self, place: int, row: int, number: int) -> None:
        counts = self._counts[place]
        if counts.counted[row]:
            counts.pods[counts.domains.of_row[row]] += number
