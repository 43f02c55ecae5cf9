"""Validation of runtime classes."""

from __future__ import annotations

from steersman.api.validation.common import Errors, immutable, label, label_map, needs
from steersman.api.validation.resources import requirements
from steersman.api.validation.scheduling import tolerations
from steersman.machinery.fielderrors import FieldError, duplicate
from steersman.machinery.meta import Obj


def validate_runtime_class(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    if needs(errors, "handler", obj.get("handler")):
        label(errors, "handler", obj["handler"])
    fixed = (obj.get("overhead") or {}).get("podFixed")
    if fixed:
        requirements(errors, "overhead.podFixed", {"limits": fixed})
    wanted = obj.get("scheduling") or {}
    label_map(errors, "scheduling.nodeSelector", wanted.get("nodeSelector"))
    items = wanted.get("tolerations") or []
    tolerations(errors, "scheduling.tolerations", items)
    for index, item in enumerate(items):
        if item in items[:index]:
            errors.append(duplicate(f"scheduling.tolerations[{index}]", item))
    return errors


def validate_runtime_class_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_runtime_class(new)
    immutable(errors, "handler", new.get("handler"), old.get("handler"))
    return errors
