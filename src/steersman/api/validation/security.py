"""Validation of security contexts of pods and containers."""

from __future__ import annotations

import re

from steersman.api.validation.common import Errors, complain, one_of, unique
from steersman.machinery import names
from steersman.machinery.fielderrors import forbidden, invalid, required, too_long
from steersman.machinery.kept import kept
from steersman.machinery.meta import Obj

_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_APPARMOR_LIMIT = 4095
_GMSA_LIMIT = 64 * 1024
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = re.compile(rf"{_SYSCTL_SEGMENT}([./]{_SYSCTL_SEGMENT})*")
_SYSCTL_TEXT = f"must have at most 253 characters and match regex ^({_SYSCTL_SEGMENT}[\\./])*{_SYSCTL_SEGMENT}$"
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "fs.mqueue.")
_USER_NAME = re.compile(r"(?:[^\x00-\x1f\"/\\:*?<>|+,;=@\[\]]+\\)?[^\"/\\:;|=,+*?<>@\[\]]+")

_ON_WINDOWS = "cannot be set for a windows pod"
_WINDOWS_BOTH = ("appArmorProfile", "seLinuxOptions", "seccompProfile", "runAsUser", "runAsGroup")
_WINDOWS_POD = (
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
)
_WINDOWS_CONTAINER = ("capabilities", "readOnlyRootFilesystem", "privileged", "allowPrivilegeEscalation", "procMount")


def ids(errors: Errors, path: str, context: Obj, keys: tuple[str, ...]) -> None:
    for key in keys:
        value = context.get(key)
        if value is not None and not 0 <= value <= 2**31 - 1:
            complain(errors, f"{path}.{key}", value, names.id_number(value))


def _seccomp(errors: Errors, path: str, profile: Obj) -> None:
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    if not kind:
        errors.append(required(f"{path}.type", "type is required when seccompProfile is set"))
        return
    one_of(errors, f"{path}.type", kind, _PROFILES)
    if kind == "Localhost":
        if not local:
            errors.append(required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost"))
        elif local.startswith("/"):
            errors.append(invalid(f"{path}.localhostProfile", local, "must be a relative path"))
        elif ".." in local.split("/"):
            errors.append(invalid(f"{path}.localhostProfile", local, "must not contain '..'"))
    elif local is not None:
        errors.append(invalid(f"{path}.localhostProfile", local, "can only be set when seccomp type is Localhost"))


def _apparmor(errors: Errors, path: str, profile: Obj) -> None:
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    if not kind:
        errors.append(required(f"{path}.type", "type is required when appArmorProfile is set"))
        return
    one_of(errors, f"{path}.type", kind, _PROFILES)
    inner = f"{path}.localhostProfile"
    if kind != "Localhost":
        if local is not None:
            errors.append(invalid(inner, local, "can only be set when AppArmor type is Localhost"))
        return
    stripped = (local or "").strip()
    if local and stripped != local:
        errors.append(invalid(inner, local, "must not be padded with whitespace"))
    elif not stripped:
        errors.append(required(inner, "must be set when AppArmor type is Localhost"))
    elif len(local or "") > _APPARMOR_LIMIT:
        errors.append(too_long(inner, _APPARMOR_LIMIT))


def _windows(errors: Errors, path: str, options: Obj) -> None:
    spec, user = options.get("gmsaCredentialSpec"), options.get("runAsUserName")
    if spec is not None and not spec:
        errors.append(invalid(f"{path}.gmsaCredentialSpec", spec, "gmsaCredentialSpec cannot be an empty string"))
    elif spec is not None and len(spec) > _GMSA_LIMIT:
        text = f"gmsaCredentialSpec size must be under {_GMSA_LIMIT // 1024} KiB"
        errors.append(invalid(f"{path}.gmsaCredentialSpec", spec, text))
    if user is None:
        return
    if not user:
        errors.append(invalid(f"{path}.runAsUserName", user, "runAsUserName cannot be an empty string"))
    elif not _USER_NAME.fullmatch(user):
        text = "runAsUserName must be of the form [DOMAIN\\]USER"
        errors.append(invalid(f"{path}.runAsUserName", user, text))


def _shared(errors: Errors, path: str, context: Obj) -> None:
    """What pods and containers have in common."""
    if context.get("seccompProfile") is not None:
        _seccomp(errors, f"{path}.seccompProfile", context["seccompProfile"])
    if context.get("windowsOptions") is not None:
        _windows(errors, f"{path}.windowsOptions", context["windowsOptions"])
    if context.get("appArmorProfile") is not None:
        _apparmor(errors, f"{path}.appArmorProfile", context["appArmorProfile"])


def container(errors: Errors, path: str, context: Obj, *, host_users: bool) -> None:
    """A container's securityContext. `host_users`: the pod shares the host's user namespace."""
    ids(errors, path, context, ("runAsUser", "runAsGroup"))
    mount = context.get("procMount")
    if mount:
        one_of(errors, f"{path}.procMount", mount, ("Default", "Unmasked"))
        if host_users and mount == "Unmasked":
            errors.append(invalid(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`"))
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(invalid(path, context, text))
        added = (context.get("capabilities") or {}).get("add") or ()
        if "CAP_SYS_ADMIN" in added or "SYS_ADMIN" in added:
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(invalid(path, context, text))
    _shared(errors, path, context)


@kept(256)
def _sysctl_name(name: str) -> bool:
    return len(name) <= 253 and _SYSCTL.fullmatch(name) is not None


def _sysctls(errors: Errors, path: str, spec: Obj, sysctls: list[Obj]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(sysctls):
        inner, name = f"{path}[{index}].name", item.get("name") or ""
        if not name:
            errors.append(required(inner))
        elif not _sysctl_name(name):
            errors.append(invalid(inner, name, _SYSCTL_TEXT))
        else:
            unique(errors, inner, name, seen)
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith("net."):
            errors.append(invalid(inner, name, "may not be specified when 'hostNetwork' is true"))
        if spec.get("hostIPC") and (dotted.startswith(_IPC_SYSCTLS) or dotted == "kernel.sem"):
            errors.append(invalid(inner, name, "may not be specified when 'hostIPC' is true"))


def pod(errors: Errors, path: str, spec: Obj) -> None:
    """The pod's securityContext and what belongs to it in the spec."""
    if spec.get("hostPID") and spec.get("shareProcessNamespace"):
        inner = f"{path}.shareProcessNamespace"
        errors.append(invalid(inner, True, "ShareProcessNamespace and HostPID cannot both be enabled"))
    context = spec.get("securityContext")
    if not context:
        return
    path = f"{path}.securityContext"
    ids(errors, path, context, ("runAsUser", "runAsGroup", "fsGroup"))
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        complain(errors, f"{path}.supplementalGroups[{index}]", group, names.id_number(group))
    if context.get("sysctls"):
        _sysctls(errors, f"{path}.sysctls", spec, context["sysctls"])
    one_of(errors, f"{path}.fsGroupChangePolicy", context.get("fsGroupChangePolicy"), ("Always", "OnRootMismatch"))
    one_of(errors, f"{path}.supplementalGroupsPolicy", context.get("supplementalGroupsPolicy"), ("Merge", "Strict"))
    one_of(errors, f"{path}.seLinuxChangePolicy", context.get("seLinuxChangePolicy"), ("Recursive",))
    _shared(errors, path, context)


def os_limits(errors: Errors, path: str, spec: Obj) -> None:
    """What a pod of the named operating system may not set."""
    system = (spec.get("os") or {}).get("name")
    if not system:
        return
    contexts = [(f"{path}.securityContext", spec.get("securityContext") or {})]
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for index, item in enumerate(spec.get(kind) or ()):
            contexts.append((f"{path}.{kind}[{index}].securityContext", item.get("securityContext") or {}))
    for index, (where, context) in enumerate(contexts):
        if system == "linux":
            if context.get("windowsOptions") is not None:
                errors.append(forbidden(f"{where}.windowsOptions", "windows options cannot be set for a linux pod"))
        elif system == "windows":
            for key in (*_WINDOWS_BOTH, *(_WINDOWS_CONTAINER if index else _WINDOWS_POD)):
                if context.get(key) is not None:
                    errors.append(forbidden(f"{where}.{key}", _ON_WINDOWS))
    if system == "windows":
        for key in ("hostPID", "hostIPC", "shareProcessNamespace"):
            if spec.get(key):
                errors.append(forbidden(f"{path}.{key}", _ON_WINDOWS))
        if spec.get("hostUsers") is not None:
            errors.append(forbidden(f"{path}.hostUsers", _ON_WINDOWS))
