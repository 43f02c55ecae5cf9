"""Validation of pods on create, and what all their updates share. Field-by-field update rules: validation/pod_update.py."""

from __future__ import annotations

import re

from steersman.api.validation import remembered
from steersman.api.validation.common import Errors, template_metadata
from steersman.api.validation.podspec import pod_spec
from steersman.machinery.fielderrors import FieldError, forbidden, invalid
from steersman.machinery.meta import Obj, annotations_of, name_of

MIRROR = "kubernetes.io/config.mirror"
APPARMOR_PREFIX = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_INT32 = re.compile(r"0|-?[1-9][0-9]*")
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def validate_pod(pod: Obj) -> list[FieldError]:
    """A pod to be created."""
    errors: Errors = []
    spec = pod.get("spec") or {}
    whole(errors, pod)
    if spec.get("ephemeralContainers"):
        errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("schedulingGates") and spec.get("nodeName"):
        errors.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return errors


def whole(errors: Errors, pod: Obj) -> None:
    """What must hold of a pod at any time."""
    spec = pod.get("spec") or {}
    found = annotations_of(pod)
    if found:
        _annotations(errors, found, spec)
    remembered.pod_spec(errors, spec, name_of(pod))
    if not spec.get("serviceAccountName"):
        _tokens_need_account(errors, spec)


def _tokens_need_account(errors: Errors, spec: Obj) -> None:
    for index, volume in enumerate(spec.get("volumes") or ()):
        for position, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            if source.get("serviceAccountToken") is not None:
                inner = f"spec.volumes[{index}].projected.sources[{position}].serviceAccountToken"
                errors.append(forbidden(inner, "must not be specified when serviceAccountName is not set"))


def _annotations(errors: Errors, found: dict[str, str], spec: Obj) -> None:
    path = "metadata.annotations"
    if found.get(MIRROR) and not spec.get("nodeName"):
        errors.append(invalid(f"{path}[{MIRROR}]", found[MIRROR], "must set spec.nodeName if mirror pod annotation is set"))
    cost = found.get(DELETION_COST)
    if cost is not None and not (_INT32.fullmatch(cost) and -(2**31) <= int(cost) < 2**31):
        errors.append(invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer"))
    if SECCOMP in found:
        _seccomp(errors, f"{path}[{SECCOMP}]", found[SECCOMP], spec)
    known = None
    for key, value in found.items():
        if not key.startswith(APPARMOR_PREFIX):
            continue
        if known is None:
            known = {item.get("name"): item for kind in _CONTAINER_LISTS for item in spec.get(kind) or ()}
        name = key.removeprefix(APPARMOR_PREFIX)
        if name not in known:
            errors.append(invalid(f"{path}[{key}]", name, "container not found"))
        _apparmor(errors, f"{path}[{key}]", value, known.get(name) or {})


def _apparmor(errors: Errors, path: str, value: str, container: Obj) -> None:
    if value not in ("runtime/default", "unconfined", "") and not value.startswith("localhost/"):
        errors.append(invalid(path, value, "invalid AppArmor profile name: " + f'"{value}"'))
        return
    profile = (container.get("securityContext") or {}).get("appArmorProfile")
    kind = {"runtime/default": "RuntimeDefault", "unconfined": "Unconfined"}.get(value, "Localhost")
    if profile is not None and value and profile.get("type") != kind:
        text = "apparmor type in annotation and field must match"
        errors.append(forbidden("spec.containers.securityContext.appArmorProfile.type", text))


def _seccomp(errors: Errors, path: str, value: str, spec: Obj) -> None:
    kinds = {"runtime/default": "RuntimeDefault", "docker/default": "RuntimeDefault", "unconfined": "Unconfined"}
    kind = "Localhost" if value.startswith("localhost/") else kinds.get(value)
    if kind is None:
        errors.append(invalid(path, value, "must be a valid seccomp profile"))
        return
    profile = (spec.get("securityContext") or {}).get("seccompProfile")
    if profile is not None and profile.get("type") != kind:
        text = "seccomp type in annotation and field must match"
        errors.append(forbidden("spec.securityContext.seccompProfile.type", text))


def template(errors: Errors, path: str, value: Obj) -> None:
    """A pod template in a workload or a PodTemplate."""
    if value.get("metadata"):
        template_metadata(errors, path, value["metadata"])
    spec = value.get("spec") or {}
    pod_spec(errors, f"{path}.spec", spec, is_pod=False)
    if spec.get("ephemeralContainers"):
        inner = f"{path}.spec.ephemeralContainers"
        errors.append(forbidden(inner, "ephemeral containers not allowed in pod template"))
