"""One turn of one autoscaler: what is known so far, the conditions and events it gathers, the status it ends with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from steersman.api.resources import HORIZONTAL_POD_AUTOSCALERS
from steersman.controllers.horizontalpodautoscaler.memory import Memory
from steersman.loop.spec import Action, Decision, Emit, Update
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, format_time, set_condition

SYNC_S = 15.0


@dataclass(slots=True)
class Turn:
    """`target` serves the kind that is scaled; `scale` is its Scale, read live."""

    hpa: Obj
    memory: Memory
    now: datetime
    target: Resource | None = None
    scale: Obj = field(default_factory=dict)
    conditions: list[Obj] = field(default_factory=list)
    events: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.conditions = [dict(item) for item in dig(self.hpa, "status", "conditions", default=())]

    @property
    def spec(self) -> Obj:
        found: Obj = self.hpa["spec"]
        return found

    @property
    def current(self) -> int:
        return int(dig(self.scale, "spec", "replicas", default=0))

    def tell(self, kind: str, status: str, reason: str, message: str) -> None:
        set_condition(self.conditions, kind, status, self.now, reason=reason, message=message)

    def event(self, type_: str, reason: str, message: str) -> None:
        self.events.append(Emit(self.hpa, type_, reason, message))

    def inactive(self, reason: str, message: str) -> None:
        self.tell("ScalingActive", "False", reason, message)

    def end(self, current: int, desired: int, metrics: list[Obj] | None, *, rescaled: bool = False) -> Decision:
        """The events, and the status if it has changed. `metrics`: None where none were looked at."""
        old = self.hpa.get("status") or {}
        new: Obj = {"desiredReplicas": desired, "conditions": self.conditions}
        if current:
            new["currentReplicas"] = current
        if metrics:
            new["currentMetrics"] = metrics
        if rescaled:
            new["lastScaleTime"] = format_time(self.now)
        elif old.get("lastScaleTime"):
            new["lastScaleTime"] = old["lastScaleTime"]
        actions: list[Action] = [*self.events]
        if {key: old[key] for key in old if key != "observedGeneration"} != new:
            actions.append(Update(HORIZONTAL_POD_AUTOSCALERS, {**self.hpa, "status": new}, "status"))
        return Decision(actions, again_after_s=SYNC_S)
