"""Validation of the pods/resize subresource: cpu and memory of running containers."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.qos import qos_class
from steersman.api.validation.common import Errors
from steersman.api.validation.pod import MIRROR, whole
from steersman.api.validation.pod_update import changed_keys
from steersman.machinery.fielderrors import FieldError, forbidden, invalid
from steersman.machinery.meta import Obj, annotations_of

_RESIZABLE = {"cpu", "memory"}
_NO_SUPPORT = "Pod running on node without support for resize"


def validate_resize(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    whole(errors, new)
    if MIRROR in annotations_of(old):
        errors.append(forbidden("", "static pods cannot be resized"))
        return errors
    if (stored.get("os") or {}).get("name") == "windows":
        errors.append(forbidden("", "windows pods cannot be resized"))
    if not _supported(old):
        errors.append(forbidden("", _NO_SUPPORT))
    if qos_class(spec) != ((old.get("status") or {}).get("qosClass") or qos_class(stored)):
        errors.append(invalid("spec", qos_class(spec), "Pod QOS Class may not change as a result of resizing"))
    if moved := _moved_containers(spec, stored):
        # What follows compares each container with the one in its place.
        return [*errors, *moved]
    _containers(errors, spec, stored)
    _pod_level(errors, spec.get("resources") or {}, stored.get("resources") or {})
    return errors


def _supported(pod: Obj) -> bool:
    """Running containers without resources in their status are on a kubelet that cannot resize."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return all(item.get("resources") is not None for item in statuses if (item.get("state") or {}).get("running"))


def _moved_containers(spec: Obj, stored: Obj) -> Errors:
    errors: Errors = []
    for kind in ("containers", "initContainers"):
        names = [item.get("name") for item in spec.get(kind) or ()]
        before = [item.get("name") for item in stored.get(kind) or ()]
        if len(names) != len(before):
            errors.append(forbidden(f"spec.{kind}", f"{kind} may not be added or removed on resize"))
            continue
        for index, (name, old) in enumerate(zip(names, before)):
            if name != old:
                errors.append(forbidden(f"spec.{kind}[{index}].name", f"{kind} may not be renamed or reordered on resize"))
    return errors


def _containers(errors: Errors, spec: Obj, stored: Obj) -> None:
    for kind in ("containers", "initContainers"):
        for index, (new, old) in enumerate(zip(spec.get(kind) or (), stored.get(kind) or ())):
            path = f"spec.{kind}[{index}].resources"
            resources, before = new.get("resources") or {}, old.get("resources") or {}
            if kind == "initContainers" and old.get("restartPolicy") != "Always":
                if not same(resources, before):
                    text = "only cpu and memory resources for init or sidecar containers are mutable"
                    errors.append(forbidden(path, text))
                continue
            _amounts(errors, path, resources, before, "only cpu and memory resources are mutable")


def _amounts(errors: Errors, path: str, new: Obj, old: Obj, text: str) -> None:
    for key, word in (("limits", "limits"), ("requests", "requests")):
        values, before = new.get(key) or {}, old.get(key) or {}
        if (before.keys() - values.keys()) & _RESIZABLE:
            errors.append(forbidden(f"{path}.{key}", f"resource {word} cannot be removed"))
        if changed_keys(values, before) - _RESIZABLE:
            errors.append(forbidden(f"{path}.{key}", text))
    if not same(new.get("claims"), old.get("claims")):
        errors.append(forbidden(path, text))


def _pod_level(errors: Errors, new: Obj, old: Obj) -> None:
    if old and not new:
        errors.append(forbidden("spec.resources", "pod-level resources cannot be removed"))
    elif not same(new, old):
        _amounts(errors, "spec.resources", new, old, "only cpu and memory resources are mutable at pod-level")
