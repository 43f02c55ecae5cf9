"""Starting other programs and waiting for them, from an event loop.

Not asyncio's own subprocesses: uvloop makes their pipes inheritable for a moment, and a program that another thread starts in
that moment keeps them open. Whoever then waits for a pipe's end waits for that program, which may run for ever (seen: rules
for services that waited for a pod's end). Here every open file stays close-on-exec, and output goes to memory files, so that
nothing but the program's own end is waited for.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_ALL_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_MOST = 16 << 20
"""Bytes of output that are read."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program left: its exit code (128 + the number of the signal that ended it) and what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def output(self) -> bytes:
        """Everything it wrote."""
        return self.stdout + self.stderr


async def run(argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
    """Run a program, found in PATH, to its end. Killed when the caller is cancelled. Raises OSError if it can't be started."""
    program = argv[0] if "/" in argv[0] else shutil.which(argv[0], path=_ENV["PATH"])
    if program is None:
        raise FileNotFoundError(2, "not found in PATH", argv[0])
    # Memory files, not pipes: what the program leaves running can go on writing, and nobody waits for its end of file.
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    try:
        _fill(files[0], stdin)
        child = Child(spawn([program, *argv[1:]], stdin=files[0], stdout=files[1], stderr=files[2], env=env))
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            child.kill()
            raise
        return Outcome(code, os.pread(files[1], _MOST, 0), os.pread(files[2], _MOST, 0))
    finally:
        for file in files:
            os.close(file)


def _fill(file: int, body: bytes) -> None:
    left = memoryview(body)
    while left:
        left = left[os.write(file, left) :]
    os.lseek(file, 0, os.SEEK_SET)


class Child:
    """A program of ours. `wait` must be awaited (or `kill` called): it collects the process."""

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


async def readable(fd: int) -> None:
    """Wait until the fd can be read (a pidfd: until the process has ended)."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def settle(ready: asyncio.Future[None]) -> None:
    """Callback of a watched fd, which may fire again before it is taken off the loop."""
    if not ready.done():
        ready.set_result(None)
