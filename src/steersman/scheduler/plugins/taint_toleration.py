"""TaintToleration: nodes whose NoSchedule and NoExecute taints are all tolerated; fewer PreferNoSchedule ones are better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from steersman.machinery.meta import Obj, dig, uid_of
from steersman.scheduler.columns import Ints, Rows
from steersman.scheduler.framework import Code, Event, Happening, Hint, Normalize, Reasons
from steersman.scheduler.nodetable import NodeTable, Taint, taints_of
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.tolerations import PREFER_NO_SCHEDULE, repelled, tolerated

Tolerations = Sequence[Obj]


class TaintToleration:
    name = "TaintToleration"
    weight = 3
    normalize = Normalize.REVERSED
    uses_pods = False

    def prepare(self, pod: PodInfo) -> Tolerations:
        return tuple(pod.spec.get("tolerations") or ())

    def filter(self, needs: Tolerations, table: NodeTable, rows: Rows) -> Ints:
        verdicts = [Code.UNRESOLVABLE * repelled(needs, _taints(taints)) for taints in table.taint_sets.values]
        return np.array(verdicts, np.int64)[table.taint_code(rows)]

    def reasons(self, needs: Tolerations, table: NodeTable, rows: Ints) -> Reasons:
        return Reasons({"node(s) had untolerated taint(s)": len(rows)})

    def prepare_score(self, pod: PodInfo) -> Tolerations:
        # Only these can be meant for a preference.
        return tuple(item for item in pod.spec.get("tolerations") or () if item.get("effect") in (None, "", PREFER_NO_SCHEDULE))

    def score(self, needs: Tolerations, table: NodeTable, rows: Rows) -> Ints:
        counts = [
            sum(taint.effect == PREFER_NO_SCHEDULE and not tolerated(needs, taint) for taint in _taints(taints))
            for taints in table.taint_sets.values
        ]
        return np.array(counts, np.int64)[table.taint_code(rows)]

    def hints(self) -> Mapping[Happening, Hint]:
        return {
            Happening.NODE_ADD: _node_is_open,
            Happening.NODE_TAINT: _node_became_open,
            Happening.POD_TOLERATION: _is_this_pod,
        }


def _taints(code: object) -> tuple[Taint, ...]:
    assert isinstance(code, tuple)
    return code


def _open(pod: PodInfo, node: Obj | None) -> bool:
    return node is not None and not repelled(pod.spec.get("tolerations") or (), taints_of(node))


def _node_is_open(pod: PodInfo, event: Event) -> bool:
    return _open(pod, event.new)


def _node_became_open(pod: PodInfo, event: Event) -> bool:
    return _open(pod, event.new) and not _open(pod, event.old)


def _is_this_pod(pod: PodInfo, event: Event) -> bool:
    return dig(event.new, "metadata", "uid") is not None and uid_of(event.new or {}) == pod.uid
