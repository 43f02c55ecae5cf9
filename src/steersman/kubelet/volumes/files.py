"""The volumes that are written by the kubelet: configMap, secret, downwardAPI, projected."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from steersman.kubelet.volumes import atomic, mounts, ownership, payload
from steersman.kubelet.volumes.base import Request, VolumeFault
from steersman.machinery.meta import Obj

_DEFAULT_MODE = 0o644


class _Written(ABC):
    """What the four have in common: collect files, write them atomically."""

    source: str
    name: str
    refreshes = True
    secret = False
    """Its content must not reach a disk: it lies on a tmpfs of its own."""

    @abstractmethod
    async def files(self, request: Request, source: Obj, mode: int) -> dict[str, atomic.File]: ...

    async def set_up(self, request: Request) -> Path:
        source = request.volume[self.source]
        mode = source.get("defaultMode")
        files = await self.files(request, source, _DEFAULT_MODE if mode is None else mode)
        fresh = not request.directory.is_dir()
        request.directory.mkdir(parents=True, exist_ok=True)
        if self.secret and request.secrets_in_memory and not os.path.ismount(request.directory):
            mounts.mount_memory(request.directory)
            fresh = True
        if fresh:
            ownership.open_to_all(request.directory)
            if request.fs_group is not None:
                ownership.set_ownership(request.directory, request.fs_group, readonly=True)
        atomic.write(request.directory, files, request.now, request.fs_group)
        return request.directory

    async def tear_down(self, directory: Path) -> None:
        mounts.unmount(directory)
        shutil.rmtree(directory, ignore_errors=True)


class ConfigMapVolume(_Written):
    source, name = "configMap", "kubernetes.io~configmap"

    async def files(self, request: Request, source: Obj, mode: int) -> dict[str, atomic.File]:
        return await payload.config_map_files(request, source["name"], source, mode)


class SecretVolume(_Written):
    source, name, secret = "secret", "kubernetes.io~secret", True

    async def files(self, request: Request, source: Obj, mode: int) -> dict[str, atomic.File]:
        return await payload.secret_files(request, source["secretName"], source, mode)


class DownwardAPIVolume(_Written):
    source, name, secret = "downwardAPI", "kubernetes.io~downward-api", True

    async def files(self, request: Request, source: Obj, mode: int) -> dict[str, atomic.File]:
        return payload.downward_files(request, source.get("items") or (), mode)


class ProjectedVolume(_Written):
    source, name, secret = "projected", "kubernetes.io~projected", True

    async def files(self, request: Request, source: Obj, mode: int) -> dict[str, atomic.File]:
        files: dict[str, atomic.File] = {}
        for part in source.get("sources") or ():
            if ref := part.get("configMap"):
                files |= await payload.config_map_files(request, ref["name"], ref, mode)
            elif ref := part.get("secret"):
                files |= await payload.secret_files(request, ref["name"], ref, mode)
            elif ref := part.get("downwardAPI"):
                files |= payload.downward_files(request, ref.get("items") or (), mode)
            elif ref := part.get("serviceAccountToken"):
                files |= await payload.token_files(request, ref, mode)
            else:
                raise VolumeFault(f"unsupported projected volume source: {', '.join(part)}")
        return files
