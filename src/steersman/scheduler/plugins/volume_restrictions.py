"""VolumeRestrictions: a claim of access mode ReadWriteOncePod serves one pod of the whole cluster, wherever that is.

Upstream's checks of volume sources inside of pods (GCE, AWS, iSCSI, RBD) are not here: those are not served.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from steersman.loop.volumes import claim_names
from steersman.machinery.meta import dig
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import Code, Event, Happening, Hint, Reasons
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Group, Terms
from steersman.scheduler.surroundings import Surroundings
from steersman.scheduler.volumes import is_own_claim

_MODE = "ReadWriteOncePod"


class Users:
    """How many pods of each row have one of the claims."""

    def __init__(self, namespace: str, claims: frozenset[str], table: NodeTable) -> None:
        self._namespace, self._claims, self._table = namespace, claims, table
        self._of_row = {row: count for row in range(table.count) if (count := self._count(row))}

    def move(self, row: int, group: Group, terms: Terms, sign: int) -> None:
        self._of_row[row] = self._count(row)

    def _count(self, row: int) -> int:
        return sum(
            pod.group.namespace == self._namespace and not self._claims.isdisjoint(claim_names(pod.obj))
            for pod in self._table.pods_on(row).values()
        )

    @property
    def any(self) -> bool:
        return any(self._of_row.values())


class VolumeRestrictions:
    name = "VolumeRestrictions"

    def question(self, pod: PodInfo, table: NodeTable, around: Surroundings) -> frozenset[str] | None:
        namespace, claims = pod.group.namespace, around.volumes.claims
        return frozenset(
            name
            for name in claim_names(pod.obj)
            if _MODE in dig(claims.get((namespace, name)) or {}, "spec", "accessModes", default=())
        ) or None  # fmt: skip

    def survey(self, question: frozenset[str], pod: PodInfo, table: NodeTable, around: Surroundings) -> Users:
        return Users(pod.group.namespace, question, table)

    def filter(self, needs: Users, table: NodeTable, rows: Rows) -> Ints:
        return np.full(table.count, needs.any, np.int64)[rows] * np.int64(Code.UNSCHEDULABLE)

    def reasons(self, needs: Users, table: NodeTable, rows: Ints) -> Reasons:
        return Reasons({f"node has pod using PersistentVolumeClaim with the same name and {_MODE} access mode": len(rows)})

    def hints(self) -> Mapping[Happening, Hint]:
        return {
            Happening.ASSIGNED_POD_DELETE: _had_one_of_its_claims,
            Happening.CLAIM: lambda pod, event: is_own_claim(pod, event.new),
        }


def _had_one_of_its_claims(pod: PodInfo, event: Event) -> bool:
    gone, wanted = event.old or {}, set(claim_names(pod.obj))
    return dig(gone, "metadata", "namespace") == pod.group.namespace and not wanted.isdisjoint(claim_names(gone))
