"""The score of InterPodAffinity: preferred terms both ways, and others' required affinity, added up per topology domain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steersman.scheduler.census import Census
from steersman.scheduler.columns import Bools, Ints
from steersman.scheduler.domains import Domains
from steersman.scheduler.framework import MAX_SCORE
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.relations import Group, NamespaceLabels, Role, RoleTerm, Term, Terms


@dataclass(frozen=True, slots=True)
class Question:
    """`theirs`: terms of other pods that mean this pod and draw it near or push it away."""

    preferred: tuple[Term, ...]
    theirs: frozenset[RoleTerm]


class ScoreSurvey:
    """Weights per topology key and domain."""

    def __init__(self, question: Question, table: NodeTable, namespaces: NamespaceLabels, hard_weight: int) -> None:
        self._question, self._namespaces, self._hard_weight = question, namespaces, hard_weight
        keys = {term.topology_key for term in (*question.preferred, *(term for _, term in question.theirs))}
        self._domains = {key: Domains(table, key) for key in sorted(keys)}
        self._weights = {key: domains.zeros() for key, domains in self._domains.items()}
        self._matched: dict[Group, tuple[Term, ...]] = {}
        self._take(table, table.census)

    def move(self, row: int, group: Group, terms: Terms, sign: int) -> None:
        for term in self._match(group):
            self._add(row, term.topology_key, sign * term.weight)
        for item in terms.all:
            if item in self._question.theirs:
                self._add(row, item[1].topology_key, sign * self._weight(item))

    def score(self, fits: Bools) -> Ints:
        raw = np.zeros(len(fits), np.int64)
        for key, weights in self._weights.items():
            raw += weights[self._domains[key].of_row]
        among = raw[fits]
        lowest, highest = (int(among.min()), int(among.max())) if len(among) else (0, 0)
        if lowest == highest:
            return np.zeros(len(fits), np.int64)
        # In floating point, then cut: upstream's way, which is sometimes one less than integers would give.
        scored: Ints = (MAX_SCORE * ((raw - lowest) / (highest - lowest))).astype(np.int64)
        return scored

    # --- counting --------------------------------------------------------------------------------------------------

    def _take(self, table: NodeTable, census: Census) -> None:
        if self._question.preferred:
            for group, by_node in census.groups.items():
                for term in self._match(group):
                    for node, number in by_node.items():
                        if (row := table.row(node)) is not None:
                            self._add(row, term.topology_key, number * term.weight)
        for item in self._question.theirs:
            for node, number in census.terms.get(item, {}).items():
                if (row := table.row(node)) is not None:
                    self._add(row, item[1].topology_key, number * self._weight(item))

    def _match(self, group: Group) -> tuple[Term, ...]:
        found = self._matched.get(group)
        if found is None:
            found = tuple(term for term in self._question.preferred if term.matches(group, self._namespaces))
            self._matched[group] = found
        return found

    def _weight(self, item: RoleTerm) -> int:
        return self._hard_weight if item[0] is Role.AFFINITY else item[1].weight

    def _add(self, row: int, key: str, weight: int) -> None:
        domains = self._domains[key]
        if domains.labelled[row]:
            self._weights[key][domains.of_row[row]] += weight


def question_of(
    terms: Terms, group: Group, census: Census, namespaces: NamespaceLabels, hard_weight: int, ignore_theirs: bool
) -> Question | None:
    preferred = terms.of(Role.PREFERRED)
    if not preferred and (ignore_theirs or not census.terms):
        return None
    roles = (Role.PREFERRED, Role.AFFINITY) if hard_weight else (Role.PREFERRED,)
    theirs = frozenset(item for item in census.terms if item[0] in roles and item[1].matches(group, namespaces))
    return Question(preferred, theirs) if preferred or theirs else None
