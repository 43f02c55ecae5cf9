"""Security contexts to the runtime's terms: users, capabilities, seccomp, masked paths; the refusal to run as root. Pure.

Source: upstream pkg/securitycontext/util.go, pkg/kubelet/kuberuntime/security_context*.go.
"""

from __future__ import annotations

from typing import Any

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Image, NamespaceMode, Security
from steersman.kubelet import pods
from steersman.machinery.meta import Obj, dig

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_NOT_SAFE = "container has runAsNonRoot and image "


def effective(pod: Obj, spec: Obj, key: str) -> Any:
    """A value that the container's security context may override the pod's with."""
    own = dig(spec, "securityContext", key, default=None)
    return own if own is not None else dig(pod, "spec", "securityContext", key, default=None)


def seccomp(profile: Obj | None, seccomp_dir: str) -> str:
    kind = (profile or {}).get("type") or "Unconfined"
    if kind == "Localhost":
        return f"Localhost:{seccomp_dir}/{(profile or {})['localhostProfile']}"
    return str(kind)


def apparmor(profile: Obj | None) -> str:
    kind = (profile or {}).get("type")
    if kind == "Localhost":
        return f"localhost/{(profile or {})['localhostProfile']}"
    return {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}.get(kind or "", "")


def wants_apparmor(pod: Obj) -> bool:
    """Whether it names a profile that only a machine with AppArmor can enforce."""
    found = [effective(pod, spec, "appArmorProfile") for spec in pods.all_containers(pod)]
    return any(profile and profile.get("type") != "Unconfined" for profile in found)


def supplemental_groups(pod: Obj) -> tuple[int, ...]:
    context = dig(pod, "spec", "securityContext", default=None) or {}
    groups = list(context.get("supplementalGroups") or ())
    if context.get("fsGroup") is not None:
        groups.insert(0, context["fsGroup"])
    return tuple(dict.fromkeys(groups))


def has_strict_groups(pod: Obj) -> bool:
    """Whether its processes are in no groups but those it names, whatever its images say."""
    return bool(dig(pod, "spec", "securityContext", "supplementalGroupsPolicy", default="") == "Strict")


def verify_non_root(pod: Obj, spec: Obj, image: Image | None) -> None:
    """Refuse a container that says runAsNonRoot but would be root. Raises RuntimeFault(CreateContainerConfigError)."""
    if not effective(pod, spec, "runAsNonRoot"):
        return
    where = f"(pod: {_quoted_name(pod)}, container: {spec['name']})"
    user = effective(pod, spec, "runAsUser")
    if user is not None:
        if user == 0:
            raise _refused(f"container's runAsUser breaks non-root policy {where}")
        return
    if image is None:
        return
    if image.username and not image.username.isdigit():
        raise _refused(f"{_NOT_SAFE}has non-numeric user ({image.username}), cannot verify user is non-root {where}")
    if not image.uid:
        raise _refused(f"{_NOT_SAFE}will run as root {where}")


def _quoted_name(pod: Obj) -> str:
    return f'"{pods.full_name(pod)}"'


def _refused(message: str) -> RuntimeFault:
    return RuntimeFault(message, reason="CreateContainerConfigError")


def pid_mode(pod: Obj) -> NamespaceMode:
    if dig(pod, "spec", "hostPID", default=False):
        return NamespaceMode.NODE
    return NamespaceMode.POD if dig(pod, "spec", "shareProcessNamespace", default=False) else NamespaceMode.CONTAINER


def container_security(pod: Obj, spec: Obj, seccomp_dir: str, target_id: str = "", *, default_seccomp: bool = False) -> Security:
    """The whole security context of a container. target_id: the container whose process namespace an ephemeral one joins.

    default_seccomp: who says nothing has the runtime's profile.
    """
    own = spec.get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    unmasked = own.get("procMount") == "Unmasked" or bool(own.get("privileged"))
    privileged = bool(own.get("privileged"))
    profile = effective(pod, spec, "seccompProfile") or ({"type": "RuntimeDefault"} if default_seccomp else None)
    return Security(
        run_as_user=effective(pod, spec, "runAsUser"),
        run_as_group=effective(pod, spec, "runAsGroup"),
        supplemental_groups=supplemental_groups(pod),
        strict_groups=has_strict_groups(pod),
        privileged=privileged,
        add_capabilities=tuple(capabilities.get("add") or ()),
        drop_capabilities=tuple(capabilities.get("drop") or ()),
        readonly_rootfs=bool(own.get("readOnlyRootFilesystem")),
        no_new_privs=own.get("allowPrivilegeEscalation") is False,
        seccomp="Unconfined" if privileged else seccomp(profile, seccomp_dir),
        apparmor="" if privileged else apparmor(effective(pod, spec, "appArmorProfile")),
        masked_paths=() if unmasked else MASKED_PATHS,
        readonly_paths=() if unmasked else READONLY_PATHS,
        pid=NamespaceMode.TARGET if target_id else pid_mode(pod),
        target_id=target_id,
    )
