"""Looking at processes and mounts through /proc: what `status` shows and what `down` must wait for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A live process. Memory in bytes: `pss` shares out what processes have in common; 0 where it can't be read."""

    pid: int
    started_ticks: int
    pss: int


def find(pid_file: Path, *, proc: Path = Path("/proc")) -> Process | None:
    """The process whose pid is in the file, None if there is none. Names in /proc guard against reused pids."""
    try:
        pid = int(pid_file.read_text())
        if not (proc / str(pid) / "comm").read_text().startswith("steersman"):
            return None
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    if fields[0] == "Z":
        return None
    return Process(pid, int(fields[19]), pss(pid, proc=proc))


def pss(pid: int, *, proc: Path = Path("/proc")) -> int:
    """Proportional set size in bytes; 0 if the process is gone."""
    try:
        for line in (proc / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def uptime_s(process: Process, *, proc: Path = Path("/proc")) -> float:
    """How long it has run."""
    since_boot = float((proc / "uptime").read_text().split()[0])
    return since_boot - process.started_ticks / os.sysconf("SC_CLK_TCK")


def mounts_under(directory: Path, *, proc: Path = Path("/proc")) -> list[str]:
    """Mount points below a directory, deepest last mounted first: the order to unmount in."""
    prefix = f"{directory}/"
    points = []
    for line in (proc / "self" / "mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point.startswith(prefix):
            points.append(point)
    return points[::-1]
