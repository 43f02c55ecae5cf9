"""Which step comes next: what to create, repair and delete, and what to wait for. No actions, only pods and ordinals.

With OrderedReady a turn takes one step and stops at the first thing to wait for; Parallel takes them all at once, except for
updates, which always go one by one. Source: upstream stateful_set_control.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from steersman.controllers.statefulset.identity import ordinal_of, ordinals, revision_of
from steersman.loop.pods import is_finished, is_ready, phase_of, seconds_to_available
from steersman.machinery.meta import Obj, dig, is_deleting, name_of


@dataclass(frozen=True, slots=True)
class Turn:
    """A set and its pods, by ordinal. `waits_for_claims`: a pod of that ordinal can't be made now."""

    owner: Obj
    pods: Mapping[int, Obj]
    current: str
    updated: str
    now: datetime
    waits_for_claims: Callable[[int], bool] = lambda _: False

    @property
    def min_ready_s(self) -> int:
        return int(dig(self.owner, "spec", "minReadySeconds", default=0))

    @property
    def ordered(self) -> bool:
        return bool(dig(self.owner, "spec", "podManagementPolicy", default="OrderedReady") != "Parallel")

    def is_healthy(self, pod: Obj | None) -> bool:
        return pod is not None and _runs(pod) and not is_deleting(pod)

    def is_available(self, pod: Obj) -> bool:
        return _runs(pod) and seconds_to_available(pod, self.min_ready_s, self.now) == 0.0


@dataclass(slots=True)
class Plan:
    create: list[int] = field(default_factory=list)
    delete: list[Obj] = field(default_factory=list)
    recreate: list[Obj] = field(default_factory=list)
    """Finished pods, deleted so that the next turn makes them anew."""
    attend: list[Obj] = field(default_factory=list)
    """Pods whose identity and claims are to be as they should."""


def _runs(pod: Obj) -> bool:
    return phase_of(pod) == "Running" and is_ready(pod)


def next_steps(turn: Turn) -> Plan:
    plan = Plan()
    if _complete(turn, plan) and _shrink(turn, plan):
        _update(turn, plan)
    return plan


def revision_for(turn: Turn, ordinal: int) -> str:
    """A pod below the partition is made as it was before the update."""
    strategy = dig(turn.owner, "spec", "updateStrategy", default={})
    if strategy.get("type") != "RollingUpdate":
        return turn.updated
    rolling = strategy.get("rollingUpdate")
    kept = dig(turn.owner, "status", "currentReplicas", default=0) if rolling is None else rolling.get("partition", 0)
    return turn.current if ordinal < ordinals(turn.owner).start + int(kept) else turn.updated


def _complete(turn: Turn, plan: Plan) -> bool:
    """Every wanted ordinal has its pod. False: nothing after this may happen yet."""
    go_on = True
    for ordinal in ordinals(turn.owner):
        pod = turn.pods.get(ordinal)
        if pod is None:
            if turn.waits_for_claims(ordinal):
                go_on = False
            else:
                plan.create.append(ordinal)
            if turn.ordered:
                return False
            continue
        if is_finished(pod):
            if not is_deleting(pod):
                plan.recreate.append(pod)
            if turn.ordered:
                return False
            go_on = False
            continue
        plan.attend.append(pod)
        if turn.ordered and (is_deleting(pod) or not turn.is_available(pod)):
            return False
    return go_on


def _shrink(turn: Turn, plan: Plan) -> bool:
    """Ordinals that are not wanted any more go, the highest first. False: wait before updating."""
    wanted = ordinals(turn.owner)
    surplus = sorted((ordinal for ordinal in turn.pods if ordinal not in wanted), reverse=True)
    plan.attend += [turn.pods[ordinal] for ordinal in surplus]
    unhealthy = [ordinal for ordinal in (*wanted, *reversed(surplus)) if not turn.is_healthy(turn.pods.get(ordinal))]
    for ordinal in surplus:
        pod = turn.pods[ordinal]
        if is_deleting(pod):
            if turn.ordered:
                return False
            continue
        if turn.ordered and not turn.is_available(pod) and unhealthy[:1] != [ordinal]:
            return False
        plan.delete.append(pod)
        if turn.ordered:
            return False
    return True


def _update(turn: Turn, plan: Plan) -> None:
    """From the highest ordinal down: the first outdated pod goes; one that isn't healthy is waited for."""
    strategy = dig(turn.owner, "spec", "updateStrategy", default={})
    if strategy.get("type") != "RollingUpdate":
        return
    wanted = ordinals(turn.owner)
    partition = int(dig(strategy, "rollingUpdate", "partition", default=0))
    for ordinal in reversed(range(wanted.start + partition, wanted.stop)):
        pod = turn.pods.get(ordinal)
        if pod is not None and revision_of(pod) != turn.updated and not is_deleting(pod):
            plan.delete.append(pod)
            return
        if pod is None or not turn.is_healthy(pod) or not turn.is_available(pod):
            return


def by_ordinal(pods: list[Obj]) -> dict[int, Obj]:
    return {ordinal_of(name_of(pod))[1]: pod for pod in pods}
