"""A sandbox's namespaces and its pause process, made from a thread of ours without any helper program (about 2 ms).

The thread unshares network, IPC, UTS (and PID) namespaces, pins the network namespace by a bind mount, enters an empty root
file system, gives up
root and spawns the pause program, which inherits all of that. Then the thread ends; this process itself never changes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from steersman.cri.native import linux
from steersman.cri.native.cgroups import Cgroups
from steersman.cri.native.procs import ProcessId, identify
from steersman.cri.native.threads import in_own_thread
from steersman.machinery.programs import spawn

log = logging.getLogger(__name__)

T = TypeVar("T")
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_NOBODY = 65535
_OPEN_NETWORK = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
"""What containerd 2 also gives every pod with its own network: low ports and ping need no capability."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The namespaces of one sandbox. netns: where to pin a new network namespace, "" to stay in the host's; likewise the
    flags."""

    netns: str
    own_ipc: bool
    shared_pid: bool
    hostname: str
    sysctls: Mapping[str, str]
    cgroup: str
    uid: int | None
    gid: int | None


async def start_pause(wanted: Wanted, pause_root: str, cgroups: Cgroups) -> ProcessId:
    """Make the namespaces; the pause process that holds them. Raises OSError; what was pinned by then is unpinned by
    `release_netns`."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        pid = await in_own_thread(lambda: _make(wanted, pause_root, cgroups, null))
    finally:
        os.close(null)
    if cgroups.v2:
        cgroups.add(wanted.cgroup, pid)
    process = identify(pid)
    if process is None:
        raise OSError(0, "the pause process ended at once", wanted.cgroup)
    _protect(pid)
    return process


def _make(wanted: Wanted, pause_root: str, cgroups: Cgroups, null: int) -> int:
    flags = linux.CLONE_FS
    if wanted.netns:
        flags |= linux.CLONE_NEWNET | linux.CLONE_NEWUTS
    if wanted.own_ipc:
        flags |= linux.CLONE_NEWIPC
    if wanted.shared_pid:
        flags |= linux.CLONE_NEWPID
    if not cgroups.v2:
        cgroups.join_this_thread(wanted.cgroup)
    linux.unshare(flags)
    sysctls = dict(wanted.sysctls)
    if wanted.netns:
        os.close(os.open(wanted.netns, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
        linux.mount("/proc/thread-self/ns/net", wanted.netns, flags=linux.MS_BIND)
        socket.sethostname(wanted.hostname)
        _loopback_up()
        sysctls = {**_OPEN_NETWORK, **sysctls}
    for name, value in sysctls.items():
        with open(f"/proc/sys/{name.replace('.', '/')}", "w") as file:
            file.write(value)
    _enter_empty_root(pause_root)
    linux.drop_to(_NOBODY if wanted.uid is None else wanted.uid, _NOBODY if wanted.gid is None else wanted.gid)
    return spawn(["/pause"], stdin=null, stdout=null, stderr=null)


def _enter_empty_root(pause_root: str) -> None:
    """A mount namespace with nothing but the pause program: whoever shares the PID namespace cannot reach the host through
    /proc/1/root."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount(pause_root, pause_root, flags=linux.MS_BIND)
    linux.mount("", pause_root, flags=linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV)
    os.chdir(pause_root)
    linux.pivot_root(".", ".")
    linux.umount(".")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _protect(pid: int) -> None:
    """The pause process should be the last to go when memory runs out; without CAP_SYS_RESOURCE it stays like any other."""
    try:
        with open(f"/proc/{pid}/oom_score_adj", "w") as file:
            file.write("-998")
    except OSError as error:
        log.debug("oom_score_adj stays pid=%d error=%s", pid, error)


def release_netns(path: str) -> None:
    """Unpin a network namespace; idempotent."""
    while linux.umount(path):
        pass
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


async def inside_netns(path: str, function: Callable[[], T]) -> T:
    """Run a function in a thread that has entered the network namespace. Sockets it opens stay there wherever they are used
    later."""

    def enter_and_call() -> T:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            linux.setns(fd, linux.CLONE_NEWNET)
        finally:
            os.close(fd)
        return function()

    return await in_own_thread(enter_and_call)
