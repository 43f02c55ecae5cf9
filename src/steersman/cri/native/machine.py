"""What this machine lets us hand out: capabilities, the lowest oom_score_adj, devices for privileged containers."""

from __future__ import annotations

import os
import stat

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Device
from steersman.machinery.meta import Obj

_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
"""In the order of their bits (linux/capability.h)."""
_NOT_HANDED_OUT = {"pts", "shm", "fd", "mqueue", "console", "ptmx", "stdin", "stdout", "stderr", "core"}


def own_capabilities() -> frozenset[str]:
    """Names without CAP_ of what is in our bounding set: nothing outside it can be given to a container."""
    with open("/proc/self/status") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd:"))
    return frozenset(name for bit, name in enumerate(_CAPABILITIES) if mask >> bit & 1)


def lowest_oom_score_adj(capabilities: frozenset[str]) -> int:
    """Without CAP_SYS_RESOURCE nothing can go below our own value."""
    if "SYS_RESOURCE" in capabilities:
        return -1000
    with open("/proc/self/oom_score_adj") as file:
        return int(file.read())


def device_node(device: Device) -> list[Obj]:
    """OCI devices for a CRI device; a directory means every node below it."""
    found: list[Obj] = []
    if os.path.isdir(device.host_path):
        for name in sorted(os.listdir(device.host_path)):
            inner = Device(f"{device.container_path}/{name}", f"{device.host_path}/{name}", device.permissions)
            found += device_node(inner)
        return found
    try:
        status = os.stat(device.host_path)
    except OSError as error:
        raise RuntimeFault(f"device {device.host_path}: {error.strerror}") from error
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if kind:
        node: Obj = {"path": device.container_path, "type": kind, "access": device.permissions}
        node |= {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}
        node |= {"fileMode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
        found.append(node)
    return found


def all_devices() -> list[Obj]:
    """Every device node of the machine, for a privileged container."""
    found: list[Obj] = []
    for name in sorted(os.listdir("/dev")):
        path = f"/dev/{name}"
        if name not in _NOT_HANDED_OUT and not os.path.islink(path):
            found += device_node(Device(path, path, "rwm"))
    return found
