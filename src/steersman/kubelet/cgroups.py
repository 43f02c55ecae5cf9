"""The cgroups above containers: node, QoS class, pod. The runtime makes those of containers below them.

Works on v1 (also the hybrid form) and v2. Failures are logged, not raised: a pod runs without its limits rather than not at all,
as on machines where a controller is missing.
"""

from __future__ import annotations

import logging
import os
import select
import signal
from pathlib import Path

from steersman.cri.messages import Resources
from steersman.kubelet.resources import cpu_weight

log = logging.getLogger(__name__)

NO_QUOTA = -1
_DYING_S = 0.2

_V1 = ("cpu", "memory", "pids")
_HUGE_PAGES = "hugetlb"
"""On version 1 a hierarchy of its own, entered by pods that ask for such pages only."""
_V2 = ("cpuset", "cpu", "memory", "pids", _HUGE_PAGES)


def is_unified(mount: Path) -> bool:
    """Whether it is version 2 alone that is mounted there."""
    return (mount / "cgroup.controllers").exists()


class Cgroups:
    """`root`: the node's cgroup, like `/kubepods`. `active` False: does nothing."""

    def __init__(self, mount: Path, root: str, *, active: bool = True) -> None:
        self._mount, self._root = mount, root.strip("/")
        self._active = active and mount.is_dir()
        self._unified = is_unified(mount)

    def set_up(self) -> None:
        """Make the node's and the QoS classes' cgroups."""
        for below, shares in (("", None), ("burstable", None), ("besteffort", 2)):
            self.apply(f"{self._root}/{below}".rstrip("/"), Resources(cpu_shares=shares or 0))

    def _places(self, cgroup: str, resources: Resources) -> list[tuple[str, Path]]:
        if self._unified:
            return [("", self._mount / cgroup)]
        names = (*_V1, _HUGE_PAGES) if resources.huge_pages else _V1
        return [(name, self._mount / name / cgroup) for name in names if (self._mount / name).is_dir()]

    def apply(self, cgroup: str, resources: Resources) -> None:
        """Make the cgroup and set its limits. A cpu_quota of NO_QUOTA takes one away that is there; 0 leaves it."""
        if not self._active:
            return
        cgroup = cgroup.strip("/")
        for controller, path in self._places(cgroup, resources):
            try:
                fresh = not path.is_dir()
                if fresh:
                    path.mkdir(parents=True, exist_ok=True)
                    if self._unified:
                        self._delegate(path)
                for name, value in _settings(controller, resources, fresh=fresh):
                    (path / name).write_text(value)
                for name, value in _reservations(controller, resources):
                    if (path / name).exists():
                        (path / name).write_text(value)
            except OSError as error:
                log.warning("cgroup not set up path=%s error=%s", path, error)

    def _delegate(self, path: Path) -> None:
        """v2: children may use the controllers that the parents have."""
        chain = [path, *path.parents]
        for folder in reversed(chain[: chain.index(self._mount) + 1]):
            have = (folder / "cgroup.controllers").read_text().split()
            wanted = " ".join(f"+{name}" for name in _V2 if name in have)
            (folder / "cgroup.subtree_control").write_text(wanted)

    def memory_in_use(self, cgroup: str) -> int | None:
        """Bytes that all below it use, without what could be dropped at once; None: not known."""
        top = self._mount if self._unified else self._mount / "memory"
        file, key = ("memory.current", "inactive_file") if self._unified else ("memory.usage_in_bytes", "total_inactive_file")
        path = top / cgroup.strip("/")
        try:
            usage = int((path / file).read_text())
            stat = dict(line.split() for line in (path / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            return None
        return max(usage - int(stat.get(key, 0)), 0)

    def remove(self, cgroup: str) -> None:
        """Remove the cgroup of a pod that has ended from every controller, below too, and end what is still in it.

        Nothing is, unless a runtime was killed while it made a container, and forgot it. What cannot be removed stays.
        """
        if not self._active:
            return
        tops = [self._mount] if self._unified else [self._mount / name for name in os.listdir(self._mount)]
        for top in tops:
            path = top / cgroup.strip("/")
            if not path.is_dir():
                continue
            for folder, _, _ in os.walk(path, topdown=False):
                _end_all(Path(folder))
                try:
                    os.rmdir(folder)
                except OSError as error:
                    log.info("cgroup not removed path=%s error=%s", folder, error)
                    break

    def remove_pod(self, uid: str) -> None:
        """Remove a pod's cgroup when its QoS class is no longer known.

        Only for a UID that this kubelet's own folders prove to be its: another cluster on the machine may have pods below
        the same root, and a cgroup that is empty because its pod is just starting would be lost to it.
        """
        for below in ("", "/burstable", "/besteffort"):
            self.remove(f"{self._root}{below}/pod{uid}")


def _end_all(cgroup: Path) -> None:
    """SIGKILL to all in it, and a moment for them to go."""
    try:
        pids = {int(word) for word in (cgroup / "cgroup.procs").read_text().split()}
    except OSError:
        return
    # Version 1 lists this process where a thread of it makes a sandbox.
    for pid in pids - {0, os.getpid()}:
        try:
            process = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            log.info("process left in the cgroup of a pod that has ended, killed cgroup=%s pid=%d", cgroup, pid)
            select.select([process], (), (), _DYING_S)
        except ProcessLookupError:
            continue
        finally:
            os.close(process)


def _settings(controller: str, resources: Resources, *, fresh: bool) -> list[tuple[str, str]]:
    """(file, value) pairs for one controller; '' is v2. `fresh`: it has no limits yet."""
    made: list[tuple[str, str]] = []
    quota = 0 if fresh and resources.cpu_quota == NO_QUOTA else resources.cpu_quota
    if controller == "":
        if resources.cpu_shares:
            made.append(("cpu.weight", str(cpu_weight(resources.cpu_shares))))
        if quota:
            made.append(("cpu.max", f"{'max' if quota == NO_QUOTA else quota} {resources.cpu_period}"))
        if resources.memory_limit:
            made.append(("memory.max", str(resources.memory_limit)))
    elif controller == "cpu":
        if resources.cpu_shares:
            made.append(("cpu.shares", str(resources.cpu_shares)))
        if quota:
            made += [("cpu.cfs_period_us", str(resources.cpu_period)), ("cpu.cfs_quota_us", str(quota))]
    elif controller == "memory" and resources.memory_limit:
        made.append(("memory.limit_in_bytes", str(resources.memory_limit)))
    if controller in ("", _HUGE_PAGES):
        made += [(f"hugetlb.{size}.{_limit(controller)}", str(limit)) for size, limit in resources.huge_pages]
    if controller in ("", "pids") and resources.pids_limit:
        made.append(("pids.max", str(resources.pids_limit)))
    return made


def _reservations(controller: str, resources: Resources) -> list[tuple[str, str]]:
    """As _settings, where the kernel counts pages when they are reserved (5.7): who asks for too many is told, not killed."""
    if controller not in ("", _HUGE_PAGES):
        return []
    return [(f"hugetlb.{size}.rsvd.{_limit(controller)}", str(limit)) for size, limit in resources.huge_pages]


def _limit(controller: str) -> str:
    return "limit_in_bytes" if controller else "max"
