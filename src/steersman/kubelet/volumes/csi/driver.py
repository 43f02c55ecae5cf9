"""Calls to one plugin over its socket: one connection per call, a time limit, failures as CallFailed.

A connection per call costs a driver nothing to speak of, and one that was started anew is there with the next call. What is not
here: what to ask, and when. Source: upstream pkg/volume/csi/csi_client.go.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from steersman.api.protobuf.wire import Malformed
from steersman.kubelet.grpcstatus import DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, CallFailed
from steersman.kubelet.volumes.csi import messages
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import within

A = TypeVar("A")

CALL_S = 120.0
"""Upstream's csiTimeout."""
REGISTRATION_S = 10.0
AGENT = "steersman-kubelet"
_LONGEST = 107
"""Bytes of a socket's path that fit into an address."""


async def call(clock: Clock, socket: str, method: str, request: bytes, timeout_s: float = CALL_S) -> bytes:
    """The answer's message. `socket`: a path, or `unix:///path`. Raises CallFailed."""
    path = socket.removeprefix("unix://")
    # Here, since most nodes have no plugins: it brings HTTP/2 with it.
    from steersman.kubelet.grpccall import unary

    answer = b""

    async def ask() -> None:
        nonlocal answer
        reader, writer = await _connect(path)
        try:
            answer = await unary(reader, writer, "localhost", method, request, AGENT)
        finally:
            writer.close()

    try:
        if not await within(clock, timeout_s, ask):
            raise CallFailed(DEADLINE_EXCEEDED, "context deadline exceeded")
    except OSError as error:
        text = f'connection error: desc = "transport: Error while dialing: dial unix {path}: {_reason(error)}"'
        raise CallFailed(UNAVAILABLE, text) from None
    return answer


async def _connect(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if len(os.fsencode(path)) <= _LONGEST:
        return await asyncio.open_unix_connection(path)
    # Too long for an address: by way of its folder, opened.
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)


def _reason(error: OSError) -> str:
    text = os.strerror(error.errno).lower() if error.errno else str(error)
    return f"connect: {text}"


@dataclass(slots=True)
class Driver:
    """A registered driver: the CSI socket it named."""

    name: str
    endpoint: str
    clock: Clock
    info: messages.NodeInfo = field(default_factory=lambda: messages.NodeInfo("", 0))
    _can: frozenset[int] | None = None

    async def node_info(self) -> messages.NodeInfo:
        """Raises CallFailed."""
        return _read(messages.node_info, await self._ask("NodeGetInfo", b""))

    async def can(self, what: int) -> bool:
        """Whether the node service has a capability; asked once. Raises CallFailed."""
        if self._can is None:
            self._can = _read(messages.capabilities, await self._ask("NodeGetCapabilities", b""))
        return what in self._can

    async def stage(self, request: bytes) -> None:
        await self._ask("NodeStageVolume", request)

    async def unstage(self, volume: str, staging: Path) -> None:
        await self._ask("NodeUnstageVolume", messages.unstage(volume, str(staging)))

    async def publish(self, request: bytes) -> None:
        await self._ask("NodePublishVolume", request)

    async def unpublish(self, volume: str, target: Path) -> None:
        await self._ask("NodeUnpublishVolume", messages.unpublish(volume, str(target)))

    async def expand(self, request: bytes) -> None:
        await self._ask("NodeExpandVolume", request)

    async def stats(self, volume: str, path: Path, staging: Path | None) -> Obj:
        """How full it is, as /stats/summary words it."""
        request = messages.volume_stats(volume, str(path), str(staging) if staging is not None else "")
        return _read(messages.volume_usage, await self._ask("NodeGetVolumeStats", request))

    async def _ask(self, method: str, request: bytes) -> bytes:
        return await call(self.clock, self.endpoint, messages.NODE + method, request)


def _read(reader: Callable[[bytes], A], data: bytes) -> A:
    try:
        return reader(data)
    except Malformed as error:
        raise CallFailed(INTERNAL, f"grpc: failed to unmarshal the received message: {error}") from None
