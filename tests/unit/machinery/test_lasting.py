"""The boundary of background work: what fails is begun anew, what is cancelled ends."""

from __future__ import annotations

import asyncio
import logging

import pytest

from steersman.machinery.clock import VirtualClock
from steersman.machinery.lasting import lasting


def test_work_that_fails_is_logged_and_begun_anew_after_a_pause_that_grows(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    begun: list[float] = []

    async def work() -> None:
        begun.append(clock.monotonic())
        if len(begun) < 5:
            raise KeyError("odd")

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(lasting("counting", work, clock))
            await clock.advance(60)
            assert running.done()

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert begun == [0, 1, 3, 7, 15]
    assert [record.getMessage() for record in caplog.records][0] == ("background work failed, begun anew work=counting pause_s=1")
    assert caplog.records[0].exc_info is not None


def test_work_that_went_well_for_long_is_begun_anew_soon() -> None:
    clock = VirtualClock()
    begun: list[float] = []

    async def work() -> None:
        begun.append(clock.monotonic())
        if len(begun) == 3:
            await clock.sleep(100)
        raise KeyError("odd")

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(lasting("counting", work, clock))
            await clock.advance(104.5)
            running.cancel()

    asyncio.run(scenario())
    assert begun == [0, 1, 3, 104]


def test_cancelled_work_ends_though_it_fails_at_that() -> None:
    clock = VirtualClock()
    begun: list[float] = []

    async def fails_at_its_end() -> None:
        try:
            await clock.sleep(1000)
        finally:
            raise KeyError("odd")

    async def work() -> None:
        begun.append(clock.monotonic())
        async with asyncio.TaskGroup() as group:
            group.create_task(fails_at_its_end())

    async def scenario() -> None:
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                running = group.create_task(lasting("counting", work, clock))
                await clock.advance(1)
                running.cancel()
                await clock.advance(100)

    asyncio.run(scenario())
    assert begun == [0]
