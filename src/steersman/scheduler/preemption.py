"""Preemption: on which node room can be made for a pod, and which pods of lower priority must go for it. Pure.

Each candidate node is tried out on the live table, pod by pod, and put back as it was. The order of preference among
nodes is upstream's (framework/preemption); disruption budgets are respected where possible. Not here: carrying it out
(evicting.py), whether the pod may preempt at all (plugins/default_preemption.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steersman.machinery.labels import from_label_selector
from steersman.machinery.meta import Obj, dig
from steersman.scheduler.columns import Ints
from steersman.scheduler.framework import Code, Reasons
from steersman.scheduler.nominations import Nominations
from steersman.scheduler.outlook import Outlook, Refusal
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.surroundings import Surroundings

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"

_PRIORITY_SHIFT = 2**31
"""Added to each priority so that fewer victims win over many of negative priority."""

_NOT_STARTED = "~"
"""Sorts after every time: a pod that has not started is the latest."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`node`: what the pod's nomination becomes; empty: none; None: what it was."""

    node: str | None = None
    victims: tuple[PodInfo, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A pod that fits nowhere. `barred`: rows where only nominated pods are in its way. `start`: which row to begin with."""

    outlook: Outlook
    barred: Mapping[int, Refusal]
    nominations: Nominations
    around: Surroundings
    start: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node, and its victims, most important first."""

    row: int
    victims: tuple[PodInfo, ...]
    violations: int


def find(pod: PodInfo, attempt: Attempt, least_percent: int, least: int) -> Decision:
    """The best node and its victims, or why there is none. Looks at no more candidates than asked for (upstream's limits)."""
    outlook = attempt.outlook
    rows = _curable(attempt)
    wanted = min(len(rows), max(len(rows) * least_percent // 100, least))
    reasons = Reasons({NOT_HELPFUL: outlook.table.count - len(rows)})
    candidates: list[Candidate] = []
    for row in np.roll(rows, -int(np.searchsorted(rows, attempt.start))).tolist():
        found = _tried(row, pod, attempt)
        if isinstance(found, Candidate):
            candidates.append(found)
            if len(candidates) >= wanted and any(not item.violations for item in candidates):
                break
        else:
            reasons += found
    if not candidates:
        return Decision(node="", message=told(outlook.table.count, reasons))
    best = min(candidates, key=_cost)
    # Of equal cost, those whose most important victims started latest.
    equals = [item for item in candidates if _cost(item) == _cost(best)]
    chosen = max(equals, key=_earliest_start)
    return Decision(outlook.table.name(chosen.row), chosen.victims)


def told(nodes: int, reasons: Reasons) -> str:
    """FitError's text."""
    listed = sorted(f"{number} {text}" for text, number in reasons.items() if number)
    return f"0/{nodes} nodes are available: {', '.join(listed)}."


def by_importance(pod: PodInfo) -> tuple[int, str]:
    """Sorts the most important first: higher priority, then earlier start."""
    return (-pod.priority, _start(pod))


def _curable(attempt: Attempt) -> Ints:
    """Rows that might fit if pods were removed, in order."""
    outlook = attempt.outlook
    if outlook.conflict is not None:
        return np.zeros(0, np.int64)
    curable = np.zeros(outlook.table.count, np.bool_)
    for place, rows in outlook.refused():
        curable[rows] = outlook.codes[place][rows] == Code.UNSCHEDULABLE
    curable[list(attempt.barred)] = True
    return np.flatnonzero(curable)


def _tried(row: int, pod: PodInfo, attempt: Attempt) -> Candidate | Reasons:
    """What came of trying the row for a pod of this kind and priority, if nothing has changed there since."""
    ahead = [other.uid for other in attempt.nominations.ahead_on(attempt.outlook.table.name(row), pod)]
    mark = (pod.priority, attempt.outlook.stamp(row), attempt.around.budgets_version, ahead)
    known = attempt.outlook.trials.get(row)
    if known is None or known[0] != mark:
        known = attempt.outlook.trials[row] = (mark, _try(row, pod, attempt))
    found: Candidate | Reasons = known[1]
    return found


def _try(row: int, pod: PodInfo, attempt: Attempt) -> Candidate | Reasons:
    """The fewest important pods that must go from a row, or why even without all of them the pod does not fit."""
    outlook, table = attempt.outlook, attempt.outlook.table
    lower = sorted((other for other in table.pods_on(row).values() if other.priority < pod.priority), key=by_importance)
    if not lower:
        return Reasons({NO_VICTIMS: 1})
    ahead = attempt.nominations.ahead_on(table.name(row), pod)
    outlook.suppose(row, lower, -1)
    gone = {other.uid: other for other in lower}
    try:
        if (refusal := _refusal(row, outlook, ahead)) is not None:
            return refusal.reasons
        violations = 0
        breaking, harmless = _by_budget(lower, attempt.around)
        for other in (*breaking, *harmless):
            outlook.suppose(row, [other], 1)
            if _fits(row, outlook, ahead):
                del gone[other.uid]
            else:
                outlook.suppose(row, [other], -1)
                violations += other in breaking
        return Candidate(row, tuple(other for other in lower if other.uid in gone), violations)
    finally:
        outlook.suppose(row, list(gone.values()), 1)


def _refusal(row: int, outlook: Outlook, ahead: Sequence[PodInfo]) -> Refusal | None:
    """Must fit with the pods nominated there, and (for the sake of affinity) without them as well."""
    if ahead:
        outlook.suppose(row, ahead, 1)
        refusal = outlook.refusal(row)
        outlook.suppose(row, ahead, -1)
        if refusal is not None:
            return refusal
    return outlook.refusal(row)


def _fits(row: int, outlook: Outlook, ahead: Sequence[PodInfo]) -> bool:
    if ahead:
        outlook.suppose(row, ahead, 1)
        fits = outlook.would_fit(row)
        outlook.suppose(row, ahead, -1)
        if not fits:
            return False
    return outlook.would_fit(row)


def _by_budget(victims: Sequence[PodInfo], around: Surroundings) -> tuple[list[PodInfo], list[PodInfo]]:
    """Those whose eviction would break a PodDisruptionBudget, taking all of them in order, and the others."""
    left: dict[tuple[str, str], int] = {}
    breaking: list[PodInfo] = []
    harmless: list[PodInfo] = []
    for pod in victims:
        broken = False
        for budget in _covering(pod, around.budgets(pod.group.namespace)):
            key = (pod.group.namespace, budget["metadata"]["name"])
            left[key] = left.get(key, int(dig(budget, "status", "disruptionsAllowed", default=0))) - 1
            broken |= left[key] < 0
        (breaking if broken else harmless).append(pod)
    return breaking, harmless


def _covering(pod: PodInfo, budgets: Sequence[Obj]) -> Iterator[Obj]:
    """Budgets that a pod's eviction counts against. Those already granted an eviction of it are not asked again."""
    for budget in budgets if pod.group.labels else ():
        try:
            selector = from_label_selector(dig(budget, "spec", "selector"))
        except ValueError:
            continue
        if selector.empty or not selector.matches(pod.group.labels):
            continue
        if pod.key[1] not in dig(budget, "status", "disruptedPods", default={}):
            yield budget


def _cost(candidate: Candidate) -> tuple[int, ...]:
    priorities = [victim.priority for victim in candidate.victims]
    total = sum(priority + _PRIORITY_SHIFT for priority in priorities)
    return (candidate.violations, max(priorities, default=-_PRIORITY_SHIFT), total, len(priorities))


def _earliest_start(candidate: Candidate) -> str:
    """Of the victims with the highest priority."""
    highest = max((victim.priority for victim in candidate.victims), default=0)
    return min((_start(victim) for victim in candidate.victims if victim.priority == highest), default=_NOT_STARTED)


def _start(pod: PodInfo) -> str:
    found: str = dig(pod.obj, "status", "startTime", default=_NOT_STARTED)
    return found
