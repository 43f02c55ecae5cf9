"""Programs are run to their end, and to nobody else's."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import pytest
import uvloop

from steersman.machinery import programs
from steersman.machinery.clock import RealClock
from steersman.machinery.programs import Child, run, spawn
from steersman.machinery.waiting import within


def test_what_went_in_and_what_came_out() -> None:
    async def scenario() -> None:
        outcome = await run(["sh", "-c", "cat; echo oh >&2; exit 3"], stdin=b"in" * 100_000)
        assert (outcome.code, outcome.stdout, outcome.stderr) == (3, b"in" * 100_000, b"oh\n")
        assert (await run(["sh", "-c", "echo $NAME"], env={"NAME": "me"})).output == b"me\n"
        assert (await run(["sh", "-c", "kill -9 $$"])).code == 128 + signal.SIGKILL

    asyncio.run(scenario())


def test_a_program_that_is_not_there() -> None:
    async def scenario() -> None:
        with pytest.raises(FileNotFoundError):
            await run(["no-such-program"])
        with pytest.raises(OSError):
            await run(["/no/such/program"])

    asyncio.run(scenario())


def test_a_caller_that_gives_up_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def noted(*args: Any, **kwargs: Any) -> int:
        started.append(spawn(*args, **kwargs))
        return started[-1]

    async def scenario() -> None:
        assert not await within(RealClock(), 0.05, lambda: run(["sleep", "600"]))

    monkeypatch.setattr(programs, "spawn", noted)
    asyncio.run(scenario())
    (pid,) = started
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_nobody_waits_for_a_program_that_another_thread_started_meanwhile() -> None:
    """With the event loop's own subprocesses about one run in five did: the other had got hold of its pipes."""
    others: list[int] = []
    done = threading.Event()

    def start_others() -> None:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        while not done.is_set() and len(others) < 60:
            others.append(spawn(["/bin/sleep", "600"], stdin=null, stdout=null, stderr=null))
        os.close(null)

    async def scenario() -> None:
        for _ in range(40):
            assert await within(RealClock(), 60, lambda: run(["true"], stdin=b"x"))

    thread = threading.Thread(target=start_others)
    thread.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(scenario())
    finally:
        done.set()
        thread.join()
        for pid in others:
            Child(pid).kill()
    assert others
