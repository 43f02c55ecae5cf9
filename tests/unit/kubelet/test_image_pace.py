"""How fast images are pulled: so many at once, so many per second."""

from __future__ import annotations

import asyncio

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.kubelet.images import Pace
from steersman.machinery.clock import VirtualClock


def test_pulls_wait_for_each_other() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        pace, running, most = Pace(clock, parallel=2), 0, 0

        async def pull() -> None:
            nonlocal running, most
            async with pace.turn():
                running += 1
                most = max(most, running)
                await clock.sleep(1)
                running -= 1

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(pull())
            for _ in range(4):
                await clock.advance(1)
        assert most == 2 and running == 0

    asyncio.run(scenario())


def test_too_many_pulls_in_a_short_time_are_refused() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        pace = Pace(clock, qps=0.5, burst=2)

        async def pull() -> None:
            async with pace.turn():
                pass

        await pull()
        await pull()
        with pytest.raises(RuntimeFault, match="pull QPS exceeded"):
            await pull()
        await clock.advance(2)
        await pull()
        with pytest.raises(RuntimeFault):
            await pull()

    asyncio.run(scenario())
