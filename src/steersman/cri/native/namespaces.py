"""A sandbox's namespaces and its pause process, made from a thread of ours without any helper program (about 2 ms).

The thread unshares network, IPC, UTS (and PID) namespaces, pins the network namespace by a bind mount, enters an empty root
file system, gives up
root and spawns the pause program, which inherits all of that. Then the thread ends; this process itself never changes.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from steersman.cri.messages import IdMapping
from steersman.cri.native import linux
from steersman.cri.native.cgroups import Cgroups
from steersman.cri.native.entering import NOBODY, OPEN_NETWORK, enter_empty_root, loopback_up
from steersman.cri.native.procs import ProcessId, identify
from steersman.cri.native.threads import in_own_thread
from steersman.machinery.programs import spawn

log = logging.getLogger(__name__)

T = TypeVar("T")


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
    id_mappings: tuple[IdMapping, ...] = ()
    """A user namespace of its own; none: the host's."""


async def start_pause(wanted: Wanted, pause_root: str, cgroups: Cgroups, make_mapped: Callable[[Wanted, str], int]) -> ProcessId:
    """Make the namespaces; the pause process that holds them. Raises OSError; what was pinned by then is unpinned by
    `release_netns`. make_mapped: how that is done with a user namespace (usernamespaces.make)."""
    if wanted.id_mappings:
        pid = await in_own_thread(lambda: make_mapped(wanted, pause_root))
        # Not before: the program that makes it is larger than what some pods may use.
        cgroups.add(wanted.cgroup, pid)
        return _begun(wanted, pid)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        pid = await in_own_thread(lambda: _make(wanted, pause_root, cgroups, null))
    finally:
        os.close(null)
    if cgroups.v2:
        cgroups.add(wanted.cgroup, pid)
    return _begun(wanted, pid)


def _begun(wanted: Wanted, pid: int) -> ProcessId:
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
        pin_netns("/proc/thread-self/ns/net", wanted.netns)
        socket.sethostname(wanted.hostname)
        loopback_up()
        sysctls = {**OPEN_NETWORK, **sysctls}
    for name, value in sysctls.items():
        path = f"/proc/sys/{name.replace('.', '/')}"
        try:
            with open(path, "w") as file:
                file.write(value)
        except OSError as error:
            raise OSError(error.errno, f"write sysctl key {name}", path) from error
    enter_empty_root(pause_root)
    linux.drop_to(NOBODY if wanted.uid is None else wanted.uid, NOBODY if wanted.gid is None else wanted.gid)
    return spawn(["/pause"], stdin=null, stdout=null, stderr=null)


def _protect(pid: int) -> None:
    """The pause process should be the last to go when memory runs out; without CAP_SYS_RESOURCE it stays like any other."""
    try:
        with open(f"/proc/{pid}/oom_score_adj", "w") as file:
            file.write("-998")
    except OSError as error:
        log.debug("oom_score_adj stays pid=%d error=%s", pid, error)


def pin_netns(source: str, path: str) -> None:
    """Keep a network namespace, given by its file in /proc, under a path of ours. Raises OSError."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    linux.mount(source, path, flags=linux.MS_BIND)


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
