"""A container's resource use, read from its control group."""

from __future__ import annotations

from steersman.cri.messages import Usage
from steersman.cri.native.cgroups import Cgroups
from steersman.machinery.clock import Clock


def usage(cgroups: Cgroups, path: str, clock: Clock, *, rootfs: tuple[int, int]) -> Usage:
    """What the group has used; working set = memory in use less what could be dropped at once, as cAdvisor counts it."""
    stat = _pairs(cgroups.read(path, "memory", "memory.stat"))
    if cgroups.v2:
        memory = _number(cgroups.read(path, "", "memory.current"))
        cpu = _pairs(cgroups.read(path, "", "cpu.stat")).get("usage_usec", 0) * 1000
        inactive, rss, prefix = stat.get("inactive_file", 0), stat.get("anon", 0), ""
    else:
        memory = _number(cgroups.read(path, "memory", "memory.usage_in_bytes"))
        cpu = _number(cgroups.read(path, "cpuacct", "cpuacct.usage"))
        inactive, rss, prefix = stat.get("total_inactive_file", 0), stat.get("total_rss", 0), "total_"
    return Usage(
        at=clock.now(),
        cpu_nanoseconds=cpu,
        memory_usage=memory,
        memory_working_set=max(0, memory - inactive),
        memory_rss=rss,
        page_faults=stat.get(f"{prefix}pgfault", 0),
        major_page_faults=stat.get(f"{prefix}pgmajfault", 0),
        rootfs_used_bytes=rootfs[0],
        rootfs_inodes_used=rootfs[1],
        processes=_number(cgroups.read(path, "pids", "pids.current")),
    )


def _number(text: str) -> int:
    return int(text.strip() or 0)


def _pairs(text: str) -> dict[str, int]:
    return {name: int(value) for name, _, value in (line.partition(" ") for line in text.splitlines())}
