"""Chooses the plugin for each volume of a pod, sets volumes up and tears them down."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.kubelet.volumes import mounts
from steersman.kubelet.volumes.base import (
    PersistentPlugin,
    Request,
    Unattached,
    Unprocessed,
    VolumeFault,
    VolumePlugin,
)
from steersman.kubelet.volumes.emptydir import EmptyDirVolume
from steersman.kubelet.volumes.files import ConfigMapVolume, DownwardAPIVolume, ProjectedVolume, SecretVolume
from steersman.kubelet.volumes.hostpath import HostPathVolume
from steersman.kubelet.volumes.image import ImageVolume
from steersman.kubelet.volumes.nfs import NfsVolume
from steersman.kubelet.volumes.persistentclaim import ClaimVolume, EphemeralVolume
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, dig, uid_of

if TYPE_CHECKING:
    from steersman.kubelet.volumes.csi.mounting import CsiVolumes

log = logging.getLogger(__name__)

PLUGINS: tuple[VolumePlugin, ...] = (
    EmptyDirVolume(),
    ConfigMapVolume(),
    SecretVolume(),
    DownwardAPIVolume(),
    ProjectedVolume(),
    HostPathVolume(),
    ImageVolume(),
    ClaimVolume(),
    EphemeralVolume(),
)


class MountFailed(Exception):
    """One sentence per volume that could not be set up, as in FailedMount events. `pending`: volumes that are still being
    attached, of which there is nothing to tell. `usable`: all volumes, if all are there and only show what they did before."""

    def __init__(self, messages: list[str], pending: list[str], usable: Mapping[str, Path] | None) -> None:
        super().__init__("; ".join([*messages, *(f'volume "{name}" is not attached yet' for name in pending)]))
        self.messages, self.pending, self.usable = messages, pending, usable


class VolumeManager:
    def __init__(
        self,
        config: KubeletConfig,
        objects: ObjectCache,
        tokens: TokenCache,
        clock: Clock,
        allocatable: Callable[[], Mapping[str, int]],
        node: Callable[[], Obj | None] = lambda: None,
        plugins: tuple[VolumePlugin, ...] = PLUGINS,
        csi: CsiVolumes | None = None,
    ) -> None:
        self._config, self._objects, self._tokens, self._clock = config, objects, tokens, clock
        self._allocatable, self._node = allocatable, node
        self._csi, nfs = csi, NfsVolume()
        self._persistent: dict[str, PersistentPlugin] = {"nfs": nfs} if csi is None else {"nfs": nfs, "csi": csi}
        plugins = (*plugins, nfs) if csi is None else (*plugins, nfs, csi)
        self._plugins = {plugin.source: plugin for plugin in plugins}
        self._by_name = {plugin.name: plugin for plugin in plugins}
        self._paths: dict[str, dict[str, Path]] = {}

    async def set_up(self, pod: Obj) -> Mapping[str, Path]:
        """All volumes of the pod, by name. Called on every sync: content is refreshed. Raises MountFailed."""
        ready = self._paths.setdefault(uid_of(pod), {})
        failures: list[str] = []
        pending: list[str] = []
        unprocessed: dict[str, str] = {}
        for volume in dig(pod, "spec", "volumes", default=None) or ():
            plugin = next((self._plugins[key] for key in volume if key in self._plugins), None)
            name = volume["name"]
            if plugin is not None and name in ready and not (plugin.refreshes or self._republishes(pod, name)):
                await self._grow(pod, volume, plugin)
                continue
            try:
                if plugin is None:
                    raise VolumeFault(f"no volume plugin matched name: {next((k for k in volume if k != 'name'), '')}")
                ready[name] = await plugin.set_up(self._request(pod, volume, plugin))
            except Unprocessed as fault:
                unprocessed[name] = str(fault)
            except Unattached as fault:
                if fault.pending:
                    pending.append(name)
                    continue
                text = f"unmounted volumes=[{name}], unattached volumes=[{name}], failed to process volumes=[]: {fault}"
                failures.append(f"Unable to attach or mount volumes: {text}")
            except VolumeFault as fault:
                failures.append(f'{fault.step} for volume "{fault.volume or name}" : {fault}')
            except (StatusError, ConnectionError, OSError) as error:
                failures.append(f'MountVolume.SetUp failed for volume "{name}" : {error}')
        if unprocessed:
            names, why = " ".join(unprocessed), "; ".join(unprocessed.values())
            text = f"unmounted volumes=[{names}], unattached volumes=[], failed to process volumes=[{names}]: {why}"
            failures.append(f"Unable to attach or mount volumes: {text}")
        if failures or pending:
            wanted = {volume["name"] for volume in dig(pod, "spec", "volumes", default=None) or ()}
            raise MountFailed(failures, pending, ready if wanted <= ready.keys() else None)
        return ready

    def _request(self, pod: Obj, volume: Obj, plugin: VolumePlugin) -> Request:
        directory = self._config.pod_dir(uid_of(pod)) / "volumes" / plugin.name / volume["name"]
        now, memory = self._clock.now(), self._config.secrets_in_memory
        return Request(
            pod,
            volume,
            directory,
            self._objects,
            self._tokens,
            now,
            self._allocatable(),
            memory,
            self._node(),
            self._config.local_path_dir,
            self._persistent,
        )

    def _republishes(self, pod: Obj, name: str) -> bool:
        return self._csi is not None and self._csi.republishes(uid_of(pod), name)

    def paths(self, pod_uid: str) -> Mapping[str, Path]:
        """Where what is set up for the pod is, by its names of the volumes."""
        return self._paths.get(pod_uid) or {}

    async def measure(self, path: Path) -> Obj | None:
        """How full the volume is, as its driver says; None: there is none that can tell. Raises CallFailed."""
        return await self._csi.measure(path) if self._csi is not None else None

    async def _grow(self, pod: Obj, volume: Obj, plugin: VolumePlugin) -> None:
        if self._csi is None or not isinstance(plugin, ClaimVolume) or not self._csi.grows(uid_of(pod), volume["name"]):
            return
        try:
            await plugin.grow(self._request(pod, volume, plugin))
        except (VolumeFault, StatusError, ConnectionError) as error:
            log.info("not known whether a volume has grown pod=%s volume=%s error=%s", uid_of(pod), volume["name"], error)

    async def tear_down(self, pod_uid: str) -> None:
        """Undo what is set up for the pod, going by its folders: after a restart nothing else is known. Raises OSError."""
        self._paths.pop(pod_uid, None)
        if self._csi is not None:
            self._csi.stop_waiting(pod_uid)
        pod_dir = self._config.pod_dir(pod_uid)
        if not pod_dir.is_dir():
            return
        mounts.unmount_below(pod_dir / "volume-subpaths")
        for folder in _folders(pod_dir / "volumes"):
            plugin = self._by_name.get(folder.name)
            for directory in _folders(folder):
                if plugin is not None:
                    await plugin.tear_down(directory)

    def remove_pod_dir(self, pod_uid: str) -> None:
        """Remove the pod's folder; only when nothing is mounted below it: a volume's data must not be deleted through it."""
        pod_dir = self._config.pod_dir(pod_uid)
        if not pod_dir.is_dir():
            return
        if left := mounts.mounts_below(pod_dir):
            log.warning("pod folder kept, something is still mounted pod=%s mounts=%s", pod_uid, left)
            return
        shutil.rmtree(pod_dir, ignore_errors=True)


def _folders(path: Path) -> list[Path]:
    return [each for each in path.iterdir() if each.is_dir()] if path.is_dir() else []
