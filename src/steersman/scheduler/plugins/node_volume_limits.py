"""NodeVolumeLimits: a node holds as many volumes of a CSI driver as its CSINode says, however many pods share one.

Of claims without a volume yet one of their class's driver counts. Upstream also counts volumes that are attached and in no pod's
use any more; those are not looked at here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from steersman.loop.volumes import claim_names
from steersman.scheduler.columns import Bools, Ints, Rows
from steersman.scheduler.framework import Code, Event, Happening, Hint, Reasons, always
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Group, Terms
from steersman.scheduler.surroundings import Surroundings
from steersman.scheduler.volumes import CsiVolume, is_own_claim


class Room:
    """Which rows have no room left for a pod's volumes."""

    def __init__(self, wanted: frozenset[CsiVolume], table: NodeTable, around: Surroundings) -> None:
        self._wanted, self._table, self._volumes = wanted, table, around.volumes
        self.full: Bools = np.zeros(table.count, np.bool_)
        for name in around.volumes.limits:
            if (row := table.row(name)) is not None:
                self.full[row] = self._is_full(row)

    def move(self, row: int, group: Group, terms: Terms, sign: int) -> None:
        self.full[row] = self._is_full(row)

    def _is_full(self, row: int) -> bool:
        limits = self._volumes.limits.get(self._table.name(row)) or {}
        drivers = {driver for driver, _ in self._wanted if driver in limits}
        if not drivers:
            return False
        held: set[CsiVolume] = set()
        for pod in self._table.pods_on(row).values():
            held |= self._volumes.of_csi(pod)
        for driver in drivers:
            new = {each for each in self._wanted - held if each[0] == driver}
            if new and len(new) + sum(each[0] == driver for each in held) > limits[driver]:
                return True
        return False


class NodeVolumeLimits:
    name = "NodeVolumeLimits"

    def question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> frozenset[CsiVolume] | None:
        return around.volumes.of_csi(pod) or None if around.volumes.limits else None

    def survey(self, question: frozenset[CsiVolume], pod: PodInfo, table: NodeTable, around: Surroundings) -> Room:
        return Room(question, table, around)

    def filter(self, needs: Room, table: NodeTable, rows: Rows) -> Ints:
        return needs.full[rows] * np.int64(Code.UNSCHEDULABLE)

    def reasons(self, needs: Room, table: NodeTable, rows: Ints) -> Reasons:
        return Reasons({"node(s) exceed max volume count": len(rows)})

    def hints(self) -> Mapping[Happening, Hint]:
        return {
            Happening.NODE_ADD: always,
            Happening.CSI_NODE: always,
            Happening.ASSIGNED_POD_DELETE: _had_claims,
            Happening.CLAIM: lambda pod, event: is_own_claim(pod, event.new),
        }


def _had_claims(pod: PodInfo, event: Event) -> bool:
    return event.old is not None and any(True for _ in claim_names(event.old))
