"""Reads what the signals watch, and what pods use: /proc, statvfs, the pods' cgroup, the runtime, the pods' folders."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from steersman.cri.interface import ImageService, Runtime, RuntimeFault
from steersman.kubelet.cgroups import Cgroups
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.eviction import limits
from steersman.kubelet.eviction.ranking import PodUse, Use
from steersman.kubelet.eviction.signals import Reading
from steersman.kubelet.server import host
from steersman.kubelet.server.diskuse import count
from steersman.kubelet.worker import PodWorker
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, dig

_ON_DISK = ("emptyDir", "configMap", "downwardAPI", "gitRepo")


class Meter:
    """`dedicated`: images and writable layers lie on another filesystem than the kubelet's files."""

    def __init__(self, config: KubeletConfig, runtime: Runtime, images: ImageService, cgroups: Cgroups) -> None:
        self._config, self._runtime, self._images, self._cgroups = config, runtime, images, cgroups
        self._image_path: Path | None = None

    async def readings(self) -> dict[str, Reading]:
        """By signal. What can't be read is left out: nobody ends for what is not known."""
        total, available = host.memory()
        found = {"memory.available": Reading(available, total)}
        reserved = sum(
            quantity.value(each["memory"])
            for each in (self._config.kube_reserved, self._config.system_reserved)
            if "memory" in each
        )
        pods_use = self._cgroups.memory_in_use(self._config.cgroup_root)
        if pods_use is not None:
            found["allocatableMemory.available"] = Reading(total - reserved - pods_use, total - reserved)
        most, current = host.processes()
        found["pid.available"] = Reading(most - current, most)
        for prefix, path in (("nodefs", self._config.root_dir), ("imagefs", await self._images_at())):
            for name, reading in _disk(path):
                found[f"{prefix}.{name}"] = reading
                if prefix == "imagefs":
                    found[f"containerfs.{name}"] = reading
        return found

    async def _images_at(self) -> Path | None:
        """Asked once: the runtime measures its images to answer."""
        if self._image_path is None:
            try:
                self._image_path = Path((await self._images.image_fs())[0])
            except RuntimeFault:
                return None
        return self._image_path

    @property
    def dedicated(self) -> bool:
        try:
            return self._image_path is not None and os.stat(self._image_path).st_dev != os.stat(self._config.root_dir).st_dev
        except OSError:
            return False

    # --- pods ------------------------------------------------------------------------------------------------------

    async def all_of(self, workers: Iterable[PodWorker]) -> list[PodUse]:
        """All that pods use, to choose among them."""
        return [await self._use(worker, _on_disk(worker.pod)) for worker in workers]

    async def limited(self, worker: PodWorker) -> PodUse | None:
        """As much of what the pod uses as its limits are about; None: it has none."""
        if limits.limits_containers(worker.pod):
            return await self._use(worker, _on_disk(worker.pod))
        volumes = list(limits.limited_volumes(worker.pod))
        return PodUse(worker.pod, {}, await self._volumes(worker, volumes)) if volumes else None

    async def _use(self, worker: PodWorker, volumes: list[str]) -> PodUse:
        found = {}
        for container in worker.view.running:
            try:
                usage = await self._runtime.container_stats(container.id)
            except RuntimeFault:
                continue
            logs = await asyncio.to_thread(count, Path(container.log_path).parent) if container.log_path else (0, 0)
            found[container.name] = Use(
                usage.memory_working_set,
                usage.rootfs_used_bytes,
                logs[0],
                usage.rootfs_inodes_used,
                logs[1],
                usage.processes,
            )
        return PodUse(worker.pod, found, await self._volumes(worker, volumes))

    async def _volumes(self, worker: PodWorker, names: list[str]) -> dict[str, tuple[int, int]]:
        folder = self._config.pod_dir(worker.uid) / "volumes"
        found = {}
        for name in names:
            for path in folder.glob(f"*/{name}"):
                found[name] = await asyncio.to_thread(count, path)
        return found


def _on_disk(pod: Obj) -> list[str]:
    """Volumes that are part of the node's own disk."""
    listed = dig(pod, "spec", "volumes", default=None) or ()
    return [
        item["name"]
        for item in listed
        if any(key in item for key in _ON_DISK) and not dig(item, "emptyDir", "medium", default="")
    ]


def _disk(path: Path | None) -> list[tuple[str, Reading]]:
    try:
        disk = os.statvfs(path) if path is not None else None
    except OSError:
        disk = None
    if disk is None:
        return []
    found = [("available", Reading(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize))]
    if disk.f_files:
        # Some filesystems do not count them.
        found.append(("inodesFree", Reading(disk.f_favail, disk.f_files)))
    return found
