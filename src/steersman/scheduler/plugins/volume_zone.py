"""VolumeZone: volumes that carry labels of a zone or region are reached from nodes there. Newer volumes have node affinity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from steersman.loop.volumes import waits_for_consumer
from steersman.machinery.meta import labels_of
from steersman.scheduler.columns import ALL, Bools, Ints, Rows
from steersman.scheduler.framework import Code, Happening, Hint, Reasons, always
from steersman.scheduler.nodeselector import term_matches_rows
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Group, Terms
from steersman.scheduler.surroundings import Surroundings
from steersman.scheduler.volumes import is_own_claim

_KEYS = (
    "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
)  # fmt: skip
_JOINED_BY = "__"

Wanted = tuple[tuple[str, str], ...]
"""Label and value, several values joined with `__`."""


class Zones:
    """Which rows are in the zones of a pod's volumes."""

    def __init__(self, wanted: Wanted, table: NodeTable) -> None:
        self.fits: Bools = np.ones(table.count, np.bool_)
        for key, joined in wanted:
            inside = {"key": key, "operator": "In", "values": joined.split(_JOINED_BY)}
            self.fits &= term_matches_rows({"matchExpressions": [inside]}, table, ALL)
        # A node without any such label is in no zone, as in a cluster that has none.
        absent = [{"key": key, "operator": "DoesNotExist"} for key in _KEYS]
        self.fits |= term_matches_rows({"matchExpressions": absent}, table, ALL)

    def move(self, row: int, group: Group, terms: Terms, sign: int) -> None:
        """Volumes are not pods."""


class VolumeZone:
    name = "VolumeZone"

    def question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> Wanted | None:
        question = around.volumes.question(pod)
        if question is None:
            return None
        volumes = [found for name in question.bound if (found := around.volumes.volumes.get(name)) is not None]
        wanted = [(key, labels_of(volume)[key]) for volume in volumes for key in _KEYS if key in labels_of(volume)]
        return tuple(wanted) or None

    def survey(self, question: Wanted, pod: PodInfo, table: NodeTable, around: Surroundings) -> Zones:
        return Zones(question, table)

    def filter(self, needs: Zones, table: NodeTable, rows: Rows) -> Ints:
        return ~needs.fits[rows] * np.int64(Code.UNRESOLVABLE)

    def reasons(self, needs: Zones, table: NodeTable, rows: Ints) -> Reasons:
        return Reasons({"node(s) had no available volume zone": len(rows)})

    def hints(self) -> Mapping[Happening, Hint]:
        return {
            Happening.NODE_ADD: always,
            Happening.NODE_LABEL: always,
            Happening.CLAIM: lambda pod, event: is_own_claim(pod, event.new),
            Happening.VOLUME: always,
            Happening.STORAGE_CLASS: lambda _, event: waits_for_consumer(event.new),
        }
