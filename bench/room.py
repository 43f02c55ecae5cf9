"""How many pods this machine bears: what its limits on processes and its memory leave, so that a bench is no fork bomb."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_PROCESSES_PER_POD = 3
"""pause, conmon, and the container's own."""
_MEMORY_PER_POD = 16 << 20
_SHARE = 0.5
"""Of what is free: others live here too."""


def pods(wanted: int) -> int:
    """As many as wanted, or as fit."""
    tasks = min(_limits()) - _tasks()
    by_tasks = int(_SHARE * tasks) // _PROCESSES_PER_POD
    by_memory = int(_SHARE * _available_bytes()) // _MEMORY_PER_POD
    return max(1, min(wanted, by_tasks, by_memory, int(os.environ.get("BENCH_PODS", wanted))))


def load() -> str:
    """The load averages and the number of cores, as others may be at work."""
    return f"load {' '.join(f'{each:.1f}' for each in os.getloadavg())} on {os.cpu_count()} cores"


def _limits() -> list[int]:
    found = [int(Path("/proc/sys/kernel/pid_max").read_text()), int(Path("/proc/sys/kernel/threads-max").read_text())]
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY:
        found.append(soft)
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = Path("/sys/fs/cgroup") / controllers if controllers == "pids" else Path("/sys/fs/cgroup")
        if controllers in ("pids", ""):
            found += _cgroup_limits(root, path)
    return found


def _cgroup_limits(root: Path, path: str) -> list[int]:
    """pids.max of the group and of all above it."""
    found = []
    group = root / path.strip("/")
    while group != root.parent:
        file = group / "pids.max"
        if file.exists() and (text := file.read_text().strip()) != "max":
            found.append(int(text))
        group = group.parent
    return found


def _tasks() -> int:
    """Threads of everybody: the last but one word of /proc/loadavg is `running/all`."""
    return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


def _available_bytes() -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024
