"""Calls that make something are not broken off halfway: the runtime may or may not go on with one whose caller has left.

A pod that is deleted while it starts has its turn cancelled. What the runtime made after that would be listed too late, when
everything else of the pod, its cgroup among it, is thought to be gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within

T = TypeVar("T")
PATIENCE_S = 10.0
"""How long a caller who wants to leave waits: a runtime may hang."""


async def whole(tasks: asyncio.TaskGroup, clock: Clock, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, done in `tasks`. A cancelled caller leaves when it is done; it is broken off after PATIENCE_S."""
    results: list[T] = []
    faults: list[Exception] = []

    async def quietly() -> None:
        # A failure belongs to the caller, not to the task group.
        try:
            results.append(await work)
        except Exception as error:
            faults.append(error)

    task = tasks.create_task(quietly())
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await within(clock, PATIENCE_S, lambda: asyncio.wait({task}))
        task.cancel()
        raise
    if faults:
        raise faults[0]
    return results[0]
