"""emptyDir: a folder that lives as long as the pod, on disk or in memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from steersman.kubelet.resources import pod_total
from steersman.kubelet.volumes import mounts, ownership
from steersman.kubelet.volumes.base import Request, VolumeFault
from steersman.machinery import quantity


class EmptyDirVolume:
    source, name = "emptyDir", "kubernetes.io~empty-dir"
    refreshes = False

    async def set_up(self, request: Request) -> Path:
        directory = request.directory
        source = request.volume.get(self.source) or {}
        fresh = not directory.is_dir()
        directory.mkdir(parents=True, exist_ok=True)
        medium = source.get("medium") or ""
        if medium == "Memory" and not os.path.ismount(directory):
            self._mount_memory(request, source.get("sizeLimit"))
            fresh = True
        elif medium not in ("", "Memory"):
            raise VolumeFault(f"unknown storage medium {medium!r}")
        if fresh:
            # mkdir's mode is cut by the umask.
            os.chmod(directory, 0o777)
            if request.fs_group is not None:
                ownership.set_ownership(directory, request.fs_group)
        return directory

    @staticmethod
    def _mount_memory(request: Request, limit: str | None) -> None:
        """tmpfs as large as the smallest of the node's memory, the pod's memory limit and the volume's own."""
        sizes = [request.allocatable.get("memory", 0), pod_total(request.pod, "limits").get("memory", 0)]
        sizes.append(quantity.value(limit) if limit is not None else 0)
        size = min((each for each in sizes if each > 0), default=0)
        try:
            mounts.mount_memory(request.directory, size)
        except OSError as error:
            raise VolumeFault(f"mount failed: {error}") from None

    async def tear_down(self, directory: Path) -> None:
        if directory.is_dir():
            mounts.unmount(directory)
            shutil.rmtree(directory, ignore_errors=True)
