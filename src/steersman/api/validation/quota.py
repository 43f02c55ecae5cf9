"""Validation of limit ranges and resource quotas."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.validation import resources
from steersman.api.validation.common import NOT_AN_OPERATOR, Errors, complain, unique
from steersman.machinery import names, quantity
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, required
from steersman.machinery.meta import Obj

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_QUOTA = frozenset(
    {
        *_COMPUTE, *(f"requests.{name}" for name in _COMPUTE), *(f"limits.{name}" for name in _COMPUTE), "requests.storage",
        "pods", "resourcequotas", "services", "services.nodeports", "services.loadbalancers", "replicationcontrollers", "secrets",
        "configmaps", "persistentvolumeclaims",
    }
)  # fmt: skip
_POD_RESOURCES = frozenset({"pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_SCOPE_RESOURCES = {
    "Terminating": _POD_RESOURCES,
    "NotTerminating": _POD_RESOURCES,
    "NotBestEffort": _POD_RESOURCES,
    "PriorityClass": _POD_RESOURCES,
    "CrossNamespacePodAffinity": _POD_RESOURCES,
    "BestEffort": frozenset({"pods"}),
    "VolumeAttributesClass": frozenset({"persistentvolumeclaims", "requests.storage"}),
}
_CONFLICTS = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_ANY_OPERATOR = ("PriorityClass", "VolumeAttributesClass")


def validate_limit_range(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    seen: set[str] = set()
    for index, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
        inner, kind = f"spec.limits[{index}]", item.get("type") or ""
        if kind not in ("Container", "PersistentVolumeClaim", "Pod"):
            complain(errors, f"{inner}.type", kind, names.qualified_name(kind))
            if "/" not in kind:
                text = "must be a standard limit type or fully qualified"
                errors.append(invalid(f"{inner}.type", kind, text))
        unique(errors, f"{inner}.type", kind, seen)
        _limits(errors, inner, item, kind)
    return errors


def validate_limit_range_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_limit_range(new)


def _limits(errors: Errors, path: str, item: Obj, kind: str) -> None:
    known: set[str] = set()
    for key in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        values = item.get(key) or {}
        if kind == "Pod" and key in ("default", "defaultRequest") and values:
            errors.append(forbidden(f"{path}.{key}", "may not be specified when `type` is 'Pod'"))
            continue
        for name in values:
            inner = f"{path}.{key}[{name}]"
            if kind == "Container":
                resources.container_resource_name(errors, inner, name)
            else:
                complain(errors, inner, name, resources.resource_name_texts(name))
        known |= values.keys()
    if kind == "PersistentVolumeClaim":
        storage = "storage" in (item.get("min") or {}) or "storage" in (item.get("max") or {})
        if not storage:
            text = "either minimum or maximum storage value is required, but neither was provided"
            errors.append(required("spec.limits", text))
    for name in sorted(known):
        _ordered(errors, path, item, name)


def _ordered(errors: Errors, path: str, item: Obj, name: str) -> None:
    """min <= default request <= default <= max of one resource, and its ratio."""

    def compare(low: str, low_name: str, high: str, high_name: str, at: str) -> None:
        small, great = (item.get(low) or {}).get(name), (item.get(high) or {}).get(name)
        if small is not None and great is not None and quantity.parse(great) < quantity.parse(small):
            value = (item.get(at) or {}).get(name)
            text = f"{low_name} value {small} is greater than {high_name} value {great}"
            errors.append(invalid(f"{path}.{at}[{name}]", value, text))

    compare("min", "min", "max", "max", "min")
    compare("min", "min", "defaultRequest", "default request", "defaultRequest")
    compare("defaultRequest", "default request", "max", "max", "defaultRequest")
    compare("defaultRequest", "default request", "default", "default limit", "defaultRequest")
    compare("min", "min", "default", "default", "default")
    compare("default", "default", "max", "max", "default")
    ratio = (item.get("maxLimitRequestRatio") or {}).get(name)
    if ratio is None:
        return
    inner = f"{path}.maxLimitRequestRatio[{name}]"
    if quantity.parse(ratio).milli < 1000:
        errors.append(invalid(inner, ratio, f"ratio {ratio} is less than 1"))
    least, most = (item.get("min") or {}).get(name), (item.get("max") or {}).get(name)
    if least is None or most is None or not quantity.milli(least):
        return
    bound = quantity.milli(most) / quantity.milli(least)
    if quantity.milli(ratio) / 1000 > bound:
        errors.append(invalid(inner, ratio, f"ratio {ratio} is greater than max/min = {bound:f}"))


def validate_quota(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    _hard(errors, "spec.hard", spec.get("hard") or {})
    scopes = spec.get("scopes") or ()
    if scopes:
        _scopes(errors, "spec.scopes", scopes, scopes, spec.get("hard") or {})
    if spec.get("scopeSelector"):
        _scope_selector(errors, spec["scopeSelector"], spec.get("hard") or {})
    return errors


def _hard(errors: Errors, path: str, values: Obj) -> None:
    for name, value in values.items():
        inner = f"{path}[{name}]"
        complain(errors, inner, name, resources.resource_name_texts(name) if name not in _QUOTA else ())
        if "/" not in name and name not in _QUOTA and not name.removeprefix("requests.").startswith("hugepages-"):
            errors.append(invalid(inner, name, "must be a standard resource for quota"))
        resources.amount(errors, inner, name, value)


def _scopes(errors: Errors, path: str, scopes: Sequence[str], shown: object, hard: Obj) -> None:
    for scope in scopes:
        fits = _SCOPE_RESOURCES.get(scope)
        if fits is None:
            errors.append(invalid(path, shown, "unsupported scope"))
            continue
        if any(name not in fits and name in _QUOTA for name in hard):
            errors.append(invalid(path, shown, "unsupported scope applied to resource"))
    for pair in _CONFLICTS:
        if all(scope in scopes for scope in pair):
            errors.append(invalid(path, shown, "conflicting scopes"))


def _scope_selector(errors: Errors, selector: Obj, hard: Obj) -> None:
    path = "spec.scopeSelector.matchExpressions"
    items = selector.get("matchExpressions") or ()
    for item in items:
        scope, operator, values = item.get("scopeName") or "", item.get("operator") or "", item.get("values") or ()
        if scope not in _SCOPE_RESOURCES:
            errors.append(invalid(f"{path}.scopeName", scope, "unsupported scope"))
        elif scope not in _ANY_OPERATOR and operator != "Exists":
            text = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
            text += "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
            errors.append(invalid(f"{path}.operator", operator, text))
        if operator in ("In", "NotIn"):
            if not values:
                text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                errors.append(required(f"{path}.values", text))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                errors.append(invalid(f"{path}.values", values, text))
        else:
            errors.append(invalid(f"{path}.operator", operator, NOT_AN_OPERATOR))
    known = [item.get("scopeName") or "" for item in items if item.get("scopeName") in _SCOPE_RESOURCES]
    _scopes(errors, "spec.scopeSelector.matchExpressions", known, items, hard)


def validate_quota_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_quota(new)
    scopes, stored = (new.get("spec") or {}).get("scopes") or [], (old.get("spec") or {}).get("scopes") or []
    if set(scopes) != set(stored):
        errors.append(invalid("spec.scopes", scopes, "field is immutable"))
    return errors


def validate_quota_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    for key in ("hard", "used"):
        _hard(errors, f"status.{key}", (new.get("status") or {}).get(key) or {})
    return errors
