"""Processes: naming them safely (pid plus start time), signalling them, waiting for them, and starting helpers.

Everything the runtime starts that lasts (pause, conmon) outlives this process; what it finds again later is checked by start
time, so that
a reused pid is never taken for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_ALL_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


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


def settle(ready: asyncio.Future[None]) -> None:
    """Callback of a watched fd, which may fire again before it is taken off the loop."""
    if not ready.done():
        ready.set_result(None)


async def readable(fd: int) -> None:
    """Wait until the fd can be read (a pidfd: until the process has ended)."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


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


class Child:
    """A helper process of ours. `wait` must be awaited (or `kill` then `wait`): it collects the process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._code: int | None = None

    @property
    def running(self) -> bool:
        """Whether it has not been collected."""
        return self._code is None

    async def wait(self) -> int:
        """The exit code; 128 + the signal's number if one ended it."""
        if self._code is None:
            await readable(self._pidfd)
            self._collect()
        assert self._code is not None
        return self._code

    def _collect(self) -> None:
        if self._code is None:
            code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self._code = code if code >= 0 else 128 - code
            os.close(self._pidfd)

    def signal(self, number: int) -> None:
        if self._code is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """End it now and collect it."""
        self.signal(signal.SIGKILL)
        self._collect()


def spawn(
    argv: Sequence[str], *, stdin: int, stdout: int, stderr: int, extra: Sequence[int] = (), env: Mapping[str, str] | None = None
) -> int:
    """Start a program (absolute path) in its own session, with clean signals; the pid. `extra` fds become 3, 4, ..."""
    actions: list[tuple[int, int, int]] = []
    wanted = [stdin, stdout, stderr, *extra]
    # Two rounds: first out of the way of 0..n, then into place, so that none is
    # overwritten before it is copied. dup2 clears close-on-exec.
    safe = max(3, *wanted) + len(wanted) + 1
    for index, fd in enumerate(wanted):
        actions.append((os.POSIX_SPAWN_DUP2, fd, safe + index))
    for index in range(len(wanted)):
        actions.append((os.POSIX_SPAWN_DUP2, safe + index, index))
        actions.append((os.POSIX_SPAWN_CLOSE, safe + index, 0))
    return os.posix_spawn(
        argv[0],
        list(argv),
        {**_ENV, **(env or {})},
        file_actions=[action[:2] if action[0] == os.POSIX_SPAWN_CLOSE else action for action in actions],
        setsid=True,
        setsigmask=(),
        setsigdef=_ALL_SIGNALS,
    )


def keep_descriptors_to_ourselves() -> None:
    """Whatever open files we were started with stay ours: conmon and pause processes outlive us and would hold them open for
    ever."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.set_inheritable(int(name), False)
            except OSError:  # the listing's own, closed again
                continue


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a short helper program left: its exit code and everything it wrote."""

    code: int
    output: bytes


async def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Outcome:
    """Run a program to its end without input; stdout and stderr together. Killed when the caller is cancelled."""
    # A memory file instead of a pipe: whatever the program leaves running keeps writing without blocking, and nobody waits for
    # its end of file.
    output = os.memfd_create("output")
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        child = Child(spawn(argv, stdin=null, stdout=output, stderr=output, env=env))
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            child.kill()
            raise
        return Outcome(code, os.pread(output, 65536, 0))
    finally:
        os.close(null)
        os.close(output)
