"""NodeName: a pod that names its node fits no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import Code, Happening, Hint, Reason, always
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo


class NodeName:
    name = "NodeName"
    uses_pods = False

    def prepare(self, pod: PodInfo) -> str | None:
        return pod.spec.get("nodeName") or None

    def filter(self, needs: str, table: NodeTable, rows: Rows) -> Ints:
        bits = np.ones(table.count, np.int64)
        if (row := table.row(needs)) is not None:
            bits[row] = 0
        return bits[rows]

    def reasons(self, needs: str) -> Sequence[Reason]:
        return (Reason("node(s) didn't match the requested node name", Code.UNRESOLVABLE),)

    def hints(self) -> Mapping[Happening, Hint]:
        return {Happening.NODE_ADD: always}
