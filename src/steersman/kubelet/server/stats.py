"""What containers, pods and the node use: readings, and `/stats/summary` made of them. metrics.py makes the other forms.

Source: upstream staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1, pkg/kubelet/stats. There is no pressure stall information
and no swap by container: the runtime's interface does not have them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from steersman.cri.interface import ImageService, Runtime, RuntimeFault
from steersman.cri.messages import Container, Usage
from steersman.kubelet import pods
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.resources import amounts
from steersman.kubelet.server import host
from steersman.kubelet.server.diskuse import DiskUse
from steersman.kubelet.server.volumestats import ON_NODE, Volumes, VolumeStats, in_memory
from steersman.kubelet.worker import PodWorker
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig, format_time, name_of, namespace_of

_SHORTEST_S = 5.0
"""Rates are taken over at least this: several who ask at the same time must not spoil each other's."""
_NODE, _KUBELET = "", "/kubelet"


class _Sample(NamedTuple):
    at: datetime
    cpu_nanoseconds: int
    rate: int | None
    """nanocores up to then; None for the first sample."""


class Stats:
    """Keeps the last CPU sample of each container, since a rate needs two."""

    def __init__(
        self,
        config: KubeletConfig,
        runtime: Runtime,
        clock: Clock,
        images: ImageService | None = None,
        volumes: Volumes | None = None,
    ) -> None:
        self._config, self._runtime, self._clock, self._images = config, runtime, clock, images
        self._samples: dict[str, _Sample] = {}
        self._started = clock.now()
        self._disk = DiskUse(clock)
        self.volumes = VolumeStats(config, clock, self._disk, volumes)

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

    async def usages(self, worker: PodWorker) -> list[tuple[Container, Usage]]:
        """Of the containers that run."""
        found = []
        for container in worker.view.running:
            try:
                found.append((container, await self._runtime.container_stats(container.id)))
            except RuntimeFault:
                continue
        return found

    async def summary(self, workers: Iterable[PodWorker], *, only_cpu_and_memory: bool) -> Obj:
        known = [worker for worker in workers if worker.view.sandbox is not None]
        listed = [await self._pod(worker, only_cpu_and_memory) for worker in known]
        there = {_NODE, _KUBELET, *(container.id for worker in known for container in worker.view.running)}
        for gone in self._samples.keys() - there:
            del self._samples[gone]
        self._disk.forget_old()
        self.volumes.forget_old()
        return {"node": await self._node(only_cpu_and_memory), "pods": listed}

    # --- pods ------------------------------------------------------------------------------------------------------

    async def _pod(self, worker: PodWorker, brief: bool) -> Obj:
        pod, usages = worker.pod, await self.usages(worker)
        containers = [await self._container(pod, container, usage, brief) for container, usage in usages]
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
            made["process_stats"] = {"process_count": sum(usage.processes for _, usage in usages)}
            if interfaces := pod_traffic(worker):
                made["network"] = host.network(format_time(at), interfaces)
            volumes = await self.volumes.of_pod(pod, worker.uid)
            if volumes:
                made["volume"] = volumes
            made["ephemeral-storage"] = self._ephemeral(pod, format_time(at), containers, volumes)
        return made

    async def _container(self, pod: Obj, container: Container, usage: Usage, brief: bool) -> Obj:
        made: Obj = {
            "name": container.name,
            "startTime": format_time(container.started_at or container.created_at),
            "cpu": self._cpu(container.id, usage.at, usage.cpu_nanoseconds),
            "memory": _memory(usage.at, [usage]),
        }
        limit = amounts(dig(pods.find_container(pod, container.name) or {}, "resources", "limits")).get("memory", 0)
        if limit:
            made["memory"]["availableBytes"] = max(limit - usage.memory_working_set, 0)
        if not brief:
            at = format_time(usage.at)
            root = self._config.root_dir
            made["rootfs"] = host.filesystem(at, root, (usage.rootfs_used_bytes, usage.rootfs_inodes_used))
            if container.log_path:
                folder = Path(container.log_path).parent
                made["logs"] = host.filesystem(at, folder, await self._disk.of(folder))
        return made

    def _ephemeral(self, pod: Obj, at: str, containers: list[Obj], volumes: list[Obj]) -> Obj:
        """What counts against the pod's ephemeral-storage: writable layers, logs, volumes on the node's disk."""
        disk = {
            volume["name"]
            for volume in dig(pod, "spec", "volumes", default=None) or ()
            if any(key in volume for key in ON_NODE) and not in_memory(volume)
        }
        parts = [each[key] for each in containers for key in ("rootfs", "logs") if key in each]
        parts += [each for each in volumes if each["name"] in disk]
        used = sum(each.get("usedBytes", 0) for each in parts), sum(each.get("inodesUsed", 0) for each in parts)
        return host.filesystem(at, self._config.root_dir, used)

    # --- the node --------------------------------------------------------------------------------------------------

    async def _node(self, brief: bool) -> Obj:
        now = self._clock.now()
        at, cpu, (total, available) = format_time(now), host.cpu_nanoseconds(), host.memory()
        own_cpu, own_memory = host.own()
        own: Obj = {
            "name": "kubelet",
            "startTime": format_time(self._started),
            "cpu": self._cpu(_KUBELET, now, own_cpu),
            "memory": {"time": at, "usageBytes": own_memory, "workingSetBytes": own_memory, "rssBytes": own_memory},
        }
        made: Obj = {
            "nodeName": self._config.node_name,
            "systemContainers": [own],
            "startTime": format_time(self._started),
            "cpu": self._cpu(_NODE, now, cpu),
            "memory": {
                "time": at,
                "availableBytes": available,
                "usageBytes": total - available,
                "workingSetBytes": total - available,
            },
        }
        if brief:
            return made
        swap, free = host.swap()
        most, current = host.processes()
        root = self._config.root_dir if self._config.root_dir.is_dir() else Path("/")
        return {
            **made,
            "network": host.network(at, host.traffic(), host.default_interface()),
            "fs": host.filesystem(at, root),
            "runtime": await self._runtime_disk(at),
            "rlimit": {"time": at, "maxpid": most, "curproc": current},
            "swap": {"time": at, "swapAvailableBytes": free, "swapUsageBytes": swap - free},
        }

    async def _runtime_disk(self, at: str) -> Obj:
        """Images and writable layers, which are on one filesystem here."""
        if self._images is None:
            return {}
        try:
            path, used, inodes = await self._images.image_fs()
        except RuntimeFault:
            return {}
        shown = await asyncio.to_thread(host.filesystem, at, Path(path), (used, inodes))
        return {"imageFs": shown, "containerFs": shown}


def pod_traffic(worker: PodWorker) -> list[host.Traffic]:
    """Of the pod's own network; a pod on the node's has none. Known while one of its processes is."""
    if pods.is_host_network(worker.pod):
        return []
    pid = next((container.pid for container in worker.view.running if container.pid), 0)
    return host.traffic(pid) if pid else []


def _memory(at: datetime, usages: list[Usage]) -> Obj:
    return {
        "time": format_time(at),
        "usageBytes": sum(usage.memory_usage for usage in usages),
        "workingSetBytes": sum(usage.memory_working_set for usage in usages),
        "rssBytes": sum(usage.memory_rss for usage in usages),
        "pageFaults": sum(usage.page_faults for usage in usages),
        "majorPageFaults": sum(usage.major_page_faults for usage in usages),
    }
