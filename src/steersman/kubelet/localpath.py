"""Removes the folders of local-path volumes that are to go, when the provisioner asks for it on the Node (loop/localpath.py)."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

from steersman.api.resources import NODES
from steersman.client.interface import Client
from steersman.loop import localpath
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import Backoff

log = logging.getLogger(__name__)


class LocalPaths:
    """`directory`: where the folders are."""

    def __init__(self, directory: Path, node_name: str, client: Client, clock: Clock) -> None:
        self._directory, self._node_name, self._client, self._clock = directory, node_name, client, clock
        self._asked: list[str] = []
        self._wake = asyncio.Event()

    def node_changed(self, _old: Obj | None, node: Obj | None) -> None:
        removals = localpath.removals(node) if node is not None else ()
        self._asked = [name for name, state in removals if state == localpath.ASKED and localpath.is_volume_name(name)]
        if self._asked:
            self._wake.set()

    async def run(self) -> None:
        backoff = Backoff(0.5, 60)
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._remove(self._asked)
                backoff = Backoff(0.5, 60)
            except (OSError, StatusError, ConnectionError) as error:
                log.warning("local-path volumes not removed node=%s error=%s", self._node_name, error)
                await self._clock.sleep(backoff.next())
                self._wake.set()

    async def _remove(self, names: list[str]) -> None:
        for name in names:
            path = self._directory / name
            if path.is_dir():
                # Its size is a person's doing: not on the event loop.
                await asyncio.to_thread(shutil.rmtree, path)
                log.info("local-path volume removed volume=%s", name)
            await self._client.patch(NODES, self._node_name, localpath.marking([name], localpath.DONE))
