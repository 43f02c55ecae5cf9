"""Rotates container logs that have grown too large: rename, compress older ones, have the runtime open a new file.

Source: upstream pkg/kubelet/logs/container_log_manager.go. Readers follow by the file's identity (server/logfile.py).
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.cri.messages import Container
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.worker import PodWorker
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

_STAMP = "%Y%m%d-%H%M%S"


class LogRotation:
    """Looks now and then at the logs of what runs."""

    def __init__(self, config: KubeletConfig, runtime: Runtime, clock: Clock, workers: Iterable[PodWorker]) -> None:
        self._config, self._runtime, self._clock, self._workers = config, runtime, clock, workers

    async def run(self) -> None:
        while True:
            await self._clock.sleep(self._config.container_log_monitor_s)
            for worker in list(self._workers):
                for container in worker.view.running:
                    try:
                        await self._check(container)
                    except (OSError, RuntimeFault) as error:
                        log.warning("log not rotated path=%s error=%s", container.log_path, error)

    async def _check(self, container: Container) -> None:
        path = Path(container.log_path)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            # Renamed in a turn that went wrong after that: have it made anew.
            await self._runtime.reopen_container_log(container.id)
            return
        if size < self._config.container_log_max_size:
            return
        older = _rotations(path)
        rotated = path.with_name(f"{path.name}.{_stamp(path, older, self._clock.now())}")
        os.rename(path, rotated)
        try:
            await self._runtime.reopen_container_log(container.id)
        except RuntimeFault:
            os.rename(rotated, path)
            raise
        # Beside the loop: who floods its log makes files of hundreds of megabytes, and all other pods would wait.
        await asyncio.to_thread(self._make_room, older)

    def _make_room(self, older: Sequence[Path]) -> None:
        """Compress earlier rotations and drop the oldest, so that with the two newest there are as many as allowed."""
        keep = max(self._config.container_log_max_files - 2, 0)
        for each in older[: len(older) - keep]:
            each.unlink()
        for each in older[max(len(older) - keep, 0) :]:
            if each.suffix != ".gz":
                _compress(each)


def _rotations(path: Path) -> list[Path]:
    """Earlier ones of this log, oldest first."""
    return sorted(each for each in path.parent.glob(f"{path.name}.*") if not each.name.endswith(".tmp"))


def _stamp(path: Path, older: Sequence[Path], now: datetime) -> str:
    """For the name of the next rotation, by which they are in order: later than the newest, whatever the wall clock says."""
    newest = older[-1].name.removeprefix(f"{path.name}.").removesuffix(".gz") if older else ""
    try:
        least = datetime.strptime(newest, _STAMP).replace(tzinfo=UTC) + timedelta(seconds=1)
    except ValueError:
        least = now
    return f"{max(least, now):{_STAMP}}"


def _compress(path: Path) -> None:
    staged = path.with_name(f"{path.name}.tmp")
    with path.open("rb") as source, gzip.open(staged, "wb") as target:
        shutil.copyfileobj(source, target)
    staged.rename(path.with_name(f"{path.name}.gz"))
    path.unlink()
