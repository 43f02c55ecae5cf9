"""Defaults of HorizontalPodAutoscalers, in both versions."""

from __future__ import annotations

from steersman.api.hpa_conversion import METRICS
from steersman.machinery.meta import Obj, annotations_of

_CPU_PERCENT = 80
_SCALE_UP: Obj = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN: Obj = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def autoscaler(obj: Obj) -> None:
    """autoscaling/v2."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": _CPU_PERCENT}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if spec.get("behavior") is not None:
        for key, rules in (("scaleUp", _SCALE_UP), ("scaleDown", _SCALE_DOWN)):
            given = spec["behavior"].get(key) or {}
            policies = given.get("policies") or [dict(policy) for policy in rules["policies"]]
            spec["behavior"][key] = {**rules, **given, "policies": policies}


def autoscaler_v1(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if spec.get("targetCPUUtilizationPercentage") is None and METRICS not in annotations_of(obj):
        spec["targetCPUUtilizationPercentage"] = _CPU_PERCENT
