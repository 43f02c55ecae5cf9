"""VolumeBinding: a pod goes where its volumes are, or where its claims can get some (scheduler/volumes.py, placing.py).

Claims that wait for their first consumer get it here: once a node is chosen, prebinding.py writes what follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from steersman.loop.volumes import waits_for_consumer
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import Code, Happening, Hint, Reasons, always
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.placing import Placing, plan_of
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Group, Terms
from steersman.scheduler.surroundings import Surroundings
from steersman.scheduler.volumes import Plan, Question, is_own_claim


class Finding:
    """What all rows say to one question; pods that come and go do not change it."""

    def __init__(self, question: Question, placing: Placing) -> None:
        self.conflict, self.missing = question.conflict, question.missing
        self.unreached, self.lacking = placing.unreached, placing.lacking

    def move(self, row: int, group: Group, terms: Terms, sign: int) -> None:
        """Volumes are not pods."""


class VolumeBinding:
    name = "VolumeBinding"

    def question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> Question | None:
        return around.volumes.question(pod)

    def survey(self, question: Question, pod: PodInfo, table: NodeTable, around: Surroundings) -> Finding:
        return Finding(question, Placing(question, around.volumes, table))

    def conflict_of(self, survey: Finding) -> str:
        return survey.conflict

    def filter(self, needs: Finding, table: NodeTable, rows: Rows) -> Ints:
        refused = needs.unreached[rows] | needs.lacking[rows] | bool(needs.conflict) | needs.missing
        return refused * np.int64(Code.UNRESOLVABLE)

    def reasons(self, needs: Finding, table: NodeTable, rows: Ints) -> Reasons:
        if needs.missing:
            return Reasons({"node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)": len(rows)})
        return Reasons(
            {
                "node(s) didn't match PersistentVolume's node affinity": int(np.count_nonzero(needs.unreached[rows])),
                "node(s) didn't find available persistent volumes to bind": int(np.count_nonzero(needs.lacking[rows])),
            }
        )

    def plan(self, pod: PodInfo, node: str, table: NodeTable, around: Surroundings) -> Plan | None:
        return plan_of(around.volumes, pod, node, table)

    def hints(self) -> Mapping[Happening, Hint]:
        return {
            Happening.NODE_ADD: always,
            Happening.NODE_LABEL: always,
            Happening.CLAIM: lambda pod, event: is_own_claim(pod, event.new),
            Happening.VOLUME: always,
            Happening.STORAGE_CLASS: lambda _, event: waits_for_consumer(event.new),
        }
