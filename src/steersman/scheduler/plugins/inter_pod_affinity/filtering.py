"""The filter of InterPodAffinity: the pod's own required terms, and the anti-affinity of pods that are there already."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steersman.scheduler.census import Census
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.domains import Domains
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.relations import Group, NamespaceLabels, Role, RoleTerm, Term, Terms

FITS, NOT_NEAR, TOO_NEAR, UNWANTED = range(4)
"""What is wrong with a row: own affinity, own anti-affinity, somebody else's anti-affinity."""


@dataclass(frozen=True, slots=True)
class Question:
    """`starts`: the pod matches its own affinity terms, so it may be the first of its kind. `theirs`: anti-affinity terms of
    other pods that mean this pod."""

    affinity: tuple[Term, ...]
    anti: tuple[Term, ...]
    starts: bool
    theirs: frozenset[RoleTerm]


class FilterSurvey:
    """Per topology key and domain: pods that match all own affinity terms, any own anti-affinity term, or carry one of theirs."""

    def __init__(self, question: Question, table: NodeTable, namespaces: NamespaceLabels) -> None:
        self._question, self._namespaces = question, namespaces
        keys = {term.topology_key for term in (*question.affinity, *question.anti, *(term for _, term in question.theirs))}
        self._domains = {key: Domains(table, key) for key in keys}
        self._near = {term.topology_key: self._domains[term.topology_key].zeros() for term in question.affinity}
        self._own = {term.topology_key: self._domains[term.topology_key].zeros() for term in question.anti}
        self._theirs = {term.topology_key: self._domains[term.topology_key].zeros() for _, term in question.theirs}
        self._anywhere = 0
        self._matched: dict[Group, tuple[bool, tuple[str, ...]]] = {}
        self._take(table, table.census)

    def move(self, row: int, group: Group, terms: Terms, sign: int) -> None:
        self._count_group(row, group, sign)
        for item in terms.all:
            if item in self._question.theirs:
                self._add(self._theirs, item[1].topology_key, row, sign)

    def judge(self, rows: Rows) -> Ints:
        """What is first wrong with each row."""
        size = len(next(iter(self._domains.values())).of_row[rows])
        wrong = np.zeros(size, np.int64)
        for counts, name in ((self._theirs, UNWANTED), (self._own, TOO_NEAR)):
            for key, pods in counts.items():
                wrong[pods[self._domains[key].of_row[rows]] > 0] = name
        # Nobody matches: whoever matches itself may begin, on any node that has the keys.
        begins = self._question.starts and not self._anywhere
        for key, pods in self._near.items():
            domains = self._domains[key]
            near = pods > 0
            if begins:
                near[:] = True
            near[domains.nowhere] = False
            wrong[~near[domains.of_row[rows]]] = NOT_NEAR
        return wrong

    # --- counting --------------------------------------------------------------------------------------------------

    def _take(self, table: NodeTable, census: Census) -> None:
        if self._question.affinity or self._question.anti:
            for group, by_node in census.groups.items():
                if self._match(group) != (False, ()):
                    for node, number in by_node.items():
                        if (row := table.row(node)) is not None:
                            self._count_group(row, group, number)
        for item in self._question.theirs:
            for node, number in census.terms.get(item, {}).items():
                if (row := table.row(node)) is not None:
                    self._add(self._theirs, item[1].topology_key, row, number)

    def _match(self, group: Group) -> tuple[bool, tuple[str, ...]]:
        """Whether pods of a group match all affinity terms; the keys of anti-affinity terms they match."""
        found = self._matched.get(group)
        if found is None:
            question, namespaces = self._question, self._namespaces
            near = bool(question.affinity) and all(term.matches(group, namespaces) for term in question.affinity)
            found = near, tuple(term.topology_key for term in question.anti if term.matches(group, namespaces))
            self._matched[group] = found
        return found

    def _count_group(self, row: int, group: Group, number: int) -> None:
        near, keys = self._match(group)
        if near:
            for key in self._near:
                self._anywhere += self._add(self._near, key, row, number)
        for key in keys:
            self._add(self._own, key, row, number)

    def _add(self, counts: dict[str, Ints], key: str, row: int, number: int) -> int:
        """The number counted: none where the row lacks the key."""
        domains = self._domains[key]
        if not domains.labelled[row]:
            return 0
        counts[key][domains.of_row[row]] += number
        return number


def question_of(terms: Terms, group: Group, census: Census, namespaces: NamespaceLabels) -> Question | None:
    affinity, anti = terms.of(Role.AFFINITY), terms.of(Role.ANTI)
    theirs = frozenset(item for item in census.terms if item[0] is Role.ANTI and item[1].matches(group, namespaces))
    if not affinity and not anti and not theirs:
        return None
    starts = bool(affinity) and all(term.matches(group, namespaces) for term in affinity)
    return Question(affinity, anti, starts, theirs)
