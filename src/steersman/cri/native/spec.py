"""The OCI runtime spec (config.json) of a container: pure, from what CRI, the image and the sandbox say.

Source: OCI runtime-spec 1.0.2 config-linux.md; defaults as containerd's CRI plugin sets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerConfig, IdMapping, Mount, Propagation, Resources, Security
from steersman.cri.native.users import Identity
from steersman.machinery.meta import Obj

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip
_PROPAGATION = {
    Propagation.PRIVATE: "rprivate",
    Propagation.HOST_TO_CONTAINER: "rslave",
    Propagation.BIDIRECTIONAL: "rshared",
}


@dataclass(frozen=True, slots=True)
class ImageDefaults:
    """What the image's config says about running it."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the sandbox and the machine give: namespace paths ("" = the host's), files to mount, limits of our own power."""

    network_ns: str
    ipc_ns: str
    uts_ns: str
    pid_ns: str
    """Path to join, "host", or "new"."""
    hostname: str
    resolv_conf: str
    hostname_file: str
    shm: str
    cgroup: str
    cgroup_v2: bool
    capabilities: frozenset[str]
    """Every capability we may hand out, without CAP_."""
    lowest_oom_score_adj: int
    user_ns: str = ""
    """Path to join, "" for the host's."""
    id_mappings: Sequence[IdMapping] = ()
    """Of the user namespace."""
    host_devices: Sequence[Obj] = ()
    """For privileged containers."""
    seccomp: Obj | None = None


def command_line(config: ContainerConfig, image: ImageDefaults) -> tuple[str, ...]:
    """Kubernetes' rule: a command replaces entrypoint and cmd; args alone replace cmd."""
    if config.command:
        argv = (*config.command, *config.args)
    else:
        argv = (*image.entrypoint, *(config.args or image.command))
    if not argv:
        raise RuntimeFault("no command specified")
    return argv


def environment(config: ContainerConfig, image: ImageDefaults, hostname: str, home: str) -> list[str]:
    """PATH, HOSTNAME, TERM, the image's, then the pod's; the last value of a name wins, in the place of the first."""
    values: dict[str, str] = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if config.tty:
        values["TERM"] = "xterm"
    for entry in image.env:
        name, _, value = entry.partition("=")
        values[name] = value
    values.update(config.envs)
    values.setdefault("HOME", home)
    return [f"{name}={value}" for name, value in values.items()]


def capabilities(security: Security, ours: frozenset[str]) -> list[str]:
    """CAP_ names a container gets: `drop` before `add`, ALL understood in both; never more than we have ourselves."""
    if security.privileged:
        return sorted(f"CAP_{name}" for name in ours)
    granted = set(DEFAULT_CAPABILITIES)
    add = {name.upper().removeprefix("CAP_") for name in security.add_capabilities}
    drop = {name.upper().removeprefix("CAP_") for name in security.drop_capabilities}
    if "ALL" in add:
        granted = set(ours)
    if "ALL" in drop:
        granted = set()
    granted = (granted - drop) | (add - {"ALL"})
    if unknown := granted - ours - set(DEFAULT_CAPABILITIES):
        raise RuntimeFault(f"capabilities not available on this machine: {', '.join(sorted(unknown))}")
    return sorted(f"CAP_{name}" for name in granted & ours)


def linux_resources(resources: Resources, *, v2: bool) -> Obj:
    """OCI `linux.resources` without devices; unset values are left out."""
    cpu: Obj = {}
    if resources.cpu_shares:
        cpu["shares"] = resources.cpu_shares
    if resources.cpu_quota:
        cpu["quota"] = resources.cpu_quota
        cpu["period"] = resources.cpu_period or 100_000
    if resources.cpuset_cpus:
        cpu["cpus"] = resources.cpuset_cpus
    if resources.cpuset_mems:
        cpu["mems"] = resources.cpuset_mems
    out: Obj = {"cpu": cpu} if cpu else {}
    if resources.memory_limit:
        # "swap" is memory plus swap: equal means none (the kubelet's NoSwap). Version 1 often has no swap accounting.
        swap = {"swap": resources.memory_limit} if v2 else {}
        out["memory"] = {"limit": resources.memory_limit, **swap}
    if resources.pids_limit:
        out["pids"] = {"limit": resources.pids_limit}
    if resources.huge_pages:
        out["hugepageLimits"] = [{"pageSize": size, "limit": limit} for size, limit in resources.huge_pages]
    if v2 and resources.unified:
        out["unified"] = dict(resources.unified)
    return out


def _mount(destination: str, kind: str, source: str, *options: str) -> Obj:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _mounts(config: ContainerConfig, around: Surroundings) -> list[Obj]:
    writable = "rw" if config.security.privileged else "ro"
    mounts = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", writable),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", writable),
    ]
    # With the host's network the container is in a network namespace that is not its own to mount sysfs for, but root may.
    files = [("/etc/resolv.conf", around.resolv_conf), ("/etc/hostname", around.hostname_file), ("/dev/shm", around.shm)]
    taken = {mount.container_path.rstrip("/") for mount in config.mounts}
    own = [Mount(target, source) for target, source in files if source and target not in taken]
    # Shallow before deep, so that a mount is never hidden by one above it.
    for mount in sorted([*own, *config.mounts], key=lambda item: item.container_path.rstrip("/").count("/")):
        readonly = "rro" if mount.recursive_read_only else "ro" if mount.readonly else "rw"
        mounts.append(_mount(mount.container_path, "bind", mount.host_path, "rbind", _PROPAGATION[mount.propagation], readonly))
    return mounts


def _namespaces(around: Surroundings) -> list[Obj]:
    spaces: list[Obj] = [{"type": "mount"}]
    joined = {"user": around.user_ns, "network": around.network_ns, "ipc": around.ipc_ns, "uts": around.uts_ns}
    spaces += [{"type": kind, "path": path} for kind, path in joined.items() if path]
    if around.pid_ns == "new":
        spaces.append({"type": "pid"})
    elif around.pid_ns != "host":
        spaces.append({"type": "pid", "path": around.pid_ns})
    if around.cgroup_v2:
        spaces.append({"type": "cgroup"})
    return spaces


def _rootfs_propagation(mounts: Sequence[Mount]) -> Mapping[str, str]:
    kinds = {mount.propagation for mount in mounts}
    if Propagation.BIDIRECTIONAL in kinds:
        return {"rootfsPropagation": "rshared"}
    return {"rootfsPropagation": "rslave"} if Propagation.HOST_TO_CONTAINER in kinds else {}


def _mappings(mappings: Sequence[IdMapping]) -> Obj:
    listed = [{"containerID": each.container_id, "hostID": each.host_id, "size": each.length} for each in mappings]
    return {"uidMappings": listed, "gidMappings": listed} if listed else {}


def process_spec(
    argv: Sequence[str], config: ContainerConfig, image: ImageDefaults, identity: Identity, around: Surroundings, *, tty: bool
) -> Obj:
    """OCI `process`: of the container, or of a command exec'd in it."""
    caps = capabilities(config.security, around.capabilities)
    process: Obj = {
        "terminal": tty,
        "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups)},
        "args": list(argv),
        "env": environment(config, image, around.hostname, identity.home),
        "cwd": config.working_dir or image.working_dir or "/",
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        "noNewPrivileges": config.security.no_new_privs and not config.security.privileged,
        "oomScoreAdj": max(config.resources.oom_score_adj, around.lowest_oom_score_adj),
    }
    if config.security.apparmor and not config.security.privileged:
        process["apparmorProfile"] = config.security.apparmor
    return process


def container_spec(
    config: ContainerConfig, image: ImageDefaults, identity: Identity, around: Surroundings, *, rootfs: str
) -> Obj:
    """The whole config.json. Raises RuntimeFault when there is nothing to run."""
    security = config.security
    resources = linux_resources(config.resources, v2=around.cgroup_v2)
    rules: list[Obj] = [{"allow": security.privileged, "access": "rwm"}]
    devices = list(around.host_devices)
    for device in devices if not security.privileged else ():
        rule = {"allow": True, "type": device["type"], "major": device["major"], "minor": device["minor"]}
        rules.append({**rule, "access": device.get("access", "rwm")})
    resources["devices"] = rules
    return {
        "ociVersion": "1.0.2",
        "process": process_spec(command_line(config, image), config, image, identity, around, tty=config.tty),
        "root": {"path": rootfs, "readonly": security.readonly_rootfs},
        "mounts": _mounts(config, around),
        "linux": {
            "namespaces": _namespaces(around),
            "resources": resources,
            "cgroupsPath": around.cgroup,
            "devices": [{key: value for key, value in device.items() if key != "access"} for device in devices],
            "maskedPaths": [] if security.privileged else list(security.masked_paths),
            "readonlyPaths": [] if security.privileged else list(security.readonly_paths),
            **({"seccomp": around.seccomp} if around.seccomp else {}),
            **_rootfs_propagation(config.mounts),
            **_mappings(around.id_mappings),
        },
    }
