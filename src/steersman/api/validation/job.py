"""Validation of jobs and of the job templates in cron jobs. Their policies: job_policies.py, their status: job_status.py."""

from __future__ import annotations

import copy
from typing import Any

from steersman.api.equality import same
from steersman.api.validation.common import IMMUTABLE, Errors, domain_prefixed_path, label_selector, needs, not_negatives, one_of
from steersman.api.validation.job_policies import pod_failure_policy, success_policy
from steersman.api.validation.pod import template as pod_template
from steersman.api.validation.workloads import NO_MATCH
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, invalid, not_supported, required, too_long
from steersman.machinery.labels import from_label_selector
from steersman.machinery.meta import Obj, is_condition_true, labels_of, name_of, uid_of

INDEXED = "Indexed"
LEGACY_UID, LEGACY_NAME = "controller-uid", "job-name"
UID, NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
_COUNTS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished", "backoffLimitPerIndex",
    "maxFailedIndexes",
)  # fmt: skip
_FIXED = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_MANAGED_BY_LIMIT = 63
_MANY, _FEWER = 100_000, 10_000
"""Bounds of indexed jobs: of parallelism and failed indexes, and the lower ones of jobs with more completions than _MANY."""
_HIGH = f"must be less than or equal to {_FEWER} when completions are above {_MANY} and used with backoff limit per index"


def generated_labels(job: Obj) -> dict[str, str]:
    """Labels of a job's pods, by which it finds them unless it has a selector of its own."""
    uid, name = uid_of(job), name_of(job)
    return {UID: uid, NAME: name, LEGACY_UID: uid, LEGACY_NAME: name}


def validate_job(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    if not spec.get("manualSelector") and spec.get("selector") is not None:
        _generated_selector(errors, obj, spec)
    _whole_spec(errors, spec)
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == INDEXED and completions > 0:
        host = f"{name_of(obj)}-{completions - 1}"
        if names.dns1123_label(host):
            errors.append(invalid("metadata.name", name_of(obj), f"will not able to create pod with invalid DNS label: {host}"))
    return errors


def _generated_selector(errors: Errors, obj: Obj, spec: Obj) -> None:
    expected, found = generated_labels(obj), labels_of(spec.get("template") or {})
    for key, value in expected.items():
        path = f"spec.template.metadata.labels[{key}]"
        if key not in found:
            errors.append(required(path, f"must be '{value}'"))
        elif found[key] != value:
            errors.append(invalid(path, found, f"must be '{value}'"))
    try:
        selector = from_label_selector(spec["selector"])
    except ValueError:
        return
    if not selector.matches(expected):
        errors.append(invalid("spec.selector", spec["selector"], "`selector` not auto-generated"))


def _whole_spec(errors: Errors, spec: Obj, *, lenient_values: bool = False) -> None:
    """The spec of a job, with its selector."""
    job_spec(errors, "spec", spec)
    selector = spec.get("selector")
    if selector is None:
        errors.append(required("spec.selector"))
    else:
        label_selector(errors, "spec.selector", selector, lenient_values=lenient_values)
    found = labels_of(spec.get("template") or {})
    try:
        matches = from_label_selector(selector).matches(found)
    except ValueError:
        return
    if not matches:
        errors.append(invalid("spec.template.metadata.labels", found, NO_MATCH))


def job_spec(errors: Errors, path: str, spec: Obj) -> None:
    """What the specs of jobs and of job templates share: everything but the selector."""
    not_negatives(errors, path, spec, _COUNTS)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        errors.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    manager = spec.get("managedBy")
    if manager is not None:
        domain_prefixed_path(errors, f"{path}.managedBy", manager)
        if len(manager) > _MANAGED_BY_LIMIT:
            errors.append(too_long(f"{path}.managedBy", _MANAGED_BY_LIMIT))
    mode = spec.get("completionMode")
    one_of(errors, f"{path}.completionMode", mode, (INDEXED, "NonIndexed"))
    if mode == INDEXED:
        _indexed(errors, path, spec)
    elif mode in (None, "NonIndexed"):
        for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(key) is not None:
                errors.append(invalid(f"{path}.{key}", spec[key], "requires indexed completion mode"))
    if spec.get("podFailurePolicy") is not None:
        pod_failure_policy(errors, f"{path}.podFailurePolicy", spec)
    if spec.get("successPolicy") is not None:
        if mode == INDEXED:
            success_policy(errors, f"{path}.successPolicy", spec)
        else:
            errors.append(invalid(f"{path}.successPolicy", spec["successPolicy"], "requires indexed completion mode"))
    replacement = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    one_of(errors, f"{path}.podReplacementPolicy", spec.get("podReplacementPolicy"), replacement)
    pod_template(errors, f"{path}.template", spec.get("template") or {})
    _restart_policy(errors, f"{path}.template.spec.restartPolicy", spec)


def _indexed(errors: Errors, path: str, spec: Obj) -> None:
    completions, parallelism, failed = spec.get("completions"), spec.get("parallelism"), spec.get("maxFailedIndexes")
    needs(errors, f"{path}.completions", completions is not None, "when completion mode is Indexed")
    if parallelism is not None and parallelism > _MANY:
        text = f"must be less than or equal to {_MANY} when completion mode is Indexed"
        errors.append(invalid(f"{path}.parallelism", parallelism, text))
    if failed is not None and completions is not None and failed > completions:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions"))
    if failed is not None and failed > _MANY:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_MANY}"))
    if completions is None or completions <= _MANY or spec.get("backoffLimitPerIndex") is None:
        return
    if failed is None:
        errors.append(required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {_MANY}"))
    for key, value in (("parallelism", parallelism), ("maxFailedIndexes", failed)):
        if value is not None and value > _FEWER:
            errors.append(invalid(f"{path}.{key}", value, _HIGH))


def _restart_policy(errors: Errors, path: str, spec: Obj) -> None:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy") or ""
    if policy in ("", "Always"):
        errors.append(required(path, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        errors.append(not_supported(path, policy, ("OnFailure", "Never")))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        errors.append(invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified'))


def validate_job_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    stored_selector: Errors = []
    label_selector(stored_selector, "spec.selector", stored.get("selector"))
    _whole_spec(errors, spec, lenient_values=bool(stored_selector))
    _completions(errors, spec, stored)
    _fixed(errors, "selector", spec.get("selector"), stored.get("selector"))
    template, before = spec.get("template") or {}, stored.get("template") or {}
    _fixed(errors, "template", template, _adopted(template, before) if _may_change_pods(old) else before)
    for key in _FIXED:
        _fixed(errors, key, spec.get(key), stored.get(key))
    return errors


def _fixed(errors: Errors, key: str, value: Any, before: Any) -> None:
    if not same(value, before):
        errors.append(invalid(f"spec.{key}", value, IMMUTABLE))


def _completions(errors: Errors, spec: Obj, stored: Obj) -> None:
    """Indexed jobs are elastic: completions and parallelism may change together."""
    value, before = spec.get("completions"), stored.get("completions")
    if value == before:
        return
    if spec.get("completionMode") != INDEXED:
        errors.append(invalid("spec.completions", value, IMMUTABLE))
    elif value is not None and before is not None and value != spec.get("parallelism"):
        errors.append(invalid("spec.completions", value, "can only be modified in tandem with spec.parallelism"))


def _may_change_pods(old: Obj) -> bool:
    """Where pods go, and what they get, may change while the job is suspended and has none."""
    spec, status = old.get("spec") or {}, old.get("status") or {}
    halted = not status.get("startTime") or is_condition_true(old, "Suspended")
    return bool(spec.get("suspend")) and not status.get("active") and halted


def _adopted(template: Obj, before: Obj) -> Obj:
    """The stored template with those parts of the new one that a suspended job may change."""
    adopted = copy.deepcopy(before)
    meta, pod, wanted = adopted.setdefault("metadata", {}), adopted.setdefault("spec", {}), template.get("spec") or {}
    for key in ("labels", "annotations"):
        _take(meta, template.get("metadata") or {}, key)
    for key in ("nodeSelector", "tolerations", "schedulingGates"):
        _take(pod, wanted, key)
    affinity = {**(pod.get("affinity") or {})}
    _take(affinity, wanted.get("affinity") or {}, "nodeAffinity")
    if affinity or wanted.get("affinity") is not None:
        pod["affinity"] = affinity
    else:
        pod.pop("affinity", None)
    for kind in ("containers", "initContainers"):
        for mine, theirs in zip(pod.get(kind) or (), wanted.get(kind) or ()):
            _take(mine, theirs, "resources")
    return adopted


def _take(target: Obj, source: Obj, key: str) -> None:
    if key in source:
        target[key] = source[key]
    else:
        target.pop(key, None)
