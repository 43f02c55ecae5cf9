"""Validation of the small kinds: leases, priority classes, scales."""

from __future__ import annotations

from steersman.api.validation.common import Errors, immutable, not_negative, one_of
from steersman.machinery.fielderrors import FieldError, forbidden, invalid
from steersman.machinery.meta import Obj, name_of

_PREEMPTION = ("PreemptLowerPriority", "Never")
MAX_USER_PRIORITY = 1_000_000_000
SYSTEM_PRIORITIES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}


def validate_lease(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    not_negative(errors, "spec.leaseTransitions", spec.get("leaseTransitions"))
    return errors


def validate_lease_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_lease(new)


def validate_priority_class(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    name, value = name_of(obj), obj.get("value", 0)
    lead = "priority class names with 'system-' prefix are reserved for system use only. error: "
    if name.startswith("system-"):
        known = SYSTEM_PRIORITIES.get(name)
        if known is None:
            errors.append(forbidden("metadata.name", f"{lead}{name} is not a known system priority class"))
        elif value != known:
            errors.append(forbidden("metadata.name", f"{lead}value of {name} PriorityClass must be {known}"))
        elif obj.get("globalDefault"):
            errors.append(forbidden("metadata.name", f"{lead}globalDefault of {name} PriorityClass must be false"))
    elif value > MAX_USER_PRIORITY:
        text = f"maximum allowed value of a user defined priority is {MAX_USER_PRIORITY}"
        errors.append(forbidden("value", text))
    one_of(errors, "preemptionPolicy", obj.get("preemptionPolicy"), _PREEMPTION, optional=False)
    return errors


def validate_priority_class_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    if new.get("value", 0) != old.get("value", 0):
        errors.append(forbidden("value", "may not be changed in an update."))
    immutable(errors, "preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))
    return errors
