"""Validation of apps/v1."""

from __future__ import annotations

import re
from typing import Any

from steersman.api.equality import same
from steersman.api.validation.claims import claim_spec
from steersman.api.validation.common import NOT_NEGATIVE, Errors, label, not_negative, not_negatives, one_of
from steersman.api.validation.workloads import (
    collisions,
    counters,
    frozen_selector,
    name_warnings,
    selector_and_template,
    within,
)  # fmt: skip
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, not_supported, required
from steersman.machinery.meta import Obj

_PERCENT = re.compile(r"[0-9]+%")
_PERCENT_TEXT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
    "regex used for validation is '[0-9]+%')"
)
_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)  # fmt: skip
_FROZEN_TEXT = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def number(value: Any) -> int:
    """What an int-or-percent counts for in comparisons with zero and one hundred."""
    if isinstance(value, str):
        return int(value[:-1]) if _PERCENT.fullmatch(value) else 0
    return value or 0


def int_or_percent(errors: Errors, path: str, value: Any, *, limit: bool = False) -> None:
    """A count or a percentage; `limit`: at most 100%."""
    if value is None:
        return
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            errors.append(invalid(path, value, _PERCENT_TEXT))
        elif limit and number(value) > 100:
            errors.append(invalid(path, value, "must not be greater than 100%"))
    elif value < 0:
        errors.append(invalid(path, value, NOT_NEGATIVE))


def validate_deployment(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    not_negatives(errors, "spec", spec, ("replicas",))
    selector_and_template(errors, spec, "ReplicaSet", "deployment")
    _deployment_strategy(errors, spec.get("strategy") or {})
    not_negatives(errors, "spec", spec, ("minReadySeconds", "revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        not_negative(errors, "spec.progressDeadlineSeconds", deadline)
        if deadline <= (spec.get("minReadySeconds") or 0):
            errors.append(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return errors


def _deployment_strategy(errors: Errors, strategy: Obj) -> None:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            text = "may not be specified when strategy `type` is 'Recreate'"
            errors.append(forbidden("spec.strategy.rollingUpdate", text))
    elif kind != "RollingUpdate":
        errors.append(not_supported("spec.strategy", strategy, ("Recreate", "RollingUpdate")))
    else:
        path = "spec.strategy.rollingUpdate"
        if rolling is None:
            errors.append(required(path, "this should be defaulted and never be nil"))
            return
        unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
        int_or_percent(errors, f"{path}.maxUnavailable", unavailable)
        int_or_percent(errors, f"{path}.maxSurge", surge)
        if number(unavailable) == 0 and number(surge) == 0:
            errors.append(invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
        if isinstance(unavailable, str) and number(unavailable) > 100:
            errors.append(invalid(f"{path}.maxUnavailable", unavailable, "must not be greater than 100%"))


def validate_deployment_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_deployment(new)
    frozen_selector(errors, new, old)
    return errors


def validate_deployment_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    parts = ("updatedReplicas", "readyReplicas", "availableReplicas")
    counters(errors, status, ("observedGeneration", "replicas", *parts, "unavailableReplicas", "terminatingReplicas"))
    within(errors, status, parts, ready="readyReplicas", ready_text="cannot be greater than readyReplicas")
    collisions(errors, new, old)
    return errors


def validate_replica_set(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    not_negatives(errors, "spec", spec, ("replicas", "minReadySeconds"))
    selector_and_template(errors, spec, "ReplicaSet", "deployment")
    return errors


def validate_replica_set_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_replica_set(new)
    frozen_selector(errors, new, old)
    return errors


def validate_daemon_set(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    selector_and_template(errors, spec, "DaemonSet", "daemonset")
    not_negatives(errors, "spec", spec, ("minReadySeconds",))
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "RollingUpdate":
        _daemon_rolling(errors, strategy.get("rollingUpdate"))
    elif strategy.get("type") != "OnDelete":
        errors.append(not_supported("spec.updateStrategy", strategy, ("RollingUpdate", "OnDelete")))
    not_negatives(errors, "spec", spec, ("revisionHistoryLimit",))
    return errors


def _daemon_rolling(errors: Errors, rolling: Obj | None) -> None:
    path = "spec.updateStrategy.rollingUpdate"
    if rolling is None:
        errors.append(required(path))
        return
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    int_or_percent(errors, f"{path}.maxUnavailable", unavailable, limit=True)
    int_or_percent(errors, f"{path}.maxSurge", surge, limit=True)
    if number(unavailable) and number(surge):
        errors.append(invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    elif not number(unavailable) and not number(surge):
        errors.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))


def validate_daemon_set_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_daemon_set(new)
    frozen_selector(errors, new, old)
    return errors


_DAEMON_COUNTERS = (
    "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration",
    "updatedNumberScheduled", "numberAvailable", "numberUnavailable",
)  # fmt: skip


def validate_daemon_set_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    counters(errors, new.get("status") or {}, _DAEMON_COUNTERS)
    collisions(errors, new, old)
    return errors


def _stateful_set(obj: Obj, *, check_template: bool = True) -> Errors:
    errors: Errors = []
    spec = obj.get("spec") or {}
    policy = spec.get("podManagementPolicy") or ""
    if not policy:
        errors.append(required("spec.podManagementPolicy"))
    elif policy not in ("OrderedReady", "Parallel"):
        errors.append(invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    _stateful_strategy(errors, spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for key in ("whenDeleted", "whenScaled"):
        path = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
        one_of(errors, path, retention.get(key), ("Retain", "Delete"), optional=False)
    not_negatives(errors, "spec", spec, ("replicas", "minReadySeconds"))
    not_negative(errors, "spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
    claimed = {(claim.get("metadata") or {}).get("name") for claim in spec.get("volumeClaimTemplates") or ()}
    selector_and_template(errors, _shadowed(spec, claimed), "StatefulSet", "statefulset", check_template=check_template)
    return errors


def _shadowed(spec: Obj, claimed: set[str | None]) -> Obj:
    """The spec as pods will get it: claim templates stand in for volumes of their name, hostname and subdomain are set later."""
    template = spec.get("template") or {}
    pod = dict(template.get("spec") or {})
    pod.pop("hostname", None)
    pod.pop("subdomain", None)
    if claimed:
        kept = [volume for volume in pod.get("volumes") or () if volume.get("name") not in claimed]
        made = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in sorted(filter(None, claimed))]
        pod["volumes"] = [*kept, *made]
    return {**spec, "template": {**template, "spec": pod}}


def _stateful_strategy(errors: Errors, strategy: Obj) -> None:
    path, kind, rolling = "spec.updateStrategy", strategy.get("type") or "", strategy.get("rollingUpdate")
    if not kind:
        errors.append(required(path))
    elif kind == "OnDelete":
        if rolling is not None:
            text = "only allowed for updateStrategy 'RollingUpdate'"
            errors.append(invalid(f"{path}.rollingUpdate", rolling, text))
    elif kind != "RollingUpdate":
        errors.append(invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'"))
    elif rolling is not None:
        not_negative(errors, f"{path}.rollingUpdate.partition", rolling.get("partition"))
        unavailable = rolling.get("maxUnavailable")
        if unavailable is not None:
            int_or_percent(errors, f"{path}.rollingUpdate.maxUnavailable", unavailable, limit=True)
            if number(unavailable) == 0:
                errors.append(invalid(f"{path}.rollingUpdate.maxUnavailable", unavailable, "cannot be 0"))


def validate_stateful_set(obj: Obj) -> list[FieldError]:
    errors = _stateful_set(obj)
    spec = obj.get("spec") or {}
    if spec.get("serviceName"):
        label(errors, "spec.serviceName", spec["serviceName"])
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        claim_spec(errors, f"spec.volumeClaimTemplates[{index}].spec", claim.get("spec") or {})
    return errors


def validate_stateful_set_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = _stateful_set(new, check_template=not _stateful_set(old))
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    fixed = [{key: value for key, value in item.items() if key not in _MUTABLE} for item in (spec, stored)]
    if not same(fixed[0], fixed[1]):
        errors.append(forbidden("spec", _FROZEN_TEXT))
    return errors


def validate_stateful_set_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    parts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    counters(errors, status, ("replicas", *parts, "observedGeneration"))
    within(errors, status, parts, ready="readyReplicas", ready_text="cannot be greater than status.readyReplicas")
    collisions(errors, new, old)
    return errors


def stateful_set_warnings(new: Obj, old: Obj | None) -> list[str]:
    limit = (new.get("spec") or {}).get("revisionHistoryLimit")
    if limit is not None and limit < 0:
        return ["spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"]
    return []


def new_name_warnings(new: Obj, old: Obj | None) -> list[str]:
    return name_warnings(new) if old is None else []


def validate_revision(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    data = obj.get("data")
    if data is None:
        errors.append(required("data", "data is mandatory"))
    elif not isinstance(data, dict):
        errors.append(required("data", "data must be a valid JSON object"))
    not_negative(errors, "revision", obj.get("revision"))
    return errors


def validate_revision_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_revision(new)
    if new.get("data") != old.get("data"):
        errors.append(invalid("data", new.get("data"), "field is immutable"))
    return errors
