"""Control groups, version 1 (also hybrid) and 2: the pause process's own group, killing, statistics.

The groups of containers are made and limited by the OCI runtime; here they are only read, emptied and removed.
"""

from __future__ import annotations

import errno
import logging
import os
import signal

from steersman.cri.native import linux

log = logging.getLogger(__name__)

_ROOT = "/sys/fs/cgroup"
_MOUNTED_NOTE = "/run/steersman-mounted-controllers"
"""What of it was mounted by a cluster of this machine, a line each. Machine-wide, and gone after a reboot, as the mounts are."""
_PAUSE_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
"""On version 1 the pause process joins what accounts for it; every further group is kernel memory per pod."""


class Cgroups:
    """The machine's cgroup hierarchies. Paths are relative to their roots, as in OCI's cgroupsPath."""

    def __init__(self, root: str = _ROOT) -> None:
        self._root = root
        self.v2 = os.path.exists(f"{root}/cgroup.controllers")
        self._controllers = () if self.v2 else _v1_controllers(root)

    @property
    def limits_huge_pages(self) -> bool:
        """Whether the kernel has the controller; the OCI runtime refuses limits otherwise."""
        if self.v2:
            with open(f"{self._root}/cgroup.controllers") as file:
                return "hugetlb" in file.read().split()
        return os.path.isdir(f"{self._root}/hugetlb")

    def _dirs(self, path: str, only: tuple[str, ...] = ()) -> list[str]:
        relative = path.strip("/")
        if self.v2:
            return [f"{self._root}/{relative}"]
        return [f"{self._root}/{name}/{relative}" for name in self._controllers if not only or name in only]

    def join_this_thread(self, path: str) -> None:
        """Make the group and put the calling thread, hence what it spawns, into it. Version 1 only.

        Writing 0 to `tasks` moves the current thread without the global lock whose RCU grace period makes cgroup.procs cost 10
        ms.
        """
        for directory in self._dirs(path, _PAUSE_CONTROLLERS):
            os.makedirs(directory, exist_ok=True)
            _write(f"{directory}/tasks", "0")

    def add(self, path: str, pid: int) -> None:
        """Make the group and move a process into it."""
        for directory in self._dirs(path, _PAUSE_CONTROLLERS):
            os.makedirs(directory, exist_ok=True)
            _write(f"{directory}/cgroup.procs", str(pid))

    def pids(self, path: str) -> list[int]:
        """Every process in the group (not in groups below it), but this one: with version 1 a thread of ours that makes a sandbox
        joins its group, and the whole process is listed there until that thread has ended."""
        found: set[int] = set()
        for directory in self._dirs(path):
            try:
                with open(f"{directory}/cgroup.procs") as file:
                    found.update(int(line) for line in file)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise
        return sorted(found - {os.getpid()})

    def kill(self, path: str) -> None:
        """SIGKILL to everything in the group."""
        if self.v2:
            try:
                _write(f"{self._dirs(path)[0]}/cgroup.kill", "1")
                return
            except OSError:  # before Linux 5.14
                pass
        for pid in self.pids(path):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def oom_kills(self, path: str) -> int:
        """How often the kernel killed something in the group because its memory limit was reached."""
        name = "memory.events" if self.v2 else "memory.oom_control"
        for line in self.read(path, "memory", name).splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0

    def remove(self, path: str) -> None:
        """Remove the group and those below it; a group still busy stays (its owner tries again)."""
        for directory in self._dirs(path):
            for inner, _, _ in os.walk(directory, topdown=False):
                try:
                    os.rmdir(inner)
                except FileNotFoundError:
                    pass
                except OSError as error:
                    log.debug("cgroup stays path=%s error=%s", inner, error)

    def read(self, path: str, controller: str, name: str) -> str:
        """One file of the group; empty if it is not there."""
        directory = f"{self._root}/{path.strip('/')}" if self.v2 else f"{self._root}/{controller}/{path.strip('/')}"
        try:
            with open(f"{directory}/{name}") as file:
                return file.read()
        except OSError:
            return ""


def _v1_controllers(root: str) -> tuple[str, ...]:
    """The names under the root where hierarchies are mounted, `systemd` (name=systemd) and a hybrid machine's `unified` among
    them."""
    names: list[str] = []
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            target = fields.split(" ")[4]
            if rest.startswith(("cgroup ", "cgroup2 ")) and os.path.dirname(target) == root:
                names.append(os.path.basename(target))
    return tuple(names)


def settle_hybrid() -> None:
    """Mount what version 2 still holds of a hybrid machine's controllers as version 1, and note it for `unsettle_hybrid`.

    crun refuses hybrid machines where a controller (hugetlb on a bare Debian kernel) was left to the version 2 hierarchy.
    A machine booted by systemd never has that; controllers in use by version 2 cannot be taken and are left.
    """
    try:
        with open(f"{_ROOT}/unified/cgroup.controllers") as file:
            leftover = file.read().split()
    except OSError:
        return
    for name in leftover:
        try:
            mount_version_1(name)
            log.info("cgroup controller mounted controller=%s", name)
        except OSError as error:
            log.warning("cgroup controller stays with version 2 controller=%s error=%s", name, error)


def mount_version_1(name: str) -> None:
    """Mount one controller below the root, and note it. Raises OSError."""
    target = f"{_ROOT}/{name}"
    os.makedirs(target, exist_ok=True)
    linux.mount("cgroup", target, "cgroup", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, name)
    with open(_MOUNTED_NOTE, "a") as file:
        file.write(f"{target}\n")


def unsettle_hybrid() -> None:
    """Take back what was mounted here, but for what somebody has cgroups in: who of several clusters ends last takes that."""
    try:
        with open(_MOUNTED_NOTE) as file:
            targets = sorted(set(file.read().split()))
    except FileNotFoundError:
        return
    kept = []
    for target in targets:
        with os.scandir(target) as entries:
            in_use = any(entry.is_dir() for entry in entries)
        if in_use:
            kept.append(target)
        else:
            linux.umount(target)
            os.rmdir(target)
    if kept:
        _write(_MOUNTED_NOTE, "".join(f"{target}\n" for target in kept))
    else:
        os.unlink(_MOUNTED_NOTE)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
