"""The node lifecycle controller: nodes whose kubelet has fallen silent, and the taints that say how nodes are.

health.py judges silence, taints.py maps conditions to taints, zones.py limits how fast nodes are given up, monitor.py
puts it together. What taints do to pods is the taint eviction controller's. Source: upstream pkg/controller/nodelifecycle.
"""

from __future__ import annotations

from datetime import timedelta

from steersman.api.resources import LEASES, NODES, PODS
from steersman.controllers.nodelifecycle.health import GRACE
from steersman.controllers.nodelifecycle.monitor import Monitor
from steersman.loop.pods import BY_NODE
from steersman.loop.spec import ControllerSpec, Watch
from steersman.machinery.meta import name_of

PERIOD_S = 5.0


def spec(grace: timedelta = GRACE) -> ControllerSpec:
    """`grace`: how long a node may be silent (--node-monitor-grace-period)."""
    return ControllerSpec(
        name="node-lifecycle-controller",
        reports_as="node-controller",
        watches=(Watch(NODES, keys=lambda obj: (("", name_of(obj)),)), Watch(LEASES), Watch(PODS, indexes=BY_NODE)),
        reconcile=Monitor(grace).reconcile,
        workers=1,
        every_s=PERIOD_S,
        periodic=lambda snapshot: [("", name_of(node)) for node in snapshot.list(NODES)],
    )
