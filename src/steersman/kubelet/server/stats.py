"""`/stats/summary` and `/metrics/resource`: what containers, pods and the node use.

Source: upstream staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1; pkg/kubelet/metrics/collectors/resource_metrics.go.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from steersman.cri.interface import Container, Runtime, RuntimeFault, Usage
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.worker import PodWorker
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, format_time, name_of, namespace_of

_TICKS = os.sysconf("SC_CLK_TCK")
_SHORTEST_S = 5.0
"""Rates are taken over at least this: several who ask at the same time must not spoil each other's."""


class _Sample(NamedTuple):
    at: datetime
    cpu_nanoseconds: int
    rate: int | None
    """nanocores up to then; None for the first sample."""


class Stats:
    """Keeps the last CPU sample of each container, since a rate needs two."""

    def __init__(self, config: KubeletConfig, runtime: Runtime, clock: Clock) -> None:
        self._config, self._runtime, self._clock = config, runtime, clock
        self._samples: dict[str, _Sample] = {}
        self._started = clock.now()

    def _cpu(self, key: str, at: datetime, nanoseconds: int) -> Obj:
        """The CPU block; without usageNanoCores as long as there was one sample only, as upstream."""
        before = self._samples.get(key)
        if before is None:
            self._samples[key] = _Sample(at, nanoseconds, None)
        elif (passed_s := (at - before.at).total_seconds()) >= _SHORTEST_S or (before.rate is None and passed_s >= 1):
            rate = max(int((nanoseconds - before.cpu_nanoseconds) / passed_s), 0)
            self._samples[key] = _Sample(at, nanoseconds, rate)
        made: Obj = {"time": format_time(at), "usageCoreNanoSeconds": nanoseconds}
        if (known := self._samples[key].rate) is not None:
            made["usageNanoCores"] = known
        return made

    async def _usages(self, worker: PodWorker) -> list[tuple[Container, Usage]]:
        found = []
        for container in worker.view.running:
            try:
                found.append((container, await self._runtime.container_stats(container.id)))
            except RuntimeFault:
                continue
        return found

    async def summary(self, workers: Iterable[PodWorker], *, only_cpu_and_memory: bool) -> Obj:
        known = [worker for worker in workers if worker.view.sandbox is not None]
        pods = [await self._pod(worker, only_cpu_and_memory) for worker in known]
        there = {"", *(container.id for worker in known for container in worker.view.running)}
        for gone in self._samples.keys() - there:
            del self._samples[gone]
        return {"node": self._node(only_cpu_and_memory), "pods": pods}

    async def _pod(self, worker: PodWorker, brief: bool) -> Obj:
        pod, usages = worker.pod, await self._usages(worker)
        containers = [self._container(container, usage, brief) for container, usage in usages]
        at = self._clock.now()
        cpu: Obj = {"time": format_time(at), "usageCoreNanoSeconds": sum(usage.cpu_nanoseconds for _, usage in usages)}
        rates = [each["cpu"]["usageNanoCores"] for each in containers if "usageNanoCores" in each["cpu"]]
        if rates:
            cpu["usageNanoCores"] = sum(rates)
        made: Obj = {
            "podRef": {"name": name_of(pod), "namespace": namespace_of(pod), "uid": worker.uid},
            "startTime": worker.status.get("startTime"),
            "containers": containers,
            "cpu": cpu,
            "memory": _memory(at, [usage for _, usage in usages]),
        }
        if not brief:
            made["ephemeral-storage"] = {"time": format_time(at), "usedBytes": sum(u.rootfs_used_bytes for _, u in usages)}
            made["process_stats"] = {"process_count": sum(usage.processes for _, usage in usages)}
        return made

    def _container(self, container: Container, usage: Usage, brief: bool) -> Obj:
        made: Obj = {
            "name": container.name,
            "startTime": format_time(container.started_at or container.created_at),
            "cpu": self._cpu(container.id, usage.at, usage.cpu_nanoseconds),
            "memory": _memory(usage.at, [usage]),
        }
        if not brief:
            made["rootfs"] = {
                "time": format_time(usage.at),
                "usedBytes": usage.rootfs_used_bytes,
                "inodesUsed": usage.rootfs_inodes_used,
            }
        return made

    def _node(self, brief: bool) -> Obj:
        at = self._clock.now()
        cpu, (total, available) = _node_cpu_nanoseconds(), _node_memory()
        made: Obj = {
            "nodeName": self._config.node_name,
            "startTime": format_time(self._started),
            "cpu": self._cpu("", at, cpu),
            "memory": {
                "time": format_time(at),
                "availableBytes": available,
                "usageBytes": total - available,
                "workingSetBytes": total - available,
            },
        }
        if not brief:
            disk = os.statvfs(self._config.root_dir if self._config.root_dir.is_dir() else "/")
            made["fs"] = {
                "time": format_time(at),
                "availableBytes": disk.f_bavail * disk.f_frsize,
                "capacityBytes": disk.f_blocks * disk.f_frsize,
                "usedBytes": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
                "inodesFree": disk.f_ffree,
                "inodes": disk.f_files,
                "inodesUsed": disk.f_files - disk.f_ffree,
            }
        return made

    async def resource_metrics(self, workers: Iterable[PodWorker]) -> str:
        """The text of /metrics/resource."""
        at = _milliseconds(self._clock.now())
        total, available = _node_memory()
        lines: dict[str, list[str]] = {name: [] for name in _METRICS}
        lines["node_cpu_usage_seconds_total"].append(f" {_node_cpu_nanoseconds() / 1e9} {at}")
        lines["node_memory_working_set_bytes"].append(f" {total - available} {at}")
        for worker in workers:
            pod = f'namespace="{namespace_of(worker.pod)}",pod="{name_of(worker.pod)}"'
            usages = await self._usages(worker)
            for container, usage in usages:
                labels = f'{{container="{container.name}",{pod}}}'
                started = (container.started_at or container.created_at).timestamp()
                taken = _milliseconds(usage.at)
                lines["container_cpu_usage_seconds_total"].append(f"{labels} {usage.cpu_nanoseconds / 1e9} {taken}")
                lines["container_memory_working_set_bytes"].append(f"{labels} {usage.memory_working_set} {taken}")
                lines["container_start_time_seconds"].append(f"{labels} {started:.3f}")
            if usages:
                cpu = sum(usage.cpu_nanoseconds for _, usage in usages) / 1e9
                memory = sum(usage.memory_working_set for _, usage in usages)
                taken = _milliseconds(usages[-1][1].at)
                lines["pod_cpu_usage_seconds_total"].append(f"{{{pod}}} {cpu} {taken}")
                lines["pod_memory_working_set_bytes"].append(f"{{{pod}}} {memory} {taken}")
        lines["resource_scrape_error"].append(" 0")
        out = []
        for name, (kind, words) in _METRICS.items():
            out += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *(name + line for line in lines[name])]
        return "\n".join(out) + "\n"


_CPU, _MEMORY = "Cumulative cpu time consumed by the %s in core-seconds", "Current working set of the %s in bytes"
_METRICS = {
    "container_cpu_usage_seconds_total": ("counter", _CPU % "container"),
    "container_memory_working_set_bytes": ("gauge", _MEMORY % "container"),
    "container_start_time_seconds": ("gauge", "Start time of the container since unix epoch in seconds"),
    "node_cpu_usage_seconds_total": ("counter", _CPU % "node"),
    "node_memory_working_set_bytes": ("gauge", _MEMORY % "node"),
    "pod_cpu_usage_seconds_total": ("counter", _CPU % "pod"),
    "pod_memory_working_set_bytes": ("gauge", _MEMORY % "pod"),
    "resource_scrape_error": ("gauge", "1 if there was an error while getting container metrics, 0 otherwise"),
}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _memory(at: datetime, usages: list[Usage]) -> Obj:
    return {
        "time": format_time(at),
        "usageBytes": sum(usage.memory_usage for usage in usages),
        "workingSetBytes": sum(usage.memory_working_set for usage in usages),
        "rssBytes": sum(usage.memory_rss for usage in usages),
        "pageFaults": sum(usage.page_faults for usage in usages),
        "majorPageFaults": sum(usage.major_page_faults for usage in usages),
    }


def _node_cpu_nanoseconds() -> int:
    """CPU time of the machine that was not idle."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) * 1_000_000_000 // _TICKS


def _node_memory() -> tuple[int, int]:
    """(total, available) in bytes."""
    found = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(found["MemTotal"].split()[0]) * 1024, int(found["MemAvailable"].split()[0]) * 1024
