"""An autoscaler's turn, every 15 s: scale and metrics are read live, the target is scaled, the status says why.

    reconcile ─▶ the target's Scale ─▶ PodMetrics of its pods ─▶ evaluate, limit ─▶ update the Scale ─▶ status, events

A changed spec gets its turn at once; the autoscaler's own status updates, and failures, do not bring the next one forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from steersman.api.resources import HORIZONTAL_POD_AUTOSCALERS, POD_METRICS, PODS
from steersman.controllers.horizontalpodautoscaler import metrics
from steersman.controllers.horizontalpodautoscaler.behavior import Limits
from steersman.controllers.horizontalpodautoscaler.memory import Memory
from steersman.controllers.horizontalpodautoscaler.metrics import Answer
from steersman.controllers.horizontalpodautoscaler.replicas import Calculator, Tolerances
from steersman.controllers.horizontalpodautoscaler.turn import SYNC_S, Turn
from steersman.loop.spec import Decision, Fetch, FetchList, Result, Snapshot, Update
from steersman.machinery import labeltext, quantity
from steersman.machinery.gvk import Resource, split_api_version
from steersman.machinery.labels import Selector
from steersman.machinery.meta import Key, Obj, dig, is_deleting, name_of, namespace_of, uid_of

_TOLERANCE = 0.1
_NO_SCALE = "the HPA controller was unable to get the target's current scale: "


class Autoscaler:
    """Remembers, of every autoscaler, what it recommended and did, and which pods it scales."""

    def __init__(self) -> None:
        self._memories: dict[Key, Memory] = {}
        self._selectors: dict[Key, Selector] = {}

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        hpa = snapshot.get(HORIZONTAL_POD_AUTOSCALERS, *key)
        if hpa is None or is_deleting(hpa):
            self._memories.pop(key, None)
            self._selectors.pop(key, None)
            return Decision()
        memory = self._memories.get(key)
        generation = hpa["metadata"].get("generation", 0)
        if memory is None or memory.uid != uid_of(hpa):
            memory = self._memories[key] = Memory(uid_of(hpa), generation, now)
        if now < memory.due and generation == memory.generation:
            return Decision(again_after_s=(memory.due - now).total_seconds())
        memory.generation, memory.due = generation, now + timedelta(seconds=SYNC_S)
        turn = Turn(hpa, memory, now)
        ref = turn.spec["scaleTargetRef"]
        group, kind = split_api_version(ref.get("apiVersion", ""))[0], ref["kind"]
        turn.target = next((item for item in snapshot.resources() if (item.group, item.kind) == (group, kind)), None)
        if turn.target is None:
            return _without_scale(turn, f'no matches for kind "{kind}" in group "{group}"')
        fetch = Fetch(turn.target, key[0], ref["name"], "scale")
        return Decision((fetch,), then=partial(self._with_scale, snapshot, turn))

    def _with_scale(self, snapshot: Snapshot, turn: Turn, results: Sequence[Result]) -> Decision:
        scale = results[0].obj
        if scale is None:
            return _without_scale(turn, str(results[0].error))
        turn.scale = scale
        turn.tell("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        current, spec = turn.current, turn.spec
        minimum, maximum = int(spec.get("minReplicas", 1)), int(spec["maxReplicas"])
        if not turn.memory.recommendations:
            turn.memory.recommend(turn.now, current)
        if current == 0 and minimum != 0:
            turn.inactive("ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
            return turn.end(current, 0, None)
        if current > maximum:
            return _rescale(turn, maximum, "Current number of replicas above Spec.MaxReplicas", None)
        if current < minimum:
            return _rescale(turn, minimum, "Current number of replicas below Spec.MinReplicas", None)
        return self._ask(snapshot, turn)

    def _ask(self, snapshot: Snapshot, turn: Turn) -> Decision:
        """For the metrics of the pods that the target's Scale selects."""
        text = dig(turn.scale, "status", "selector", default="")
        if not text:
            turn.event("Warning", "SelectorRequired", "selector is required")
            turn.inactive("InvalidSelector", "the HPA target's scale is missing a selector")
            return _uncomputed(turn, "selector is required", None)
        try:
            selector = labeltext.parse(text)
        except ValueError as error:
            why = f"couldn't convert selector into a corresponding internal selector object: {error}"
            return _refused(turn, "InvalidSelector", why)
        namespace = namespace_of(turn.hpa)
        pods = snapshot.list(PODS, namespace, selector)
        rivals = self._rivals((namespace, name_of(turn.hpa)), selector, pods)
        if len(rivals) > 1:
            shown = " ".join(f"{{{name} {where}}}" for where, name in rivals)
            return _refused(turn, "AmbiguousSelector", f"pods by selector {selector} are controlled by multiple HPAs: [{shown}]")
        if not metrics.needs_answer(_metrics_of(turn)):
            return _evaluated(turn, pods, Answer())
        wanted = FetchList(POD_METRICS, namespace, str(selector))
        return Decision((wanted,), then=lambda results: _evaluated(turn, pods, _answer(results[0])))

    def _rivals(self, key: Key, selector: Selector, pods: Sequence[Obj]) -> list[Key]:
        """All autoscalers that scale one of these pods, this one among them."""
        self._selectors[key] = selector
        near = [(other, chosen) for other, chosen in self._selectors.items() if other[0] == key[0]]
        return sorted(
            other
            for other, chosen in near
            if any(chosen.matches((pod.get("metadata") or {}).get("labels") or {}) for pod in pods)
        )


def _metrics_of(turn: Turn) -> list[Obj]:
    found: list[Obj] = turn.spec.get("metrics") or []
    return found


def _answer(result: Result) -> Answer:
    return Answer(error=result.error) if result.obj is None else Answer(result.obj.get("items") or ())


def _without_scale(turn: Turn, why: str) -> Decision:
    turn.event("Warning", "FailedGetScale", why)
    turn.tell("AbleToScale", "False", "FailedGetScale", _NO_SCALE + why)
    old = turn.hpa.get("status") or {}
    return turn.end(old.get("currentReplicas", 0), old.get("desiredReplicas", 0), old.get("currentMetrics"))


def _refused(turn: Turn, reason: str, why: str) -> Decision:
    turn.event("Warning", reason, why)
    turn.inactive(reason, why)
    return _uncomputed(turn, why, None)


def _uncomputed(turn: Turn, why: str, statuses: list[Obj] | None) -> Decision:
    """Nothing is done; what was desired stays so."""
    turn.event("Warning", "FailedComputeMetricsReplicas", why)
    return turn.end(turn.current, dig(turn.hpa, "status", "desiredReplicas", default=0), statuses)


def _evaluated(turn: Turn, pods: Sequence[Obj], answer: Answer) -> Decision:
    behavior, current = turn.spec.get("behavior"), turn.current
    tolerances = Tolerances(_tolerance(behavior, "scaleUp"), _tolerance(behavior, "scaleDown"))
    calculator = Calculator(pods, current, tolerances, turn.now)
    found = metrics.evaluate(_metrics_of(turn), calculator, answer, namespace_of(turn.hpa))
    for failure in found.failures:
        turn.event("Warning", failure.reason, failure.event)
    if found.replicas is None:
        first = found.failures[0]
        turn.inactive(first.reason, f"the HPA was unable to compute the replica count: {first.event}")
        return _uncomputed(turn, found.error, found.statuses)
    valid = f"the HPA was able to successfully calculate a replica count from {found.metric}"
    turn.tell("ScalingActive", "True", "ValidMetricFound", valid)
    limits = Limits(int(turn.spec.get("minReplicas", 1)), int(turn.spec["maxReplicas"]), current, turn.memory, turn.now)
    limited = limits.apply(found.replicas, behavior)
    turn.tell("AbleToScale", "True", *limited.able)
    turn.tell("ScalingLimited", "True" if limited.limited else "False", *limited.limit)
    if limited.replicas == current:
        return turn.end(current, current, found.statuses)
    # As upstream, the reason is that of the metrics, whatever windows and limits made of it.
    reason = "All metrics below target"
    if found.replicas > current:
        reason = f"{found.metric} above target"
    elif found.replicas == current:
        reason = ""
    return _rescale(turn, limited.replicas, reason, found.statuses)


def _tolerance(behavior: Obj | None, direction: str) -> float:
    given = dig(behavior, direction, "tolerance")
    return _TOLERANCE if given is None else quantity.parse(given).nano / 1e9


def _rescale(turn: Turn, desired: int, reason: str, statuses: list[Obj] | None) -> Decision:
    current = turn.current
    assert isinstance(turn.target, Resource)
    scale = {**turn.scale, "spec": {**(turn.scale.get("spec") or {}), "replicas": desired}}

    def updated(results: Sequence[Result]) -> Decision:
        error = results[0].error
        if error is not None:
            turn.event("Warning", "FailedRescale", f"New size: {desired}; reason: {reason}; error: {error}")
            why = f"the HPA controller was unable to update the target scale: {error}"
            turn.tell("AbleToScale", "False", "FailedUpdateScale", why)
            return turn.end(current, dig(turn.hpa, "status", "desiredReplicas", default=0), statuses)
        done = f"the HPA controller was able to update the target scale to {desired}"
        turn.tell("AbleToScale", "True", "SucceededRescale", done)
        turn.event("Normal", "SuccessfulRescale", f"New size: {desired}; reason: {reason}")
        if turn.spec.get("behavior") is not None:
            turn.memory.changed(turn.now, current, desired)
        return turn.end(current, desired, statuses, rescaled=True)

    return Decision((Update(turn.target, scale, "scale"),), then=updated)
