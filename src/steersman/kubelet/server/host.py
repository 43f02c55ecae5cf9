"""What the machine itself uses: CPU, memory, swap, processes, network interfaces, filesystems. Reads /proc and statvfs.

What is not here: what containers use, which the runtime says (stats.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from steersman.machinery.meta import Obj

_TICKS = os.sysconf("SC_CLK_TCK")


class Traffic(NamedTuple):
    """An interface's counters."""

    name: str
    received: int
    receive_errors: int
    sent: int
    send_errors: int


def cpu_nanoseconds() -> int:
    """CPU time of the machine that was not idle."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) * 1_000_000_000 // _TICKS


def _meminfo() -> dict[str, int]:
    """In bytes."""
    lines = (line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return {name: int(rest.split()[0]) * 1024 for name, rest in lines}


def memory() -> tuple[int, int]:
    """(total, available) in bytes."""
    found = _meminfo()
    return found["MemTotal"], found["MemAvailable"]


def swap() -> tuple[int, int]:
    """(total, free) in bytes."""
    found = _meminfo()
    return found.get("SwapTotal", 0), found.get("SwapFree", 0)


def processes() -> tuple[int, int]:
    """(the most there may be, how many there are): threads, as the kernel counts them."""
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    return most, int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


def own() -> tuple[int, int]:
    """(CPU nanoseconds, resident bytes) of this process."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // _TICKS, int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def traffic(pid: int = 0) -> list[Traffic]:
    """Interfaces, without loopback, of a process's network namespace; of the node's without one. Empty if it is gone."""
    try:
        lines = Path(f"/proc/{pid or 'self'}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return []
    found = []
    for line in lines:
        name, _, rest = line.partition(":")
        numbers = [int(word) for word in rest.split()]
        if name.strip() != "lo":
            found.append(Traffic(name.strip(), numbers[0], numbers[2], numbers[8], numbers[10]))
    return found


def default_interface() -> str:
    """The interface of the default route, or ''."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000":
            return fields[0]
    return ""


def network(at: str, interfaces: Sequence[Traffic], default: str = "eth0") -> Obj:
    """The summary's network block: the default interface, then all."""
    shown = [
        {
            "name": each.name,
            "rxBytes": each.received,
            "rxErrors": each.receive_errors,
            "txBytes": each.sent,
            "txErrors": each.send_errors,
        }
        for each in interfaces
    ]
    first = next((each for each in shown if each["name"] == default), shown[0] if shown else {})
    return {"time": at, **first, "interfaces": shown}


def filesystem(at: str, path: Path, used: tuple[int, int] | None = None) -> Obj:
    """The summary's block of the filesystem that holds `path`. used: (bytes, inodes) of what is meant; None: all of it."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return {"time": at} if used is None else {"time": at, "usedBytes": used[0], "inodesUsed": used[1]}
    if used is None:
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize, disk.f_files - disk.f_ffree
    return {
        "time": at,
        "availableBytes": disk.f_bavail * disk.f_frsize,
        "capacityBytes": disk.f_blocks * disk.f_frsize,
        "usedBytes": used[0],
        "inodesFree": disk.f_ffree,
        "inodes": disk.f_files,
        "inodesUsed": used[1],
    }
