"""What an autoscaler's metrics call for: a proposal of each, the largest wins.

Resource and container resource metrics are computed from the metrics API. Metrics of pods, objects and outside systems come
from APIs that add-ons serve (custom.metrics.k8s.io, external.metrics.k8s.io); they are answered as where no add-on is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from steersman.api.resources import POD_METRICS
from steersman.controllers.horizontalpodautoscaler.replicas import Calculator, MetricsError, Proposal, Use
from steersman.machinery import duration, quantity
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, dig, name_of, namespace_of, parse_time
from steersman.machinery.quantity import Quantity

_NO_CUSTOM = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
_NO_EXTERNAL = "unable to fetch metrics from external metrics API: the server could not find the requested resource"
_USELESS = "invalid {}resource metric source: neither an average utilization target nor an average value (usage) target was set"
_FIELDS = {"Resource": "resource", "ContainerResource": "containerResource"}


@dataclass(frozen=True, slots=True)
class Failure:
    """`event` is the event's message and the condition's cause, `error` the whole story."""

    reason: str
    event: str
    error: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`replicas` and `metric` are None and empty if nothing may be done. `failures`: one per metric that gave nothing."""

    replicas: int | None
    metric: str
    statuses: list[Obj]
    failures: list[Failure] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The metrics API's answer about a target's pods: PodMetrics, or why there are none."""

    items: Sequence[Obj] = ()
    error: Exception | None = None

    def uses(self, resource: str, container: str = "") -> dict[str, Use]:
        """By pod; pods that lack the resource are left out. Raises MetricsError."""
        if self.error is not None:
            text = str(self.error)
            if isinstance(self.error, NotFound):
                text = f"{text} (get {POD_METRICS.qualified})"
            raise MetricsError(f"unable to fetch metrics from resource metrics API: {text}")
        if not self.items:
            raise MetricsError("no metrics returned from resource metrics API")
        found = {name_of(item): _use(item, resource, container) for item in self.items}
        return {name: use for name, use in found.items() if use is not None}


def _use(item: Obj, resource: str, container: str) -> Use | None:
    parts = [part for part in item["containers"] if not container or part["name"] == container]
    if container and not parts:
        raise MetricsError(f"container {container} not present in metrics for pod {namespace_of(item)}/{name_of(item)}")
    at = parse_time(item.get("timestamp"))
    if at is None or not parts or any(resource not in part["usage"] for part in parts):
        return None
    total = sum(quantity.milli(part["usage"][resource]) for part in parts)
    return Use(total, at, timedelta(seconds=duration.parse_go(item.get("window") or "0")))


def needs_answer(specs: Sequence[Obj]) -> bool:
    return any(spec["type"] in _FIELDS for spec in specs)


def evaluate(specs: Sequence[Obj], calculator: Calculator, answer: Answer, namespace: str) -> Evaluation:
    """Of all metrics in spec.metrics. If some fail, the others may scale up but not down."""
    statuses: list[Obj] = [{"type": ""} for _ in specs]
    failures: list[Failure] = []
    best: tuple[int, str] | None = None
    for place, spec in enumerate(specs):
        made = _METRICS.get(spec["type"], _unknown)(spec, calculator, answer, namespace)
        if isinstance(made, Failure):
            failures.append(made)
            continue
        replicas, name, statuses[place] = made
        if best is None or replicas > best[0]:
            best = replicas, name
    error = ""
    if failures:
        error = f"invalid metrics ({len(failures)} invalid out of {len(specs)}), first error is: {failures[0].error}"
    if best is None or (failures and best[0] < calculator.current):
        return Evaluation(None, "", statuses, failures, error)
    return Evaluation(best[0], best[1], statuses, failures, error)


Made = tuple[int, str, Obj] | Failure
"""Replicas, the metric's name for messages, its status; or why not."""


def _resource(spec: Obj, calculator: Calculator, answer: Answer, _: str) -> Made:
    part = _FIELDS[spec["type"]]
    source: Obj = spec[part]
    resource, container, target = source["name"], source.get("container", ""), source["target"]
    kind = f"{resource} container resource" if container else f"{resource} resource"
    long = "container " if container else ""
    what = "usage"
    try:
        if target.get("averageValue") is not None:
            goal = quantity.milli(target["averageValue"])
            proposal = calculator.by_average(_uses(answer, resource, container), goal, resource)
            return proposal.replicas, kind, _status(spec["type"], part, source, _current(proposal))
        percent = target.get("averageUtilization")
        if percent is None:
            text = _USELESS.format(long)
            return _resource_failure(long, resource, text)
        what = "utilization"
        proposal = calculator.by_utilization(_uses(answer, resource, container), percent, resource, container)
    except MetricsError as error:
        return _resource_failure(long, resource, f"failed to get {resource} {what}: {error}")
    current = {"averageUtilization": proposal.utilization, **_current(proposal)}
    return proposal.replicas, f"{kind} utilization (percentage of request)", _status(spec["type"], part, source, current)


def _resource_failure(long: str, resource: str, text: str) -> Failure:
    reason = "FailedGetContainerResourceMetric" if long else "FailedGetResourceMetric"
    whole = f"failed to get {resource} {long or 'resource '}metric value: {text}"
    return Failure(reason, text, whole)


def _uses(answer: Answer, resource: str, container: str) -> Mapping[str, Use]:
    try:
        return answer.uses(resource, container)
    except MetricsError as error:
        raise MetricsError(f"unable to get metrics for resource {resource}: {error}") from error


def _current(proposal: Proposal) -> Obj:
    return {"averageValue": str(Quantity.of_milli(proposal.average_milli))}


def _status(kind: str, part: str, source: Obj, current: Obj) -> Obj:
    named = {key: source[key] for key in ("container", "name") if key in source}
    return {"type": kind, part: {"current": current, **named}}


def _pods(spec: Obj, _: Calculator, __: Answer, ___: str) -> Made:
    text = f"unable to get metric {spec['pods']['metric']['name']}: {_NO_CUSTOM}"
    return Failure("FailedGetPodsMetric", text, f"failed to get pods metric value: {text}")


def _object(spec: Obj, _: Calculator, __: Answer, namespace: str) -> Made:
    source = spec["object"]
    about = source["describedObject"]
    text = f"unable to get metric {source['metric']['name']}: {about['kind']} on {namespace} {about['name']}/{_NO_CUSTOM}"
    return Failure("FailedGetObjectMetric", text, f"failed to get object metric value: {text}")


def _external(spec: Obj, _: Calculator, __: Answer, namespace: str) -> Made:
    source = spec["external"]
    name = source["metric"]["name"]
    metric = f"{namespace}/{name}/{_go_selector(source['metric'].get('selector'))}"
    cause = f"{_NO_EXTERNAL} (get {name}.external.metrics.k8s.io)"
    text = f"unable to get external metric {metric}: {cause}"
    if dig(source, "target", "averageValue") is not None:
        text = f"failed to get {name} external metric: {text}"
    else:
        text = f"failed to get external metric {name}: {text}"
    return Failure("FailedGetExternalMetric", text, f"failed to get {name} external metric value: {text}")


def _unknown(spec: Obj, _: Calculator, __: Answer, ___: str) -> Made:
    text = f'unknown metric source type "{spec["type"]}"'
    return Failure("InvalidMetricSourceType", text, text)


def _go_selector(selector: Obj | None) -> str:
    """As Go prints a *LabelSelector: upstream's message has it so."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{item['key']},Operator:{item['operator']},Values:[{values}],}},"
        for item in selector.get("matchExpressions") or ()
        for values in (" ".join(item.get("values") or ()),)
    )
    lists = f"MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},"
    return f"&LabelSelector{{{lists}}}"


_METRICS: Mapping[str, Callable[[Obj, Calculator, Answer, str], Made]] = {
    "Resource": _resource,
    "ContainerResource": _resource,
    "Pods": _pods,
    "Object": _object,
    "External": _external,
}
