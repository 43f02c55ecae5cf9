"""Processes: naming them safely (pid plus start time), signalling them and waiting for them.

Everything the runtime starts that lasts (pause, conmon) outlives this process; what it finds again later is checked by start
time, so that a reused pid is never taken for it. Not here: starting programs (machinery/programs.py).
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from steersman.machinery.programs import readable


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be mistaken for a later one: `start` is its start time in clock ticks since boot."""

    pid: int
    start: int


def identify(pid: int) -> ProcessId | None:
    """The process with this pid, or None if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return ProcessId(pid, int(fields[19]))


def alive(process: ProcessId | None) -> bool:
    return process is not None and identify(process.pid) == process


def send(process: ProcessId | None, number: int) -> bool:
    """Signal it; False if it has ended."""
    if process is None:
        return False
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if identify(process.pid) != process:  # checked after the pidfd: from here on it cannot be another one
            return False
        signal.pidfd_send_signal(fd, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def descendants(pid: int) -> list[ProcessId]:
    """What a process has started, and what that has started."""
    found: list[ProcessId] = []
    waiting = [pid]
    while waiting:
        for child in map(identify, _children(waiting.pop())):
            if child is not None:
                found.append(child)
                waiting.append(child.pid)
    return found


def _children(pid: int) -> list[int]:
    """Per thread: in a program of several threads (runc) each has its own."""
    words: list[str] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                words += file.read().split()
    except (FileNotFoundError, ProcessLookupError):
        pass
    return [int(word) for word in words]


def reap(pid: int) -> None:
    """Collect it if it is our own child that has ended; anything else is not ours to collect."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


async def gone(process: ProcessId | None) -> None:
    """Wait until the process has ended."""
    if process is None:
        return
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if identify(process.pid) == process:
            await readable(fd)
        reap(process.pid)
    finally:
        os.close(fd)


def keep_descriptors_to_ourselves() -> None:
    """Whatever open files we were started with stay ours: conmon and pause processes outlive us and would hold them open for
    ever."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.set_inheritable(int(name), False)
            except OSError:  # the listing's own, closed again
                continue
