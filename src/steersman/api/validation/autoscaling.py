"""Validation of HorizontalPodAutoscalers, in the form of autoscaling/v2."""

from __future__ import annotations

from typing import Any

from steersman.api.validation.common import Errors, complain, label, label_selector, needs, not_negatives, one_of
from steersman.machinery import names, quantity
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, not_supported, required
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj

_SOURCES = {
    "ContainerResource": "containerResource", "External": "external", "Object": "object", "Pods": "pods", "Resource": "resource",
}  # fmt: skip
_TARGET_TYPES = ("Utilization", "Value", "AverageValue")
_SELECT_POLICIES, _POLICY_TYPES = ("Disabled", "Max", "Min"), ("Percent", "Pods")
_MAX_WINDOW_SECONDS, _MAX_PERIOD_SECONDS = 3600, 1800
_AT_LEAST_ONE = "must be greater than or equal to 1"
_RAW_OR_UTILIZATION = "must set either a target raw value or a target utilization"
_VALUE_OR_AVERAGE = "must set either a target value or averageValue"
_OWN_NAMES = {"ReplicationController"}
"""Kinds of the core group, whose apiVersion has no group."""


def validate_autoscaler(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    _spec(errors, obj.get("spec") or {}, {})
    return errors


def validate_autoscaler_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    _spec(errors, new.get("spec") or {}, old.get("spec") or {})
    return errors


def validate_autoscaler_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    not_negatives(errors, "status", new.get("status") or {}, ("currentReplicas", "desiredReplicas"))
    return errors


def _spec(errors: Errors, spec: Obj, stored: Obj) -> None:
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    floor = 0 if stored.get("minReplicas") == 0 else 1
    if least is not None and least < floor:
        errors.append(invalid("spec.minReplicas", least, f"must be greater than or equal to {floor}"))
    if most == 0:
        errors.append(required("spec.maxReplicas", "must be set and greater than 0"))
    elif most < 0:
        errors.append(invalid("spec.maxReplicas", most, _AT_LEAST_ONE))
    if least is not None and most < least:
        errors.append(invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    _target_ref(errors, "spec.scaleTargetRef", spec.get("scaleTargetRef") or {}, stored.get("scaleTargetRef") or {})
    for index, metric in enumerate(spec.get("metrics") or ()):
        _metric(errors, f"spec.metrics[{index}]", metric)
    for key in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(key)
        if rules is not None:
            _rules(errors, f"spec.behavior.{key}", rules)


def _target_ref(errors: Errors, path: str, ref: Obj, stored: Obj) -> None:
    _reference(errors, path, ref)
    version, kind = ref.get("apiVersion") or "", ref.get("kind") or ""
    if stored and (version, kind) == (stored.get("apiVersion") or "", stored.get("kind") or ""):
        return
    if version.count("/") > 1:
        errors.append(invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}"))
    elif not split_api_version(version)[0] and kind not in _OWN_NAMES:
        errors.append(invalid(f"{path}.apiVersion", version, "apiVersion must specify API group"))


def _reference(errors: Errors, path: str, ref: Obj) -> None:
    for key in ("kind", "name"):
        if needs(errors, f"{path}.{key}", ref.get(key)):
            complain(errors, f"{path}.{key}", ref[key], names.path_segment(ref[key]))


def _rules(errors: Errors, path: str, rules: Obj) -> None:
    """scaleUp or scaleDown."""
    window = rules.get("stabilizationWindowSeconds")
    inner = f"{path}.stabilizationWindowSeconds"
    if window is not None and window < 0:
        errors.append(invalid(inner, window, "must be greater than or equal to zero"))
    if window is not None and window > _MAX_WINDOW_SECONDS:
        errors.append(invalid(inner, window, f"must be less than or equal to {_MAX_WINDOW_SECONDS}"))
    if rules.get("selectPolicy") is not None:
        one_of(errors, f"{path}.selectPolicy", rules["selectPolicy"], _SELECT_POLICIES)
    policies = rules.get("policies") or ()
    needs(errors, f"{path}.policies", policies, "must specify at least one Policy")
    for index, policy in enumerate(policies):
        _policy(errors, f"{path}.policies[{index}]", policy)
    tolerance = rules.get("tolerance")
    if tolerance is not None and quantity.parse(tolerance).milli < 0:
        errors.append(invalid(f"{path}.tolerance", tolerance, "must be greater than or equal to zero"))


def _policy(errors: Errors, path: str, policy: Obj) -> None:
    kind, period = policy.get("type") or "", policy.get("periodSeconds") or 0
    if kind not in _POLICY_TYPES:
        errors.append(not_supported(f"{path}.type", kind, _POLICY_TYPES))
    for key in ("value", "periodSeconds"):
        if (policy.get(key) or 0) <= 0:
            errors.append(invalid(f"{path}.{key}", policy.get(key) or 0, "must be greater than zero"))
    if period > _MAX_PERIOD_SECONDS:
        errors.append(invalid(f"{path}.periodSeconds", period, f"must be less than or equal to {_MAX_PERIOD_SECONDS}"))


def _metric(errors: Errors, path: str, metric: Obj) -> None:
    kind = metric.get("type") or ""
    if not needs(errors, f"{path}.type", kind, "must specify a metric source type"):
        return
    own = _SOURCES.get(kind)
    if own is None:
        errors.append(not_supported(f"{path}.type", kind, tuple(_SOURCES)))
    for key in _SOURCES.values():
        if key != own and metric.get(key) is not None and own is not None:
            errors.append(forbidden(f"{path}.{key}", "must populate the given metric source only"))
    if own is None:
        return
    if metric.get(own) is None:
        errors.append(required(f"{path}.{own}", "must populate information for the given metric source"))
    else:
        _source(errors, f"{path}.{own}", kind, metric[own])


def _source(errors: Errors, path: str, kind: str, source: Obj) -> None:
    target = source.get("target") or {}
    if kind in ("Resource", "ContainerResource"):
        needs(errors, f"{path}.name", source.get("name"), "must specify a resource name")
        container = source.get("container") or ""
        if kind == "ContainerResource" and needs(errors, f"{path}.container", container, "must specify a container"):
            label(errors, f"{path}.container", container)
    else:
        if kind == "Object":
            _reference(errors, f"{path}.describedObject", source.get("describedObject") or {})
        metric = source.get("metric") or {}
        name = metric.get("name") or ""
        if needs(errors, f"{path}.metric.name", name, "must specify a metric name"):
            complain(errors, f"{path}.metric.name", name, names.path_segment(name))
        label_selector(errors, f"{path}.metric.selector", metric.get("selector"))
    inner = f"{path}.target"
    _target(errors, inner, target)
    utilization, value, average = (target.get(key) for key in ("averageUtilization", "value", "averageValue"))
    if kind in ("Resource", "ContainerResource"):
        if utilization is None and average is None:
            errors.append(required(f"{inner}.averageUtilization", _RAW_OR_UTILIZATION))
        elif utilization is not None and average is not None:
            errors.append(forbidden(f"{inner}.averageValue", "may not set both a target raw value and a target utilization"))
    elif kind == "Pods":
        if average is None or quantity.parse(average).milli <= 0:
            errors.append(required(f"{inner}.averageValue", "must specify a positive target averageValue"))
    elif kind == "Object":
        if value is None and average is None:
            errors.append(required(f"{inner}.averageValue", _VALUE_OR_AVERAGE))
    elif value is None and average is None:
        errors.append(required(f"{inner}.averageValue", "must set either a target value for metric or a per-pod target"))
    elif value is not None and average is not None:
        errors.append(forbidden(f"{inner}.value", "may not set both a target value for metric and a per-pod target"))


def _target(errors: Errors, path: str, target: Obj) -> None:
    kind: Any = target.get("type") or ""
    if needs(errors, f"{path}.type", kind, "must specify a metric target type") and kind not in _TARGET_TYPES:
        errors.append(invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue"))
    for key in ("value", "averageValue"):
        if target.get(key) is not None and quantity.parse(target[key]).milli <= 0:
            errors.append(invalid(f"{path}.{key}", target[key], "must be positive"))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        errors.append(invalid(f"{path}.averageUtilization", utilization, "must be greater than 0"))
