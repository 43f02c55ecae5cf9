"""Rows of autoscaling: HorizontalPodAutoscaler (v1 and v2) and the Scale subresource."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, age, amount, col, count, spec, text
from steersman.machinery.meta import Obj, dig, name_of

_SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}
_MOST = 2


def _value(current: Obj | None, field: str) -> str:
    value = dig(current, field)
    return "<unknown>" if value is None else amount(value)


def _metric(metric: Obj, status: Obj | None) -> str:
    kind = metric.get("type", "")
    source_key = _SOURCES.get(kind)
    if source_key is None:
        return "<unknown type>"
    source, current = metric.get(source_key) or {}, dig(status, source_key, "current")
    target = source.get("target") or {}
    average = target.get("averageValue")
    if kind in ("Resource", "ContainerResource"):
        name = source.get("name", "")
        if average is not None:
            return f"{name}: {_value(current, 'averageValue')}/{amount(average)}"
        used, wanted = dig(current, "averageUtilization"), target.get("averageUtilization")
        shown = "<unknown>" if used is None else f"{used}%"
        return f"{name}: {shown}/{'<auto>' if wanted is None else f'{wanted}%'}"
    if kind == "Pods":
        return f"{_value(current, 'averageValue')}/{amount(average)}"
    if average is not None:
        return f"{_value(current, 'averageValue')}/{amount(average)} (avg)"
    return f"{_value(current, 'value')}/{amount(target.get('value'))}"


def _targets(hpa: Obj) -> str:
    wanted, status = hpa.get("spec") or {}, hpa.get("status") or {}
    if wanted.get("targetCPUUtilizationPercentage") is not None:
        used = status.get("currentCPUUtilizationPercentage")
        shown = "<unknown>" if used is None else f"{used}%"
        return f"cpu: {shown}/{wanted['targetCPUUtilizationPercentage']}%"
    metrics, found = wanted.get("metrics") or [], status.get("currentMetrics") or []
    if not metrics:
        return "<none>"
    items = [_metric(metric, dig(found, index)) for index, metric in enumerate(metrics[:_MOST])]
    more = f" + {len(metrics) - _MOST} more..." if len(metrics) > _MOST else ""
    return ", ".join(items) + more


def _hpa(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    reference = wanted.get("scaleTargetRef") or {}
    return [
        name_of(obj),
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        _targets(obj),
        text(wanted.get("minReplicas"), "<unset>"),
        count(wanted.get("maxReplicas")),
        count(dig(obj, "status", "currentReplicas")),
        age(obj, now),
    ]


def _scale(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), count(dig(obj, "spec", "replicas")), count(dig(obj, "status", "replicas")), age(obj, now)]


TABLES: dict[str, TableSpec] = {
    "HorizontalPodAutoscaler": spec(
        _hpa, NAME, col("Reference"), col("Targets"), col("MinPods"), col("MaxPods"), col("Replicas"), AGE
    ),
    "Scale": spec(_scale, col("Name"), col("Desired", "integer"), col("Available", "integer"), AGE),
}
