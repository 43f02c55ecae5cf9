"""What pods of one cluster hold of the machine, looked up in the kernel and on disk, never asked of the cluster itself.

A place's `held` is empty before the first pod and has to be empty again after the last: what is in it then has leaked.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.containerd import Containerd

from steersman.network.netns import entered

MARK = "ROUND_OF"
"""Environment variable of every container: the state directory of its cluster. WHO names pod and container."""
_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Process:
    """`kind`: conmon, oci (crun at work), shim, pause, container. `who`: a container's own name for itself."""

    pid: int
    kind: str
    who: str = ""
    cgroup: str = ""


@dataclass(slots=True)
class Place:
    """Where to look. `cgroup`: the name of the cluster's own below each hierarchy. `daemon`: the containerd, if that runs pods.

    `netns`: the cluster's network namespace, as a path; interfaces of `links_before` are no pod's.
    """

    state: Path
    cgroup: str
    netns: str
    daemon: Containerd | None = None
    links_before: frozenset[str] = frozenset()

    def held(self) -> dict[str, list[str]]:
        """By sort; sorts of which there is nothing are left out."""
        found = {
            "process": [f"{each.kind} {each.pid} {each.who}".strip() for each in self.processes()],
            "mount": self.mounts(),
            "cgroup": self.cgroups(),
            "network namespace": self._files("run/containers/netns"),
            "interface": sorted(self.links() - self.links_before),
            "address": self.addresses(),
            "host port": self._host_ports(),
            "record": [*self._files("containers/sandboxes"), *self._files("containers/containers")],
            "snapshot": self._files("containers/snapshots"),
            "bundle": [*self._files("run/containers/bundles"), *self._files("run/containers/oci")],
            "exit file": self._files("run/containers/exits"),
            "pod folder": self._files("kubelet/pods"),
            "log folder": self._files("pod-logs"),
        }
        if self.daemon is not None:
            tasks = self.daemon.task_bundles
            sandboxes = self.daemon.root / "state" / "io.containerd.grpc.v1.cri" / "sandboxes"
            found["containerd"] = [
                str(path) for top in (tasks, sandboxes) if top.is_dir() for path in top.iterdir() if _kept(path)
            ]
        return {sort: items for sort, items in found.items() if items}

    def _files(self, below: str) -> list[str]:
        path = self.state / below
        return sorted(os.listdir(path)) if path.is_dir() else []

    def _ours(self) -> list[str]:
        return [str(self.state), *([str(self.daemon.root)] if self.daemon else [])]

    def mounts(self) -> list[str]:
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return [point for point in points if any(point.startswith(f"{top}/") for top in self._ours())]

    def cgroups(self) -> list[str]:
        """Those of pods and what is in them, in any hierarchy."""
        tops = [*_CGROUPS.glob(self.cgroup), *_CGROUPS.glob(f"*/{self.cgroup}")]
        return [folder for top in tops for folder, _, _ in os.walk(top) if "/pod" in folder]

    def links(self) -> frozenset[str]:
        """The interfaces in the cluster's network namespace."""
        with entered(self.netns):
            return frozenset(name for _, name in socket.if_nameindex())

    def addresses(self) -> list[str]:
        top = self.state / "network" / ("cni/steersman" if self.daemon else "addresses")
        if not top.is_dir():
            return []
        return sorted(path.name for path in top.iterdir() if path.name[0].isdigit())

    def _host_ports(self) -> list[str]:
        try:
            return list(json.loads((self.state / "network" / "hostports.json").read_text()))
        except (FileNotFoundError, ValueError):
            return []

    def processes(self) -> list[Process]:
        """All that pods are made of, and all that was started for them."""
        found = []
        for folder in _PROC.glob("[0-9]*"):
            with contextlib.suppress(OSError):
                one = self._process(folder)
                if one is not None:
                    found.append(one)
        return sorted(found, key=lambda each: each.pid)

    def _process(self, folder: Path) -> Process | None:
        comm = (folder / "comm").read_text().strip()
        command = (folder / "cmdline").read_bytes()
        if not command or folder.name == str(os.getpid()):
            return None
        cgroups = (folder / "cgroup").read_text()
        cgroup = next((line.rpartition(":")[2] for line in cgroups.splitlines() if f"/{self.cgroup}/" in line), "")
        named = any(os.fsencode(top) in command for top in self._ours())
        pid = int(folder.name)
        if comm.startswith("conmon") or (comm == "env" and b"conmon" in command):
            return Process(pid, "conmon") if named else None
        if comm.startswith("containerd-shim"):
            return Process(pid, "shim") if named else None
        if comm in ("crun", "runc") or comm.startswith("runc"):
            return Process(pid, "oci", cgroup=cgroup) if named or cgroup else None
        environment = dict(part.partition(b"=")[::2] for part in (folder / "environ").read_bytes().split(b"\0"))
        mine = os.fsdecode(environment.get(MARK.encode(), b"")) == str(self.state)
        if not cgroup and not mine:
            return None
        kind = "pause" if comm == "pause" else "container"
        return Process(pid, kind, environment.get(b"WHO", b"").decode(), cgroup)

    def let_go(self) -> list[str]:
        """End and remove shims that containerd itself has forgotten; which."""
        return [f"shim {identity}" for identity in self.daemon.end_forgotten()] if self.daemon is not None else []

    def doubled(self) -> list[str]:
        """Containers of which two instances run at this moment."""
        instances = {(each.who, each.cgroup) for each in self.processes() if each.kind == "container" and each.who}
        return [who for who, count in Counter(who for who, cgroup in instances if cgroup).items() if count > 1]


def _kept(path: Path) -> bool:
    """Not what containerd was removing when it was killed: it renames a bundle to `.<id>` first, and its next start passes over
    such folders."""
    return not path.name.startswith(".")


def told(held: dict[str, list[str]]) -> str:
    return "; ".join(f"{sort}: {_some(items)}" for sort, items in held.items())


def _some(items: Iterable[str]) -> str:
    listed = list(items)
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")
