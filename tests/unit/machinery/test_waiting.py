"""Waiting with a limit, in virtual time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from weakref import ref

import pytest

from steersman.machinery.clock import VirtualClock
from steersman.machinery.waiting import Locks, Nudge


def test_a_nudge_ends_the_wait_and_the_limit_does_so_otherwise() -> None:
    async def scenario() -> None:
        clock, nudge = VirtualClock(), Nudge()
        async with asyncio.TaskGroup() as group:
            nudged = group.create_task(nudge.wait_within(clock, 10))
            await clock.advance(9)
            assert not nudged.done()
            nudge.set()
            await clock.advance(0)
            assert nudged.result()
            nudge.clear()
            late = group.create_task(nudge.wait_within(clock, 10))
            await clock.advance(9.9)
            assert not late.done()
            await clock.advance(0.1)
            assert not late.result()

    asyncio.run(scenario())


def test_a_nudge_that_came_before_is_not_waited_for() -> None:
    async def scenario() -> None:
        clock, nudge = VirtualClock(), Nudge()
        nudge.set()
        assert await nudge.wait_within(clock, 10)
        await nudge.wait()

    asyncio.run(scenario())


def test_a_nudge_that_is_taken_back_at_once_has_been_given() -> None:
    async def scenario() -> None:
        clock, nudge = VirtualClock(), Nudge()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(nudge.wait_within(clock, 10))
            await clock.sleep(0)
            nudge.set()
            nudge.clear()
            assert await waiting

    asyncio.run(scenario())


def test_who_is_cancelled_while_waiting_may_be_followed_by_another() -> None:
    async def scenario() -> None:
        clock, nudge = VirtualClock(), Nudge()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(nudge.wait_within(clock, 10))
            await clock.sleep(0)
            first.cancel()
            await clock.sleep(0)
            second = group.create_task(nudge.wait_within(clock, 30))
            # The limit of the first is not the second's.
            await clock.advance(20)
            assert not second.done()
            nudge.set()
            assert await second

    asyncio.run(scenario())


@pytest.mark.parametrize("cancelled", [(), (1,), (0, 2)])
def test_what_is_called_later_is_called_in_order_unless_it_is_cancelled(cancelled: tuple[int, ...]) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        called: list[tuple[int, float]] = []

        def call(number: int) -> Callable[[], None]:
            return lambda: called.append((number, clock.monotonic()))

        timers = [clock.call_later(delay, call(number)) for number, delay in enumerate((3.0, 1.0, 3.0))]
        for number in cancelled:
            timers[number].cancel()
        await clock.advance(5)
        assert called == [(number, at) for number, at in ((1, 1.0), (0, 3.0), (2, 3.0)) if number not in cancelled]

    asyncio.run(scenario())


def test_a_lock_per_key_is_one_for_all_who_use_it_and_is_forgotten_with_the_last() -> None:
    async def scenario() -> None:
        locks, seen, clock = Locks[str](), list[str](), VirtualClock()

        async def work(name: str) -> None:
            async with locks["one"]:
                seen.append(f"{name} begins")
                await clock.sleep(1)
                seen.append(f"{name} ends")

        async with asyncio.TaskGroup() as group:
            group.create_task(work("first"))
            waiting = group.create_task(work("leaves"))
            group.create_task(work("second"))
            await clock.advance(0.5)
            async with locks["two"]:
                waiting.cancel()
            await clock.advance(2)
            # The first has let it go, and the second has it from before.
        assert seen == ["first begins", "first ends", "second begins", "second ends"]
        del waiting  # with which its last frames, and what they held, were kept
        gone = ref(locks["one"])
        gc.collect()
        assert gone() is None

    asyncio.run(scenario())
