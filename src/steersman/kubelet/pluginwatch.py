"""Plugins that put a socket into the kubelet's plugins_registry: asked who they are, handed to whoever serves their type, told.

A socket that is made anew under the same name is a plugin that was started anew. What fails is tried again, ever more rarely.
What is not here: what a registered plugin is good for (volumes/csi). Source: upstream pkg/kubelet/pluginmanager,
pluginregistration/v1.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from steersman.kubelet.grpcstatus import CallFailed
from steersman.kubelet.volumes.csi import messages
from steersman.kubelet.volumes.csi.driver import REGISTRATION_S, call
from steersman.machinery import inotify
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.waiting import Backoff, Nudge

log = logging.getLogger(__name__)

FOLDER = "plugins_registry"
_FIRST_S, _MOST_S = 0.5, 120.0
_MASK = inotify.CREATE | inotify.DELETE | inotify.MOVED_FROM | inotify.MOVED_TO
_Identity = tuple[int, int]


class Refused(Exception):
    """The plugin can't be registered; the text is told to it."""


class PluginHandler(Protocol):
    """Serves one type of plugins. Both may be called again for what they have done before."""

    async def register(self, name: str, endpoint: str, versions: Sequence[str]) -> None:
        """Raises Refused, CallFailed, StatusError, ConnectionError."""

    async def deregister(self, name: str) -> None:
        """Raises StatusError, ConnectionError."""


@dataclass(slots=True)
class _Plugin:
    """One socket. `name`: once it is registered."""

    identity: _Identity
    backoff: Backoff = field(default_factory=lambda: Backoff(_FIRST_S, _MOST_S))
    due_s: float = 0.0
    kind: str = ""
    name: str = ""
    gone: bool = False


class PluginWatch:
    """`handlers`: by type, as plugins call it (`CSIPlugin`)."""

    def __init__(self, root: Path, clock: Clock, handlers: Mapping[str, PluginHandler]) -> None:
        self._directory, self._clock, self._handlers = root / FOLDER, clock, handlers
        self._plugins: dict[Path, _Plugin] = {}
        self._wake = Nudge()

    async def run(self) -> None:
        """Until cancelled. Raises OSError if the folder can't be made or watched."""
        self._directory.mkdir(0o750, parents=True, exist_ok=True)
        watch = inotify.watch(str(self._directory), _MASK)
        loop = asyncio.get_running_loop()

        def changed() -> None:
            inotify.names(watch)
            self._wake.set()

        loop.add_reader(watch, changed)
        try:
            while True:
                self._wake.clear()
                await self._round()
                pause_s = self._pause()
                if pause_s is None:
                    await self._wake.wait()
                else:
                    await self._wake.wait_within(self._clock, pause_s)
        finally:
            loop.remove_reader(watch)
            os.close(watch)

    def _pause(self) -> float | None:
        """Seconds until something is to be tried again; None: only news matter."""
        waiting = [each.due_s for each in self._plugins.values() if not each.name or each.gone]
        return max(min(waiting) - self._clock.monotonic(), 0.0) if waiting else None

    async def _round(self) -> None:
        found = _sockets(self._directory)
        for path, plugin in self._plugins.items():
            if found.get(path) != plugin.identity:
                plugin.gone = True
        for path, identity in found.items():
            if path not in self._plugins:
                self._plugins[path] = _Plugin(identity)
        async with asyncio.TaskGroup() as group:
            for path, plugin in list(self._plugins.items()):
                if plugin.due_s <= self._clock.monotonic() or (plugin.gone and not plugin.name):
                    group.create_task(self._tend(path, plugin))
        if any(path not in self._plugins for path in found):
            # What was there under the same name is given up: now the new one.
            await self._round()

    async def _tend(self, path: Path, plugin: _Plugin) -> None:
        """Register it, or give it up, if that is to be done."""
        try:
            if plugin.gone:
                if plugin.name:
                    await self._handlers[plugin.kind].deregister(plugin.name)
                    log.info("plugin is gone type=%s name=%s", plugin.kind, plugin.name)
                del self._plugins[path]
            elif not plugin.name:
                await self._register(path, plugin)
        except (Refused, CallFailed, ValueError, StatusError, ConnectionError) as error:
            # ValueError: what it says is no such message, or no text.
            log.warning("plugin not registered socket=%s error=%s", path, error)
            plugin.due_s = self._clock.monotonic() + plugin.backoff.next()

    async def _register(self, path: Path, plugin: _Plugin) -> None:
        info = messages.plugin_info(await self._ask(path, "GetInfo", b""))
        try:
            handler = self._handlers.get(info.type)
            if handler is None:
                raise Refused(f"no handler registered for plugin type: {info.type} at socket {path}")
            await handler.register(info.name, info.endpoint or str(path), info.versions)
        except (Refused, CallFailed, StatusError, ConnectionError) as error:
            await self._ask(path, "NotifyRegistrationStatus", messages.registered(False, f"plugin registration failed: {error}"))
            raise
        plugin.kind, plugin.name = info.type, info.name
        log.info("plugin registered type=%s name=%s", info.type, info.name)
        await self._ask(path, "NotifyRegistrationStatus", messages.registered(True))

    async def _ask(self, path: Path, method: str, request: bytes) -> bytes:
        return await call(self._clock, str(path), messages.REGISTRATION + method, request, REGISTRATION_S)


def _sockets(directory: Path) -> dict[Path, _Identity]:
    found = {}
    for path in sorted(directory.iterdir()):
        try:
            seen = os.stat(path)
        except OSError:
            continue
        if not path.name.startswith(".") and stat.S_ISSOCK(seen.st_mode):
            found[path] = (seen.st_ino, seen.st_ctime_ns)
    return found
