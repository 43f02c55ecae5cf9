"""The horizontal pod autoscaler: as many replicas as the pods' use of CPU, memory or other resources calls for.

sync.py takes an autoscaler's turn: reads the target's scale and the metrics API, decides, writes scale and status.
metrics.py makes a proposal of each metric with the arithmetic of replicas.py, behavior.py holds the result within limits
of number and speed with the help of memory.py. Source: upstream pkg/controller/podautoscaler.
"""

from __future__ import annotations

from steersman.api.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from steersman.controllers.horizontalpodautoscaler.sync import Autoscaler
from steersman.loop.spec import ControllerSpec, Watch
from steersman.machinery.meta import key_of


def spec() -> ControllerSpec:
    return ControllerSpec(
        name="horizontal-pod-autoscaler-controller",
        reports_as="horizontal-pod-autoscaler",
        watches=(Watch(HORIZONTAL_POD_AUTOSCALERS, keys=lambda obj: (key_of(obj),)), Watch(PODS)),
        reconcile=Autoscaler().reconcile,
        # No more watches: only to know which resource serves the kind that a target names.
        discovered=lambda _: (),
    )
