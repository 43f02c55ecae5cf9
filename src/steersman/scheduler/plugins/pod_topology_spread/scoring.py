"""The score of PodTopologySpread: domains with fewer matching pods are better; keys with more domains weigh more."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steersman.scheduler.columns import Bools, Ints
from steersman.scheduler.domains import Domains
from steersman.scheduler.framework import MAX_SCORE
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.plugins.pod_topology_spread.question import HOSTNAME, Matching, Question, included, with_all_keys
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Group, Terms

Floats = npt.NDArray[np.floating]


@dataclass(slots=True)
class _Counts:
    """`pods` per domain; per row for hostname, whose domains are the nodes themselves (`counted` is all of them then)."""

    max_skew: int
    per_row: bool
    domains: Domains
    counted: Bools
    pods: Ints


class ScoreSurvey:
    def __init__(self, question: Question, pod: PodInfo, table: NodeTable) -> None:
        self._matching = Matching(question)
        everywhere = np.ones(table.count, np.bool_)
        self._scored = with_all_keys(question, table) if question.all_keys else everywhere
        self._counts: list[_Counts] = []
        for constraint in question.constraints:
            per_row = constraint.topology_key == HOSTNAME
            domains = Domains(table, constraint.topology_key)
            counted = everywhere if per_row else self._scored & included(constraint, pod, table)
            pods = np.zeros(table.count, np.int64) if per_row else domains.zeros()
            self._counts.append(_Counts(constraint.max_skew, per_row, domains, counted, pods))
        for place, row, number in self._matching.present(table):
            self._count(place, row, number)

    def move(self, row: int, group: Group, terms: Terms, sign: int) -> None:
        for place in self._matching.of(group):
            self._count(place, row, sign)

    def score(self, fits: Bools) -> Ints:
        usable = fits & self._scored
        number = int(np.count_nonzero(usable))
        if not number:
            return np.zeros(len(fits), np.int64)
        total = np.zeros(len(fits))
        for counts in self._counts:
            total += self._part(counts, usable, number)
        raw = np.floor(total + 0.5).astype(np.int64)
        scored = raw[usable]
        highest, lowest = int(scored.max()), int(scored.min())
        if highest == 0:
            return np.where(usable, MAX_SCORE, 0)
        return np.where(usable, MAX_SCORE * (highest + lowest - raw) // highest, 0)

    def _part(self, counts: _Counts, usable: Bools, number: int) -> Floats:
        """What one constraint adds per row: pods × ln(domains + 2) + maxSkew − 1; nothing where the label is missing."""
        domains, constant = counts.domains, float(counts.max_skew - 1)
        if counts.per_row:
            found: Floats = counts.pods * math.log(number + 2) + constant
            found[~domains.labelled] = 0.0
            return found
        # Only domains that have a usable node weigh; nodes without the label are one domain, too, as upstream has it.
        present = np.bincount(domains.of_row[usable], minlength=domains.size)
        by_domain: Floats = counts.pods * math.log(int(np.count_nonzero(present)) + 2) + constant
        by_domain[domains.nowhere] = 0.0
        spread: Floats = by_domain[domains.of_row]
        return spread

    def _count(self, place: int, row: int, number: int) -> None:
        counts = self._counts[place]
        if counts.counted[row]:
            counts.pods[row if counts.per_row else counts.domains.of_row[row]] += number
