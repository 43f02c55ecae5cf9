"""What a simulated container runs: a Python callable, and the process as it sees itself.

A program is called when its container starts. It returns None to serve until it is stopped, which costs nothing while it lasts,
or a coroutine whose result is the exit code:

    async def crashes(process: Process) -> int:
        process.log("about to fall over")
        await process.sleep(5)
        return 1

Any exception is a crash with exit code 1 and its words in the log.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from steersman.cri.messages import ContainerConfig, ExecResult, SandboxConfig
from steersman.machinery.clock import Clock

PROGRAM_ANNOTATION = "simulated.steersman.dev/program"
"""On a pod: the program of all its containers, by name or as a script."""
CONTAINER_PROGRAM_ANNOTATION = "program.simulated.steersman.dev/"
"""With a container's name behind it: the program of that one."""
DEFAULT_MEMORY, DEFAULT_CPU_MILLI = 16 << 20, 1


class CannotStart(Exception):
    """Raised by a program when it is called: the container fails to start, with these words."""


class Exit(Exception):
    """Ends the program with a code, and a reason such as OOMKilled."""

    def __init__(self, code: int, reason: str = "", message: str = "") -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


@dataclass(slots=True, eq=False)
class Process:
    """The first process of a container."""

    config: ContainerConfig
    sandbox: SandboxConfig
    image: str
    clock: Clock
    write: Callable[[str, str], None]
    """write(text, stream): runtime.py's way into the log."""
    ready: bool = True
    """False: its ports refuse connections, and commands that nobody knows fail."""
    memory: int = DEFAULT_MEMORY
    cpu_milli: int = DEFAULT_CPU_MILLI
    on_exec: Callable[[Sequence[str]], Awaitable[ExecResult] | None] | None = None
    """Answers commands run in the container; None for those it does not know."""
    on_http: Callable[[str], int] | None = None
    """The status for a path, once ready; without it all is 200."""
    trapped: asyncio.Event | None = field(default=None, init=False)

    @property
    def command(self) -> tuple[str, ...]:
        """What the pod asks to be run; empty = what the image runs."""
        return (*self.config.command, *self.config.args)

    @property
    def environment(self) -> Mapping[str, str]:
        return dict(self.config.envs)

    def log(self, text: str, stream: str = "stdout") -> None:
        """Lines for the container's log."""
        self.write(text, stream)

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    def trap(self) -> asyncio.Event:
        """From now on the stop signal does not end it: it sets this event, and SIGKILL follows when the time is up."""
        if self.trapped is None:
            self.trapped = asyncio.Event()
        return self.trapped

    def path(self, inside: str) -> str | None:
        """Where a path inside the container is on the host: below one of its mounts, or nowhere."""
        for mount in sorted(self.config.mounts, key=lambda each: -len(each.container_path)):
            top = mount.container_path.rstrip("/")
            if inside == top or inside.startswith(f"{top}/"):
                return mount.host_path + inside[len(top) :] if mount.host_path else None
        return None

    def read(self, inside: str) -> str:
        """A mounted file. Raises OSError."""
        path = self.path(inside)
        if path is None:
            raise FileNotFoundError(inside)
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def leave(self, inside: str, text: str) -> None:
        """Write a mounted file, such as /dev/termination-log. Elsewhere nothing is kept."""
        path = self.path(inside)
        if path is not None and os.path.isfile(path):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)


Program: TypeAlias = Callable[[Process], Coroutine[Any, Any, int] | None]


def serve(process: Process) -> None:
    """Run until stopped."""


def runs(seconds: float, exit_code: int = 0) -> Program:
    """Run that long, then end."""

    async def program(process: Process) -> int:
        await process.sleep(seconds)
        return exit_code

    return program


def ready_after(seconds: float) -> Program:
    """A slow start, then serve."""

    async def program(process: Process) -> int:
        process.ready = False
        await process.sleep(seconds)
        process.ready = True
        await asyncio.Event().wait()
        return 0

    return program


def ignores_stop(process: Process) -> None:
    """Serve, and be deaf to anything but SIGKILL."""
    process.trap()
