"""One simulated container: from its making over its program's run to its end. runtime.py keeps them."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Container, ContainerState, EventKind, Usage
from steersman.cri.simulated.logs import LogFile
from steersman.cri.simulated.program import CannotStart, Exit, Process, Program
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

KILLED = 128 + signal.SIGKILL


class Instance:
    """`seen` is what the kubelet gets, made anew at each change; `tell` hears of each."""

    __slots__ = ("_clock", "_ended", "_task", "_tell", "log", "process", "seen")

    def __init__(self, seen: Container, process: Process, log_file: LogFile, clock: Clock, tell: Callable[[EventKind], None]):
        self.seen, self.process, self.log = seen, process, log_file
        self._clock, self._tell = clock, tell
        self._task: asyncio.Task[None] | None = None
        self._ended: asyncio.Event | None = None

    @property
    def ended(self) -> asyncio.Event:
        """Set at the end; there once somebody waits for it."""
        if self._ended is None:
            self._ended = asyncio.Event()
            if self.seen.state is ContainerState.EXITED:
                self._ended.set()
        return self._ended

    @property
    def answers(self) -> bool:
        return self.seen.state is ContainerState.RUNNING and self.process.ready

    def start(self, program: Program, tasks: asyncio.TaskGroup) -> None:
        """Run the program, as one of the tasks if it takes any. Raises RuntimeFault."""
        self.seen = replace(self.seen, state=ContainerState.RUNNING, started_at=self._clock.now())
        try:
            running = program(self.process)
        except CannotStart as error:
            self.end(128, "StartError", str(error))
            raise RuntimeFault(f"failed to start container {self.seen.name!r}: {error}") from None
        security = self.process.config.security
        user = (security.run_as_user or 0, security.run_as_group or 0, security.supplemental_groups or (0,))
        self.seen = replace(self.seen, user=user)
        self.log.open()
        if running is not None:
            self._task = tasks.create_task(self._run(running))
            # One that is cancelled before its first turn has not begun, and must not be waited for in vain.
            self._task.add_done_callback(lambda _: running.close())
        self._tell(EventKind.STARTED)

    async def _run(self, running: Coroutine[Any, Any, int]) -> None:
        """A program to its end; the boundary where its faults become crashes."""
        code, reason, message = 0, "", ""
        try:
            code = await running
        except Exit as end:
            code, reason, message = end.code, end.reason, end.message
        except Exception as error:
            log.info("simulated program crashed container=%s", self.seen.name, exc_info=True)
            code = 1
            self.process.log(f"{type(error).__name__}: {error}\n", "stderr")
        self._task = None
        self.end(code, reason, message)

    def end(self, code: int, reason: str = "", message: str = "") -> None:
        """It is over. What never ran ends likewise, when its sandbox's end takes it."""
        if self.seen.state is ContainerState.EXITED:
            return
        self.forsake()
        self.seen = replace(
            self.seen,
            state=ContainerState.EXITED,
            exit_code=code,
            finished_at=self._clock.now(),
            reason=reason or ("Completed" if code == 0 else "Error"),
            message=message,
        )
        if self._ended is not None:
            self._ended.set()
        self.log.end()
        self._tell(EventKind.STOPPED)

    def forsake(self) -> None:
        """Break off the program, if it still runs."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def stop(self, timeout_s: float) -> None:
        """The stop signal; SIGKILL when the time is up."""
        if self.seen.state is not ContainerState.RUNNING:
            return
        if timeout_s <= 0:
            self.end(KILLED)
        elif self.process.trapped is None:
            self.end(128 + _signal(self.process.config.stop_signal))
        else:
            self.process.trapped.set()
            if not await within(self._clock, timeout_s, self.ended.wait):
                self.end(KILLED)

    def usage(self) -> Usage:
        now, started = self._clock.now(), self.seen.started_at
        lived_s = ((self.seen.finished_at or now) - started).total_seconds() if started else 0.0
        memory = self.process.memory
        return Usage(now, int(lived_s * self.process.cpu_milli * 1_000_000), memory, memory, memory, processes=1)


def _signal(name: str) -> int:
    return int(signal.Signals[name]) if name in signal.Signals.__members__ else int(signal.SIGTERM)
