"""Waiting for what `up` and `join` have started, with a limit and a sentence about what to look at."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from steersman.api.resources import NODES
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, condition, parse_time

POLL_S = 0.02
_ENDING_BYTES = 4096


class UpError(Exception):
    """The cluster, or the node, did not come up; one sentence with what to look at."""


async def until(
    holds: Callable[[], Awaitable[bool]], patience_s: float, clock: Clock, what: str, log: Path, *, poll_s: float = POLL_S
) -> None:
    """Raises UpError, which names the log of what is waited for, and how it ends."""
    deadline = clock.monotonic() + patience_s
    while not await holds():
        if clock.monotonic() > deadline:
            raise UpError(f"waited {patience_s:.0f} s in vain for {what}: see {log}{_ending(log)}")
        await clock.sleep(poll_s)


def _ending(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _ENDING_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line for line in reversed(lines) if line.strip()), "")
    return f", which ends with: {last}" if last else ""


async def node_ready(client: Client, name: str, since: datetime) -> bool:
    """Ready by the kubelet's own word since then: an earlier life's status may still stand there."""
    try:
        return heard(await client.get(NODES, name), since)
    except (StatusError, ConnectionError):
        return False


def heard(node: Obj, since: datetime) -> bool:
    ready = condition(node, "Ready") or {}
    moment = parse_time(ready.get("lastHeartbeatTime"))
    return ready.get("status") == "True" and moment is not None and moment >= since.replace(microsecond=0)
