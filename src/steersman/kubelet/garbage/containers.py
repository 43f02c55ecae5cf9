"""Removes, once a minute, dead containers but the newest of each name, and logs of pods that are gone.

A pod's worker does the same for its own pod when it looks at it (sync.py); this finds what no worker looks at: containers of pods
that have ended, logs whose pod went while no kubelet ran. Source: upstream pkg/kubelet/kuberuntime/kuberuntime_gc.go.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.cri.messages import Container, ContainerState
from steersman.kubelet.view import UID_LABEL
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

EVERY_S = 60.0
KEPT = 1
"""Dead containers of a name in a pod: their logs and exit codes can be asked for."""


class ContainerCollector:
    """known(): UIDs of all pods of this node; None while that is not known."""

    def __init__(
        self, runtime: Runtime, clock: Clock, known: Callable[[], Collection[str] | None], logs: Path, links: Path | None
    ) -> None:
        self._runtime, self._clock, self._known, self._logs, self._links = runtime, clock, known, logs, links
        self._suspects: set[str] = set()
        """Log folders that nobody seemed to want a round ago. A pod that came meanwhile is not among them."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            try:
                await self.collect()
            except (RuntimeFault, OSError) as error:
                log.warning("container garbage collection failed error=%s", error)

    async def collect(self) -> None:
        """Raises RuntimeFault, OSError."""
        containers = await self._runtime.list_containers()
        for container in _superfluous(containers):
            try:
                await self._runtime.remove_container(container.id)
            except RuntimeFault as error:  # its worker may have been faster
                log.info("dead container not removed container=%s error=%s", container.id, error)
                continue
            if container.log_path:
                Path(container.log_path).unlink(missing_ok=True)
        known = self._known()
        if known is not None:
            wanted = {*known, *(container.labels.get(UID_LABEL, "") for container in containers)}
            await asyncio.to_thread(self._remove_logs, wanted)

    def _remove_logs(self, wanted: Collection[str]) -> None:
        before, self._suspects = self._suspects, set()
        for folder in self._logs.iterdir() if self._logs.is_dir() else ():
            parts = folder.name.split("_")  # namespace_name_uid: none of them has an underscore
            if len(parts) != 3 or parts[2] in wanted or folder.is_symlink() or not folder.is_dir():
                continue
            if folder.name in before:
                log.info("removing logs of a pod that is gone folder=%s", folder)
                shutil.rmtree(folder, ignore_errors=True)
            else:
                self._suspects.add(folder.name)
        for link in self._links.iterdir() if self._links is not None and self._links.is_dir() else ():
            if link.is_symlink() and not link.exists() and link.suffix == ".log":
                link.unlink(missing_ok=True)


def _superfluous(containers: Collection[Container]) -> list[Container]:
    """Dead ones, but the newest of each name in each pod; only the kubelet's own."""
    by_name: defaultdict[tuple[str, str], list[Container]] = defaultdict(list)
    for container in containers:
        uid = container.labels.get(UID_LABEL, "")
        if container.state is ContainerState.EXITED and uid:
            by_name[uid, container.name].append(container)
    return [
        container
        for dead in by_name.values()
        for container in sorted(dead, key=lambda each: (each.attempt, each.created_at), reverse=True)[KEPT:]
    ]
