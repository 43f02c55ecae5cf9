"""How full the volumes of pods are: for /stats/summary and the metrics by claim.

What lies on the node's own disk is counted (diskuse.py); a claim's volume is asked of its CSI driver, where that can tell, else
of its filesystem. Both are remembered for a minute. Source: upstream pkg/kubelet/server/stats/volume_stat_calculator.go,
pkg/volume/csi/csi_metrics.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.grpcstatus import CallFailed
from steersman.kubelet.server import host
from steersman.kubelet.server.diskuse import KEEP_S, DiskUse
from steersman.kubelet.worker import PodWorker
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig, format_time, name_of, namespace_of

log = logging.getLogger(__name__)

ON_NODE = ("emptyDir", "secret", "configMap", "projected", "downwardAPI")
_CLAIMS = "persistentVolumeClaim", "ephemeral"


class Volumes(Protocol):
    """What is set up: volumes/manager.py."""

    def paths(self, pod_uid: str) -> Mapping[str, Path]:
        """By the pod's names of them."""

    async def measure(self, path: Path) -> Obj | None:
        """What the volume's driver says, as the summary words it; None: there is none that can. Raises CallFailed."""


class VolumeStats:
    """`disk` is shared with who counts other folders."""

    def __init__(self, config: KubeletConfig, clock: Clock, disk: DiskUse, volumes: Volumes | None) -> None:
        self._config, self._clock, self._disk, self._volumes = config, clock, disk, volumes
        self._known: dict[Path, tuple[float, Obj]] = {}

    async def of_pod(self, pod: Obj, uid: str) -> list[Obj]:
        """One block each, of those that can be measured."""
        made, at = [], format_time(self._clock.now())
        paths = self._volumes.paths(uid) if self._volumes is not None else {}
        for volume in dig(pod, "spec", "volumes", default=None) or ():
            name = volume["name"]
            path = paths.get(name) or self._own_folder(uid, name)
            if path is None:
                continue
            if (claim := claim_of(pod, volume)) is not None:
                shown = await self._of_claim(path)
                if shown:
                    made.append({"time": at, **shown, "name": name, "pvcRef": {"name": claim, "namespace": namespace_of(pod)}})
            elif any(key in volume for key in ON_NODE):
                used = None if in_memory(volume) else await self._disk.of(path)
                made.append({**host.filesystem(at, path, used), "name": name})
        return made

    async def of_claims(self, workers: Iterable[PodWorker]) -> dict[tuple[str, str], Obj]:
        """By namespace and claim, each once however many pods have it."""
        found: dict[tuple[str, str], Obj] = {}
        for worker in workers:
            paths = self._volumes.paths(worker.uid) if self._volumes is not None else {}
            for volume in dig(worker.pod, "spec", "volumes", default=None) or ():
                claim, path = claim_of(worker.pod, volume), paths.get(volume["name"])
                key = (namespace_of(worker.pod), claim or "")
                if claim is not None and path is not None and key not in found and (shown := await self._of_claim(path)):
                    found[key] = shown
        return found

    async def _of_claim(self, path: Path) -> Obj:
        """Without the time; empty if nothing is known."""
        now_s = self._clock.monotonic()
        known = self._known.get(path)
        if known is None or now_s - known[0] >= KEEP_S:
            known = self._known[path] = (now_s, await self._measured(path))
        return known[1]

    async def _measured(self, path: Path) -> Obj:
        try:
            told = await self._volumes.measure(path) if self._volumes is not None else None
        except CallFailed as error:
            log.info("volume not measured path=%s error=%s", path, error)
            return {}
        if told is not None:
            return told
        # In a thread: a file server may be gone.
        made = await asyncio.to_thread(lambda: host.filesystem("", path) if path.is_dir() else {})
        return {key: value for key, value in made.items() if key != "time"}

    def forget_old(self) -> None:
        """What nobody has asked for in a while is no longer there."""
        limit_s = self._clock.monotonic() - 2 * KEEP_S
        self._known = {path: found for path, found in self._known.items() if found[0] >= limit_s}

    def _own_folder(self, uid: str, name: str) -> Path | None:
        """Where a volume of the pod is, whatever its plugin; of one that this life of the kubelet has not set up yet."""
        return next(iter(sorted((self._config.pod_dir(uid) / "volumes").glob(f"*/{name}"))), None)


def claim_of(pod: Obj, volume: Obj) -> str | None:
    """The name of the claim that the volume is by."""
    source = next((key for key in _CLAIMS if key in volume), None)
    if source is None:
        return None
    return dig(volume, source, "claimName", default="") or f"{name_of(pod)}-{volume['name']}"


def in_memory(volume: Obj) -> bool:
    return bool(dig(volume, "emptyDir", "medium", default=""))
