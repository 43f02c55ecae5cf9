"""NodeName: a pod that names its node fits no other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import Code, Happening, Hint, Reasons, always
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo


class NodeName:
    name = "NodeName"
    uses_pods = False

    def prepare(self, pod: PodInfo) -> str | None:
        return pod.spec.get("nodeName") or None

    def filter(self, needs: str, table: NodeTable, rows: Rows) -> Ints:
        codes: Ints = np.full(table.count, Code.UNRESOLVABLE, np.int64)
        if (row := table.row(needs)) is not None:
            codes[row] = Code.FITS
        return codes[rows]

    def reasons(self, needs: str, table: NodeTable, rows: Ints) -> Reasons:
        return Reasons({"node(s) didn't match the requested node name": len(rows)})

    def hints(self) -> Mapping[Happening, Hint]:
        return {Happening.NODE_ADD: always}
