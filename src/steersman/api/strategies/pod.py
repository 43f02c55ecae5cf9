"""Strategy of pods: what is reset, derived and counted, and their graceful deletion (upstream registry/core/pod/strategy.go)."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.kinds import Strategy
from steersman.api.qos import qos_class
from steersman.api.strategies.common import carry_generation, first_generation, keep_status, only_status
from steersman.api.strategies.pod_warnings import pod_warnings
from steersman.api.validation.pod import APPARMOR_PREFIX, validate_pod
from steersman.api.validation.pod_status import validate_pod_status
from steersman.api.validation.pod_update import validate_pod_update
from steersman.machinery.meta import Obj, annotations_of, dig, labels_of, metadata

_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
_GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"
_AFFINITY_TERMS = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"


def prepare_create(pod: Obj) -> None:
    spec = pod.setdefault("spec", {})
    first_generation(pod)
    status: Obj = {"phase": "Pending", "qosClass": qos_class(spec)}
    if spec.get("schedulingGates"):
        gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": _GATED_MESSAGE}
        status["conditions"] = [gated]
    pod["status"] = status
    drop_disabled(spec)
    if spec.get("affinity") or spec.get("topologySpreadConstraints"):
        _merge_label_keys(spec, labels_of(pod))
    if annotations_of(pod):
        _apparmor_fields(pod, spec)


def drop_disabled(spec: Obj) -> None:
    """Fields whose feature gates are off."""
    spec.pop("schedulingGroup", None)
    for kind in _CONTAINER_LISTS:
        for container in spec.get(kind) or ():
            lifecycle = container.get("lifecycle")
            if lifecycle:
                lifecycle.pop("stopSignal", None)
    for volume in spec.get("volumes") or ():
        projected = volume.get("projected")
        for source in (projected or {}).get("sources") or ():
            source.pop("clusterTrustBundle", None)
            source.pop("podCertificate", None)


def _merge_label_keys(spec: Obj, labels: dict[str, str]) -> None:
    """matchLabelKeys and mismatchLabelKeys become expressions with this pod's own values."""
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        for how in _AFFINITY_TERMS:
            for item in (affinity.get(kind) or {}).get(how) or ():
                term = item.get("podAffinityTerm") if "podAffinityTerm" in item else item
                _append_keys(term or {}, "matchLabelKeys", "In", labels)
                _append_keys(term or {}, "mismatchLabelKeys", "NotIn", labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _append_keys(constraint, "matchLabelKeys", "In", labels)


def _append_keys(term: Obj, field: str, operator: str, labels: dict[str, str]) -> None:
    selector, keys = term.get("labelSelector"), term.get(field)
    if not keys or selector is None:
        return
    added = [{"key": key, "operator": operator, "values": [labels[key]]} for key in keys if key in labels]
    if added:
        selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *added]


def _apparmor_fields(pod: Obj, spec: Obj) -> None:
    """The annotation of old is copied into containers that have no field."""
    for key, value in annotations_of(pod).items():
        if not key.startswith(APPARMOR_PREFIX):
            continue
        name = key.removeprefix(APPARMOR_PREFIX)
        if value == "runtime/default":
            profile = {"type": "RuntimeDefault"}
        elif value == "unconfined":
            profile = {"type": "Unconfined"}
        elif value.startswith("localhost/") and value != "localhost/":
            profile = {"type": "Localhost", "localhostProfile": value.removeprefix("localhost/")}
        else:
            continue
        for kind in _CONTAINER_LISTS:
            for container in spec.get(kind) or ():
                if container.get("name") == name and not dig(container, "securityContext", "appArmorProfile"):
                    container["securityContext"] = {**(container.get("securityContext") or {}), "appArmorProfile": profile}


def prepare_update(new: Obj, old: Obj) -> None:
    keep_status(new, old)
    if "ephemeralContainers" in (old.get("spec") or {}):
        new.setdefault("spec", {})["ephemeralContainers"] = old["spec"]["ephemeralContainers"]
    elif new.get("spec"):
        new["spec"].pop("ephemeralContainers", None)
    carry_generation(new, old, not same(new.get("spec"), old.get("spec")))


def prepare_status_update(new: Obj, old: Obj) -> None:
    only_status(new, old)
    meta, stored = metadata(new), metadata(old)
    if "ownerReferences" in stored:
        meta["ownerReferences"] = stored["ownerReferences"]
    else:
        meta.pop("ownerReferences", None)
    status, before = new.setdefault("status", {}), old.get("status") or {}
    if not status.get("qosClass"):
        status["qosClass"] = before.get("qosClass") or qos_class(new.get("spec") or {})
    if not status.get("observedGeneration") and before.get("observedGeneration"):
        status["observedGeneration"] = before["observedGeneration"]


def graceful_seconds(pod: Obj, asked: int | None) -> int:
    """Seconds to let the pod end; none where no kubelet has it or it has ended."""
    spec = pod.get("spec") or {}
    seconds = asked if asked is not None else spec.get("terminationGracePeriodSeconds")
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    seconds = 0 if seconds is None else seconds
    return 1 if seconds < 0 else seconds


POD = Strategy(
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    prepare_status_update=prepare_status_update,
    validate_create=validate_pod,
    validate_update=validate_pod_update,
    validate_status_update=validate_pod_status,
    warnings=pod_warnings,
    graceful_seconds=graceful_seconds,
)
