"""NodeUnschedulable: cordoned nodes take only pods that tolerate `node.kubernetes.io/unschedulable:NoSchedule`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from steersman.machinery.meta import dig, uid_of
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import Code, Event, Happening, Hint, Reasons
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.tolerations import UNSCHEDULABLE_TAINT, tolerated


class NodeUnschedulable:
    name = "NodeUnschedulable"
    uses_pods = False

    def prepare(self, pod: PodInfo) -> bool | None:
        return None if tolerated(pod.spec.get("tolerations") or (), UNSCHEDULABLE_TAINT) else True

    def filter(self, needs: bool, table: NodeTable, rows: Rows) -> Ints:
        return table.unschedulable(rows) * np.int64(Code.UNRESOLVABLE)

    def reasons(self, needs: bool, table: NodeTable, rows: Ints) -> Reasons:
        return Reasons({"node(s) were unschedulable": len(rows)})

    def hints(self) -> Mapping[Happening, Hint]:
        return {
            Happening.NODE_ADD: _became_schedulable,
            Happening.NODE_TAINT: _became_schedulable,
            Happening.POD_TOLERATION: _now_tolerates,
        }


def _became_schedulable(pod: PodInfo, event: Event) -> bool:
    was = event.old is None or bool(dig(event.old, "spec", "unschedulable"))
    return was and not dig(event.new, "spec", "unschedulable")


def _now_tolerates(pod: PodInfo, event: Event) -> bool:
    if event.new is None or uid_of(event.new) != pod.uid:
        return False
    return tolerated(dig(event.new, "spec", "tolerations", default=()), UNSCHEDULABLE_TAINT)
