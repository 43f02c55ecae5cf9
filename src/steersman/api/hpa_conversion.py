"""HorizontalPodAutoscalers have two forms: autoscaling/v2, which is stored, and v1. Both directions, on whole objects.

v1 knows the average CPU utilization as a field; everything else it carries as JSON in annotations that v2 never shows. The JSON
of metrics and conditions is that of v1's own types; that of the behaviour has Go's field names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from steersman.machinery.meta import Obj, annotations_of

V1, V2 = "autoscaling/v1", "autoscaling/v2"
_PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, CURRENT_METRICS = f"{_PREFIX}metrics", f"{_PREFIX}current-metrics"
CONDITIONS, BEHAVIOR = f"{_PREFIX}conditions", f"{_PREFIX}behavior"
ANNOTATIONS = (METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR)
_SHARED_SPEC = ("scaleTargetRef", "minReplicas", "maxReplicas")
_SHARED_STATUS = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")


def to_v2(obj: Obj) -> Obj:
    """autoscaling/v1 -> v2. Annotations that cannot be read count for nothing."""
    spec, status, extra = obj.get("spec") or {}, obj.get("status"), annotations_of(obj)
    new: Obj = {key: spec[key] for key in _SHARED_SPEC if key in spec}
    metrics = [_renamed(metric, _SPEC_TO_V2) for metric in _loaded(extra, METRICS, list)]
    if spec.get("targetCPUUtilizationPercentage") is not None:
        target = {"type": "Utilization", "averageUtilization": spec["targetCPUUtilizationPercentage"]}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        new["metrics"] = metrics
    behavior = _loaded(extra, BEHAVIOR, dict)
    if behavior:
        new["behavior"] = _cased(behavior, str.lower)
    found = {**obj, "apiVersion": V2, "metadata": _metadata(obj, {}), "spec": new}
    if status is not None or CURRENT_METRICS in extra or CONDITIONS in extra:
        found["status"] = _status_to_v2(status or {}, extra)
    return found


def from_v2(obj: Obj) -> Obj:
    """autoscaling/v2 -> v1."""
    spec, status = obj.get("spec") or {}, obj.get("status")
    new: Obj = {key: spec[key] for key in _SHARED_SPEC if key in spec}
    extra: dict[str, str] = {}
    metrics = spec.get("metrics") or []
    cpu = next((metric for metric in metrics if _is_cpu_utilization(metric, "target")), None)
    if cpu is not None:
        new["targetCPUUtilizationPercentage"] = cpu["resource"]["target"]["averageUtilization"]
    others = [_renamed(metric, _SPEC_TO_V1) for metric in metrics if not _is_cpu_utilization(metric, "target")]
    if others:
        extra[METRICS] = _dumped(others)
    if spec.get("behavior") is not None:
        extra[BEHAVIOR] = _dumped(_cased(spec["behavior"], str.upper))
    found = {**obj, "apiVersion": V1, "spec": new}
    if status is not None:
        found["status"] = _status_to_v1(status, extra)
    found["metadata"] = _metadata(obj, extra)
    return found


def _metadata(obj: Obj, extra: dict[str, str]) -> Obj:
    """The metadata with these of the annotations that v1 speaks through, and no others of them."""
    meta = {**(obj.get("metadata") or {})}
    kept = {key: value for key, value in annotations_of(obj).items() if key not in ANNOTATIONS} | extra
    if kept:
        meta["annotations"] = kept
    else:
        meta.pop("annotations", None)
    return meta


def _status_to_v2(status: Obj, extra: dict[str, str]) -> Obj:
    new: Obj = {key: status[key] for key in _SHARED_STATUS if key in status}
    metrics = [_renamed(metric, _STATUS_TO_V2) for metric in _loaded(extra, CURRENT_METRICS, list)]
    if not metrics and status.get("currentCPUUtilizationPercentage") is not None:
        current = {"averageUtilization": status["currentCPUUtilizationPercentage"]}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
    if metrics:
        new["currentMetrics"] = metrics
    conditions = _loaded(extra, CONDITIONS, list)
    if conditions:
        new["conditions"] = conditions
    return new


def _status_to_v1(status: Obj, extra: dict[str, str]) -> Obj:
    # v2 leaves currentReplicas out when it is 0; to v1 both counts are required.
    new: Obj = {"currentReplicas": 0, "desiredReplicas": 0}
    new |= {key: status[key] for key in _SHARED_STATUS if key in status}
    metrics = status.get("currentMetrics") or []
    if metrics:
        extra[CURRENT_METRICS] = _dumped([_renamed(metric, _STATUS_TO_V1) for metric in metrics])
    if status.get("conditions"):
        extra[CONDITIONS] = _dumped(status["conditions"])
    cpu = next((metric for metric in metrics if _is_cpu_utilization(metric, "current")), None)
    if cpu is not None:
        new["currentCPUUtilizationPercentage"] = cpu["resource"]["current"]["averageUtilization"]
    return new


def _is_cpu_utilization(metric: Obj, key: str) -> bool:
    resource = metric.get("resource") or {}
    is_cpu = metric.get("type") == "Resource" and resource.get("name") == "cpu"
    return is_cpu and (resource.get(key) or {}).get("averageUtilization") is not None


_Path = tuple[str, ...]
_Places = dict[str, dict[_Path, _Path]]


def _places(key: str, lead: str) -> _Places:
    """Where the values of each kind of metric are, v2 -> v1. key: `target` or `current`; lead: what v1 calls their fields by."""
    named: dict[_Path, _Path] = {("metric", "name"): ("metricName",)}
    amounts: dict[_Path, _Path] = {
        (key, name): (lead + name[:1].upper() + name[1:],) for name in ("value", "averageValue", "averageUtilization")
    }
    resource: dict[_Path, _Path] = {("name",): ("name",), ("container",): ("container",)} | amounts
    selected: dict[_Path, _Path] = {**named, ("metric", "selector"): ("selector",)}
    return {
        "object": selected | amounts | {("describedObject",): ("target",), (key, "averageValue"): ("averageValue",)},
        "pods": selected | amounts,
        "resource": resource,
        "containerResource": resource,
        "external": {**named, ("metric", "selector"): ("metricSelector",)} | amounts,
    }


def _reversed(places: _Places) -> _Places:
    return {kind: {there: here for here, there in pairs.items()} for kind, pairs in places.items()}


_SPEC_TO_V1, _STATUS_TO_V1 = _places("target", "target"), _places("current", "current")
_SPEC_TO_V2, _STATUS_TO_V2 = _reversed(_SPEC_TO_V1), _reversed(_STATUS_TO_V1)
_TARGET_TYPES = {"value": "Value", "averageValue": "AverageValue", "averageUtilization": "Utilization"}


def _renamed(metric: Any, places: _Places) -> Obj:
    """A metric with the values of its blocks in their other places. v2's targets say which of their values counts."""
    if not isinstance(metric, dict):
        return {}
    found: Obj = {"type": metric["type"]} if "type" in metric else {}
    for kind, pairs in places.items():
        block = metric.get(kind)
        if not isinstance(block, dict):
            continue
        new: Obj = {}
        for source, goal in pairs.items():
            value = _at(block, source)
            if value is not None:
                _put(new, goal, value)
        target = new.get("target")
        if places is _SPEC_TO_V2 and isinstance(target, dict):
            target["type"] = next((_TARGET_TYPES[key] for key in reversed(_TARGET_TYPES) if _counts(target.get(key))), "Value")
        found[kind] = new
    return found


def _counts(value: Any) -> bool:
    """v1 has a quantity of zero where v2 has none."""
    return value not in (None, "0", 0)


def _at(block: Obj, path: _Path) -> Any:
    found: Any = block
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _put(block: Obj, path: _Path, value: Any) -> None:
    for key in path[:-1]:
        block = block.setdefault(key, {})
    block[path[-1]] = value


def _cased(value: Any, change: Callable[[str], str]) -> Any:
    """Keys with another first letter, at all depths; what is null is left out."""
    if isinstance(value, dict):
        return {change(key[:1]) + key[1:]: _cased(item, change) for key, item in value.items() if item is not None}
    return [_cased(item, change) for item in value] if isinstance(value, list) else value


def _loaded(extra: dict[str, str], key: str, kind: type[Any]) -> Any:
    try:
        found = orjson.loads(extra.get(key) or b"null")
    except orjson.JSONDecodeError:
        return kind()
    return found if isinstance(found, kind) else kind()


def _dumped(value: Any) -> str:
    return orjson.dumps(value).decode()
