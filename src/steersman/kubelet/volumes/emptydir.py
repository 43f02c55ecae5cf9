"""emptyDir: a folder that lives as long as the pod, on disk, in memory or in huge pages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from steersman.kubelet.resources import HUGE_PAGES, pod_total
from steersman.kubelet.volumes import mounts, ownership
from steersman.kubelet.volumes.base import Request, VolumeFault
from steersman.machinery import quantity
from steersman.machinery.meta import Obj

_HUGE_PAGES = "HugePages"


class EmptyDirVolume:
    source, name = "emptyDir", "kubernetes.io~empty-dir"
    refreshes = False

    async def set_up(self, request: Request) -> Path:
        directory = request.directory
        source = request.volume.get(self.source) or {}
        fresh = not directory.is_dir()
        directory.mkdir(parents=True, exist_ok=True)
        medium = source.get("medium") or ""
        if medium and not os.path.ismount(directory):
            try:
                if medium == "Memory":
                    self._mount_memory(request, source.get("sizeLimit"))
                elif medium == _HUGE_PAGES or medium.startswith(f"{_HUGE_PAGES}-"):
                    mounts.mount("nodev", directory, "hugetlbfs", 0, f"pagesize={_page_bytes(request.pod, medium)}")
                else:
                    raise VolumeFault(f"unknown storage medium {medium!r}")
            except OSError as error:
                raise VolumeFault(f"mount failed: {error}") from None
            fresh = True
        if fresh:
            ownership.open_to_all(directory)
            if request.fs_group is not None:
                ownership.set_ownership(directory, request.fs_group)
        return directory

    @staticmethod
    def _mount_memory(request: Request, limit: str | None) -> None:
        """tmpfs as large as the smallest of the node's memory, the pod's memory limit and the volume's own. Raises OSError."""
        sizes = [request.allocatable.get("memory", 0), pod_total(request.pod, "limits").get("memory", 0)]
        sizes.append(quantity.value(limit) if limit is not None else 0)
        size = min((each for each in sizes if each > 0), default=0)
        mounts.mount_memory(request.directory, size)

    async def tear_down(self, directory: Path) -> None:
        if directory.is_dir():
            mounts.unmount(directory)
            shutil.rmtree(directory, ignore_errors=True)


def _page_bytes(pod: Obj, medium: str) -> int:
    """The size that the medium names, or else the only one that the pod asks for. Raises VolumeFault."""
    asked = {quantity.value(key.removeprefix(HUGE_PAGES)) for key in pod_total(pod, "requests") if key.startswith(HUGE_PAGES)}
    named = medium.removeprefix(_HUGE_PAGES).removeprefix("-")
    wanted = {quantity.value(named)} if named else asked
    if len(asked) > 1 and not named:
        raise VolumeFault(f"medium: {medium} can't be used if container requests multiple huge page sizes")
    if not asked & wanted:
        raise VolumeFault("hugePages storage requested, but there is no resource request for huge pages.")
    return wanted.pop()
