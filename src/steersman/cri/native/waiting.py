"""Waiting with a limit, on the clock that is passed in."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from steersman.machinery.clock import Clock

T = TypeVar("T")


async def wait_event(clock: Clock, event: asyncio.Event, seconds: float) -> bool:
    """Whether the event came within the time."""
    try:
        await within(clock, seconds, event.wait())
    except TimeoutError:
        return False
    return True


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work; when the time runs out it is cancelled and TimeoutError raised. seconds <= 0: no limit."""
    if seconds <= 0:
        return await work
    results: list[T] = []
    errors: list[Exception] = []

    async def guarded() -> None:
        # A failure must come out as itself, not wrapped into the task group's ExceptionGroup.
        try:
            results.append(await work)
        except Exception as error:
            errors.append(error)

    async with asyncio.TaskGroup() as group:
        doing = group.create_task(guarded())
        timer = group.create_task(clock.sleep(seconds))
        await asyncio.wait({doing, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        doing.cancel()
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


async def all_or_first_failure(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results, in order; when one fails the others are cancelled and its failure raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
    return [task.result() for task in tasks]
