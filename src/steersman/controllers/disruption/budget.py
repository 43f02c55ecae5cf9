"""One turn of a PodDisruptionBudget: healthy against desired, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from steersman.api.resources import POD_DISRUPTION_BUDGETS, PODS
from steersman.controllers.disruption import scale
from steersman.loop import claims
from steersman.loop.amounts import int_or_percent
from steersman.loop.pods import is_ready
from steersman.loop.spec import Action, Decision, Emit, Snapshot, Update
from steersman.machinery.meta import (
    Key,
    Obj,
    condition,
    dig,
    format_time,
    is_deleting,
    key_of,
    name_of,
    parse_time,
)

DELETION_LIMIT = timedelta(minutes=2)
"""How long an evicted pod may be without a deletion before it counts as staying."""
CONDITION = "DisruptionAllowed"


@dataclass(frozen=True, slots=True)
class _Wanted:
    expected: int
    healthy: int
    unmanaged: Sequence[Obj] = ()


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    budget = snapshot.get(POD_DISRUPTION_BUDGETS, *key)
    if budget is None:
        return Decision()
    selector = claims.selector_of(budget)
    pods = snapshot.list(PODS, key[0], selector)
    events: list[Action] = []
    if not pods:
        events.append(Emit(budget, "Normal", "NoPods", "No matching pods found"))
    try:
        wanted = _wanted(snapshot, budget, pods)
    except LookupError as error:
        text = f"Failed to calculate the number of expected pods: {error}"
        failed = _without_allowance(budget, str(error), now)
        return Decision([*events, Emit(budget, "Warning", "CalculateExpectedPodCountFailed", text), *_write(budget, failed)])
    if wanted.unmanaged:
        text = (
            f"Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the "
            "status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these "
            'pods please set ".spec.minAvailable" field of the PDB to an integer value.'
        )
        events.append(Emit(budget, "Warning", "UnmanagedPods", text))
    disrupted = _disrupted(budget, pods, now)
    noted: Mapping[str, str] = dig(budget, "status", "disruptedPods", default={})
    for pod in pods:
        if name_of(pod) in noted and name_of(pod) not in disrupted and not is_deleting(pod):
            text = f"Pod was expected by PDB {'/'.join(key_of(budget))} to be deleted but it wasn't"
            events.append(Emit(pod, "Warning", "NotDeleted", text))
    healthy = sum(is_ready(pod) and not is_deleting(pod) and name_of(pod) not in disrupted for pod in pods)
    again = [(moment + DELETION_LIMIT - now).total_seconds() for moment in disrupted.values()]
    status = _status(budget, wanted, healthy, disrupted, now)
    return Decision([*events, *_write(budget, status)], again_after_s=min(again, default=None))


def _wanted(snapshot: Snapshot, budget: Obj, pods: Sequence[Obj]) -> _Wanted:
    spec = budget.get("spec") or {}
    most, least = spec.get("maxUnavailable"), spec.get("minAvailable")
    if most is None and isinstance(least, int):
        return _Wanted(len(pods), least)
    if most is None and least is None:
        return _Wanted(0, 0)
    total, unmanaged = scale.expected(snapshot, pods)
    if most is not None:
        return _Wanted(total, max(0, total - int_or_percent(most, total, round_up=True)), unmanaged)
    return _Wanted(total, int_or_percent(least or 0, total, round_up=True), unmanaged)


def _disrupted(budget: Obj, pods: Sequence[Obj], now: datetime) -> dict[str, datetime]:
    """Evicted pods whose deletion is still to be seen."""
    noted: Mapping[str, str] = dig(budget, "status", "disruptedPods", default={})
    found: dict[str, datetime] = {}
    for pod in pods:
        moment = parse_time(noted.get(name_of(pod)))
        if moment is not None and not is_deleting(pod) and moment + DELETION_LIMIT > now:
            found[name_of(pod)] = moment
    return found


def _status(budget: Obj, wanted: _Wanted, healthy: int, disrupted: Mapping[str, datetime], now: datetime) -> Obj:
    allowed = max(0, healthy - wanted.healthy) if wanted.expected > 0 else 0
    status: Obj = {
        "currentHealthy": healthy,
        "desiredHealthy": wanted.healthy,
        "expectedPods": wanted.expected,
        "disruptionsAllowed": allowed,
        "observedGeneration": dig(budget, "metadata", "generation", default=0),
    }
    if disrupted:
        status["disruptedPods"] = {name: format_time(moment) for name, moment in disrupted.items()}
    reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    return {**status, "conditions": _conditions(budget, *reason, "", now)}


def _without_allowance(budget: Obj, why: str, now: datetime) -> Obj:
    """To be safe nothing is allowed while nothing is known."""
    always = dict.fromkeys(("currentHealthy", "desiredHealthy", "expectedPods"), 0)
    status = {**always, **(budget.get("status") or {}), "disruptionsAllowed": 0}
    status["observedGeneration"] = dig(budget, "metadata", "generation", default=0)
    return {**status, "conditions": _conditions(budget, "False", "SyncFailed", why, now)}


def _conditions(budget: Obj, status: str, reason: str, message: str, now: datetime) -> list[Obj]:
    before = condition(budget, CONDITION)
    same = before is not None and before.get("status") == status
    made = {
        "type": CONDITION,
        "status": status,
        "observedGeneration": dig(budget, "metadata", "generation", default=0),
        "lastTransitionTime": before["lastTransitionTime"] if same and before else format_time(now),
        "reason": reason,
        "message": message,
    }
    others = [item for item in dig(budget, "status", "conditions", default=()) if item["type"] != CONDITION]
    return [*others, made]


def _write(budget: Obj, status: Obj) -> list[Action]:
    if status == budget.get("status"):
        return []
    return [Update(POD_DISRUPTION_BUDGETS, {**budget, "status": status}, "status")]
