"""Validation of pod disruption budgets."""

from __future__ import annotations

from steersman.api.validation.apps import int_or_percent
from steersman.api.validation.common import Errors, label_selector, not_negatives, one_of
from steersman.api.validation.conditions import conditions
from steersman.machinery.fielderrors import FieldError, invalid
from steersman.machinery.meta import Obj

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def validate_budget(obj: Obj) -> list[FieldError]:
    return _budget(obj, lenient_values=False)


def validate_budget_update(new: Obj, old: Obj) -> list[FieldError]:
    stored: Errors = []
    label_selector(stored, "spec.selector", (old.get("spec") or {}).get("selector"))
    return _budget(new, lenient_values=bool(stored))


def _budget(obj: Obj, *, lenient_values: bool) -> Errors:
    errors: Errors = []
    spec = obj.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        errors.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for key in ("minAvailable", "maxUnavailable"):
        int_or_percent(errors, f"spec.{key}", spec.get(key), limit=True)
    label_selector(errors, "spec.selector", spec.get("selector"), lenient_values=lenient_values)
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None:
        one_of(errors, "spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget"))
    return errors


def validate_budget_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    conditions(errors, "status.conditions", status.get("conditions"))
    not_negatives(errors, "status", status, _COUNTS)
    return errors
