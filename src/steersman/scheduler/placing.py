"""Where a pod's claims can be met: for every node, whether bound volumes are in reach, and what claims that wait would get. Pure.

Volumes that are there are preferred to new ones, the closest first. Source: upstream plugins/volumebinding (FindPodVolumes).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steersman.loop.volumes import NO_PROVISIONER
from steersman.machinery.meta import Obj, dig
from steersman.scheduler.columns import ALL, Bools, Ints, Rows
from steersman.scheduler.nodeselector import any_term_matches_rows
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.volumes import Plan, Question, Unbound, Volumes

PROVISION, NOTHING = -1, -2
"""Choices beside a volume's place in the list: to have one made; there is none."""


def plan_of(volumes: Volumes, pod: PodInfo, node: str, table: NodeTable) -> Plan | None:
    """What must be done for the pod's claims now that it goes to the node; None if nothing."""
    question, row = volumes.question(pod), table.row(node)
    if question is None or row is None or not question.unbound:
        return None
    choices = Placing(question, volumes, table, np.array([row])).choices
    places = [(item, int(choice[0])) for item, choice in zip(question.unbound, choices)]
    chosen = {item.claim: item.candidates[place] for item, place in places if place >= 0}
    return Plan(node, tuple(item.claim for item in question.unbound), chosen)


class Placing:
    """What each row says to a question: `unreached`: a bound volume is elsewhere; `lacking`: a claim would get nothing."""

    def __init__(self, question: Question, volumes: Volumes, table: NodeTable, rows: Rows = ALL) -> None:
        self._volumes, self._table, self._rows = volumes, table, rows
        size = table.size_of(rows)
        self.unreached: Bools = np.zeros(size, np.bool_)
        for name in question.bound:
            self.unreached |= ~self._reached_from(name)
        self.lacking: Bools = np.zeros(size, np.bool_)
        self.choices: list[Ints] = []
        taken: dict[str, Bools] = {}
        for item in question.unbound:
            choice = self._choose(item, taken)
            self.choices.append(choice)
            self.lacking |= choice == NOTHING

    def _choose(self, item: Unbound, taken: dict[str, Bools]) -> Ints:
        size = self._table.size_of(self._rows)
        choice: Ints = np.full(size, NOTHING, np.int64)
        if item.selected:
            # Its volume is being made there already.
            only = self._named(item.selected)
            choice[only] = PROVISION
            return choice
        for place, name in enumerate(item.candidates):
            free = (choice == NOTHING) & self._reached_from(name)
            if name in taken:
                free &= ~taken[name]
            choice[free] = place
            taken[name] = taken.get(name, np.zeros(size, np.bool_)) | free
        choice[(choice == NOTHING) & self._provided(item.class_name)] = PROVISION
        return choice

    def _named(self, node: str) -> Bools:
        named: Bools = np.zeros(self._table.count, np.bool_)
        if (row := self._table.row(node)) is not None:
            named[row] = True
        result: Bools = named[self._rows]
        return result

    def _reached_from(self, name: str) -> Bools:
        volume = self._volumes.volumes.get(name)
        terms = dig(volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms") if volume is not None else None
        if terms is None:
            return np.ones(self._table.size_of(self._rows), np.bool_)
        return any_term_matches_rows(terms, self._table, self._rows)

    def _provided(self, class_name: str) -> Bools:
        """Where a volume of the class can be made."""
        found = self._volumes.classes.get(class_name) or {}
        if found.get("provisioner") in (None, "", NO_PROVISIONER):
            return np.zeros(self._table.size_of(self._rows), np.bool_)
        terms = _selector_terms(found.get("allowedTopologies") or ())
        if not terms:
            return np.ones(self._table.size_of(self._rows), np.bool_)
        return any_term_matches_rows(terms, self._table, self._rows)


def _selector_terms(topologies: Sequence[Obj]) -> list[Obj]:
    """TopologySelectorTerms as node selector terms."""
    return [
        {
            "matchExpressions": [
                {"key": each["key"], "operator": "In", "values": each["values"]} for each in term["matchLabelExpressions"]
            ]
        }
        for term in topologies
        if term.get("matchLabelExpressions")
    ]
