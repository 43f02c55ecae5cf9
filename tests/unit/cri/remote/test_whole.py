"""A call that makes something is carried through when its caller is cancelled, unless the runtime hangs."""

from __future__ import annotations

import asyncio

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.cri.remote.whole import PATIENCE_S, whole
from steersman.machinery.clock import VirtualClock


@pytest.mark.parametrize(("lasts_s", "ends"), [(PATIENCE_S - 1, True), (PATIENCE_S + 1, False)], ids=["soon", "hangs"])
def test_a_cancelled_caller_leaves_when_the_call_is_done_or_has_taken_too_long(lasts_s: float, ends: bool) -> None:
    clock, done = VirtualClock(), []

    async def work() -> None:
        await clock.sleep(lasts_s)
        done.append("made")

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            caller = tasks.create_task(whole(tasks, clock, work()))
            await clock.advance(0)
            caller.cancel()
            await clock.advance(min(lasts_s, PATIENCE_S) - 0.5)
            assert not caller.done()
            await clock.advance(0.5)
            await asyncio.wait({caller})
            assert caller.cancelled() and bool(done) is ends

    asyncio.run(scenario())


def test_results_and_failures_are_the_callers() -> None:
    async def good() -> str:
        return "id"

    async def bad() -> str:
        raise RuntimeFault("no")

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            assert await whole(tasks, VirtualClock(), good()) == "id"
            with pytest.raises(RuntimeFault, match="^no$"):
                await whole(tasks, VirtualClock(), bad())

    asyncio.run(scenario())
