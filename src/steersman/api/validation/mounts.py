"""Validation of a container's volume mounts and volume devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steersman.api.validation.common import Errors, needs, one_of
from steersman.machinery.fielderrors import forbidden, invalid, not_found, required
from steersman.machinery.meta import Obj

_PROPAGATION = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")


def descending_path(errors: Errors, path: str, value: str, *, reserved: bool = True) -> None:
    """A relative path that stays below where it starts. Not `reserved`: names may not start with '..' either."""
    if value.startswith("/"):
        errors.append(invalid(path, value, "must be a relative path"))
    parts = value.split("/")
    if ".." in parts:
        errors.append(invalid(path, value, "must not contain '..'"))
    elif not reserved and value.startswith(".."):
        errors.append(invalid(path, value, "must not start with '..'"))


def mounts(errors: Errors, path: str, container: Obj, volumes: Mapping[str, Obj]) -> None:
    """volumeMounts of a container. `volumes`: the pod's, by name."""
    seen: set[str] = set()
    devices = container.get("volumeDevices") or ()
    device_names = {device.get("name") for device in devices}
    device_paths = {device.get("devicePath") for device in devices}
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        name, where = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            errors.append(required(f"{path}[{index}].name"))
        elif name not in volumes:
            errors.append(not_found(f"{path}[{index}].name", name))
        if not where:
            errors.append(required(f"{path}[{index}].mountPath"))
        elif where in seen:
            errors.append(invalid(f"{path}[{index}].mountPath", where, "must be unique"))
        seen.add(where)
        if name in device_names:
            errors.append(invalid(f"{path}[{index}].name", name, "must not already exist in volumeDevices"))
        if where in device_paths:
            text = "must not already exist as a path in volumeDevices"
            errors.append(invalid(f"{path}[{index}].mountPath", where, text))
        if len(mount) > 2:
            _options(errors, path, index, mount, container)


def _options(errors: Errors, path: str, index: int, mount: Obj, container: Obj) -> None:
    """Everything but name and path. Most of it is reported without the index, as upstream does."""
    if mount.get("subPath"):
        descending_path(errors, f"{path}.subPath", mount["subPath"])
    if mount.get("subPathExpr"):
        if mount.get("subPath"):
            text = "subPathExpr and subPath are mutually exclusive"
            errors.append(invalid(f"{path}[{index}].subPathExpr", mount["subPathExpr"], text))
        descending_path(errors, f"{path}.subPathExpr", mount["subPathExpr"])
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        one_of(errors, f"{path}.mountPropagation", propagation, _PROPAGATION)
        privileged = (container.get("securityContext") or {}).get("privileged")
        if propagation == "Bidirectional" and not privileged:
            text = "Bidirectional mount propagation is available only to privileged containers"
            errors.append(forbidden(f"{path}.mountPropagation", text))
    recursive = mount.get("recursiveReadOnly")
    if recursive is not None:
        _recursive(errors, f"{path}.recursiveReadOnly", recursive, mount)


def _recursive(errors: Errors, path: str, value: str, mount: Obj) -> None:
    one_of(errors, path, value, _RECURSIVE)
    if value not in ("Enabled", "IfPossible"):
        return
    if not mount.get("readOnly"):
        errors.append(forbidden(path, "may only be specified when readOnly is true"))
    if mount.get("mountPropagation") not in (None, "None"):
        errors.append(forbidden(path, "may only be specified when mountPropagation is None or not specified"))


def devices(errors: Errors, path: str, items: Sequence[Obj], mounted: Sequence[Obj], volumes: Mapping[str, Obj]) -> None:
    """volumeDevices of a container: raw block volumes."""
    names: set[str] = set()
    paths: set[str] = set()
    mount_names = {mount.get("name") for mount in mounted}
    mount_paths = {mount.get("mountPath") for mount in mounted}
    for index, device in enumerate(items):
        inner, name, where = f"{path}[{index}]", device.get("name") or "", device.get("devicePath") or ""
        if needs(errors, f"{inner}.name", name):
            volume = volumes.get(name)
            if volume is None:
                errors.append(not_found(f"{inner}.name", name))
            elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
                text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
                errors.append(invalid(f"{inner}.name", name, text))
        if name in names:
            errors.append(invalid(f"{inner}.name", name, "must be unique"))
        if needs(errors, f"{inner}.devicePath", where):
            if where in paths:
                errors.append(invalid(f"{inner}.devicePath", where, "must be unique"))
            if ".." in where.split("/"):
                errors.append(invalid(f"{inner}.devicePath", where, "can not contain backsteps ('..')"))
        if name in mount_names:
            errors.append(invalid(f"{inner}.name", name, "must not already exist in volumeMounts"))
        if where in mount_paths:
            errors.append(invalid(f"{inner}.devicePath", where, "must not already exist as a path in volumeMounts"))
        names.add(name)
        paths.add(where)
