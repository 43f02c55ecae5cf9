"""How a part's process runs and ends."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from steersman.cluster.process import run_until_told


def test_it_ends_when_it_is_told_and_finishes_first() -> None:
    finished: list[bool] = []

    async def part() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            finished.append(True)

    run_until_told(part)
    assert finished == [True]


def test_a_connection_that_breaks_while_the_end_is_told_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Seen under load: a server gone and SIGTERM in one turn of the loop."""

    async def part() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        waiting = loop.create_future()

        def both() -> None:
            waiting.set_exception(ConnectionResetError(104, "Connection reset by peer"))
            task.cancel()

        loop.call_soon(both)
        await waiting

    run_until_told(part)
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_any_other_failure_that_nobody_takes_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def part() -> None:
        asyncio.get_running_loop().create_future().set_exception(KeyError("x"))

    run_until_told(part)
    assert "never retrieved" in caplog.text
