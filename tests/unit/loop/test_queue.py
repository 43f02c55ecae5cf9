"""The work queue: each key at most once at a time, none forgotten, delays and back-off in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from steersman.loop.queue import WorkQueue
from steersman.machinery.clock import VirtualClock


def run_with(scenario: Callable[[WorkQueue[str], VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        queue: WorkQueue[str] = WorkQueue(clock)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(queue.run())
            await scenario(queue, clock)
            running.cancel()

    asyncio.run(main())


def test_a_key_added_twice_comes_once_and_keys_come_in_order() -> None:
    async def scenario(queue: WorkQueue[str], clock: VirtualClock) -> None:
        for key in ("a", "b", "a"):
            queue.add(key)
        assert [await queue.get(), await queue.get(), len(queue)] == ["a", "b", 0]

    run_with(scenario)


def test_a_key_added_while_worked_on_comes_again_only_when_done() -> None:
    async def scenario(queue: WorkQueue[str], clock: VirtualClock) -> None:
        queue.add("a")
        key = await queue.get()
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0
        queue.done(key)
        assert await queue.get() == "a"
        queue.done(key)
        assert len(queue) == 0

    run_with(scenario)


def test_delays_end_in_order_and_the_earliest_of_a_key_counts() -> None:
    async def scenario(queue: WorkQueue[str], clock: VirtualClock) -> None:
        queue.add_after("late", 10)
        queue.add_after("soon", 5)
        queue.add_after("soon", 7)
        queue.add_after("late", 6)
        await clock.advance(4.9)
        assert len(queue) == 0
        await clock.advance(0.2)
        assert len(queue) == 1
        await clock.advance(20)
        assert [await queue.get(), await queue.get(), len(queue)] == ["soon", "late", 0]

    run_with(scenario)


def test_retries_back_off_doubling_up_to_the_limit_and_start_anew_after_success() -> None:
    async def scenario(queue: WorkQueue[str], clock: VirtualClock) -> None:
        pauses = [queue.retry("a") for _ in range(200)]
        assert pauses[:4] == [0.005, 0.01, 0.02, 0.04]
        assert pauses[17:] == [655.36, *[1000.0] * 182]
        queue.forget("a")
        assert queue.retry("a") == 0.005

    run_with(scenario)
