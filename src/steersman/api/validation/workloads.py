"""Validation of ReplicationController, PodTemplate and apps/v1 kinds: what they share, and the simpler of them."""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.equality import same
from steersman.api.validation.common import IMMUTABLE, Errors, label_selector, not_negative, not_negatives
from steersman.api.validation.pod import template as pod_template
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, not_supported, required
from steersman.machinery.labels import from_label_selector, from_map
from steersman.machinery.meta import Obj, labels_of, name_of

NO_MATCH = "`selector` does not match template `labels`"
_ABOVE_REPLICAS = "cannot be greater than status.replicas"


def selector_and_template(errors: Errors, spec: Obj, kind: str, what: str, *, check_template: bool = True) -> None:
    """spec.selector and spec.template of an apps kind. `kind`: as messages name it; `what`: word for an empty selector."""
    selector = spec.get("selector")
    if selector is None:
        if kind != "DaemonSet":
            errors.append(required("spec.selector"))
    else:
        label_selector(errors, "spec.selector", selector)
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            errors.append(invalid("spec.selector", selector, f"empty selector is invalid for {what}"))
    _matches(errors, spec, selector)
    if check_template:
        template(errors, spec.get("template") or {}, kind)


def _matches(errors: Errors, spec: Obj, selector: Obj | None) -> None:
    found = labels_of(spec.get("template") or {})
    try:
        parsed = from_label_selector(selector)
    except ValueError:
        return
    if not (selector and parsed.empty) and not parsed.matches(found):
        errors.append(invalid("spec.template.metadata.labels", found, NO_MATCH))


def template(errors: Errors, value: Obj, kind: str) -> None:
    """A workload's template: restarts always, without a deadline."""
    pod_template(errors, "spec.template", value)
    spec = value.get("spec") or {}
    policy = spec.get("restartPolicy")
    if policy != "Always":
        errors.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        text = f"activeDeadlineSeconds in {kind} is not Supported"
        errors.append(forbidden("spec.template.spec.activeDeadlineSeconds", text))


def frozen_selector(errors: Errors, new: Obj, old: Obj) -> None:
    selector = (new.get("spec") or {}).get("selector")
    if not same(selector, (old.get("spec") or {}).get("selector")):
        errors.append(invalid("spec.selector", selector, IMMUTABLE))


def counters(errors: Errors, status: Obj, keys: Iterable[str]) -> None:
    not_negatives(errors, "status", status, keys)


def within(errors: Errors, status: Obj, keys: Iterable[str], *, ready: str = "", ready_text: str = "") -> None:
    """Counters that are parts of replicas; available ones are ready ones too."""
    total = status.get("replicas") or 0
    for key in keys:
        count = status.get(key) or 0
        if count > total:
            errors.append(invalid(f"status.{key}", count, _ABOVE_REPLICAS))
    available = status.get("availableReplicas") or 0
    if ready and available > (status.get(ready) or 0):
        errors.append(invalid("status.availableReplicas", available, ready_text))


def collisions(errors: Errors, new: Obj, old: Obj) -> None:
    """collisionCount only grows."""
    count, before = (new.get("status") or {}).get("collisionCount"), (old.get("status") or {}).get("collisionCount")
    not_negative(errors, "status.collisionCount", count)
    if before is not None and (count is None or count < before):
        errors.append(invalid("status.collisionCount", count or 0, "cannot be decremented"))


def name_warnings(obj: Obj) -> list[str]:
    """Names that end up in pod names and hostnames should be labels."""
    texts = names.dns1123_label(name_of(obj)) if name_of(obj) else []
    if not texts:
        return []
    lead = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior"
    return [f"{lead}; a DNS label is recommended: [{' '.join(texts)}]"]


def validate_controller(obj: Obj) -> list[FieldError]:
    """ReplicationController."""
    errors: Errors = []
    spec = obj.get("spec") or {}
    not_negatives(errors, "spec", spec, ("minReadySeconds",))
    selector, value = spec.get("selector") or {}, spec.get("template")
    if not selector:
        errors.append(required("spec.selector"))
    not_negatives(errors, "spec", spec, ("replicas",))
    if value is None:
        errors.append(required("spec.template"))
        return errors
    if selector and not from_map(selector).matches(labels_of(value)):
        errors.append(invalid("spec.template.metadata.labels", labels_of(value), NO_MATCH))
    template(errors, value, "ReplicationController")
    return errors


def validate_controller_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_controller(new)


_CONTROLLER_COUNTERS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")


def validate_controller_status(new: Obj, old: Obj) -> list[FieldError]:
    """ReplicationController and ReplicaSet."""
    errors: Errors = []
    status = new.get("status") or {}
    counters(errors, status, _CONTROLLER_COUNTERS)
    parts = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    within(errors, status, parts, ready="readyReplicas", ready_text="cannot be greater than readyReplicas")
    return errors


def validate_pod_template(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    pod_template(errors, "template", obj.get("template") or {})
    return errors


def validate_pod_template_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_pod_template(new)
