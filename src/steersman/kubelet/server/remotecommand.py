"""exec and attach: joins a client's channels to a process, ends with a status."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from steersman.cri.interface import RuntimeFault, Terminal
from steersman.kubelet.server.channels import Channel, Channels
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

SUCCESS: Obj = {"metadata": {}, "status": "Success"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which streams the client asked for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


def exit_status(code: int, command: Sequence[str]) -> Obj:
    """The metav1.Status of a process's end."""
    if code == 0:
        return SUCCESS
    words = f"error executing command [{' '.join(command)}], exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {words}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(message: str) -> Obj:
    text = f"Internal error occurred: {message}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": text,
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }


async def serve(
    channels: Channels, wanted: Wanted, command: Sequence[str] | None, open_terminal: Callable[[], Awaitable[Terminal]]
) -> None:
    """Run to the end of the process or of the connection. `command` None = attached: then the exit code is the container's
    own, told by the pod's status, and the attachment succeeded whatever it is."""
    try:
        terminal = await open_terminal()
    except RuntimeFault as error:
        await _finish(channels, failure_status(str(error)))
        return
    try:
        code = await _join(channels, wanted, terminal)
    except RuntimeFault as error:
        await _finish(channels, failure_status(str(error)))
        return
    finally:
        await terminal.close()
    if code is not None:
        await _finish(channels, SUCCESS if command is None else exit_status(code, command))


async def _finish(channels: Channels, status: Obj) -> None:
    try:
        await channels.finish(status)
    except (ConnectionError, OSError) as error:
        log.debug("client left before the end error=%s", error)


async def _join(channels: Channels, wanted: Wanted, terminal: Terminal) -> int | None:
    """The exit code; None when the client left first. Raises RuntimeFault."""
    gone = asyncio.Event()

    async def output(read: Callable[[], Awaitable[bytes | None]], channel: Channel, shown: bool) -> None:
        while (data := await read()) is not None:
            if shown and data and not gone.is_set():
                try:
                    await channels.send(channel, data)
                except (ConnectionError, OSError):
                    gone.set()

    async def process() -> int | RuntimeFault:
        async with asyncio.TaskGroup() as outputs:
            outputs.create_task(output(terminal.read_stdout, Channel.STDOUT, wanted.stdout))
            if not wanted.tty:
                outputs.create_task(output(terminal.read_stderr, Channel.STDERR, wanted.stderr))
        try:
            return await terminal.wait()
        except RuntimeFault as error:
            # Raised below, so that the caller gets the failure itself and not an ExceptionGroup around it.
            return error

    async with asyncio.TaskGroup() as group:
        running = group.create_task(process())
        listening = group.create_task(_input(channels, wanted, terminal, gone))
        leaving = group.create_task(gone.wait())
        await asyncio.wait((running, leaving), return_when=asyncio.FIRST_COMPLETED)
        code = running.result() if running.done() else None
        for task in (running, listening, leaving):
            task.cancel()
    if isinstance(code, RuntimeFault):
        raise code
    return code


async def _input(channels: Channels, wanted: Wanted, terminal: Terminal, gone: asyncio.Event) -> None:
    """Client to process, until the client is gone."""
    while True:
        try:
            received = await channels.receive()
        except (ConnectionError, OSError):
            received = None
        if received is None:
            gone.set()
            return
        channel, data = received
        try:
            if channel is Channel.RESIZE:
                await _resize(terminal, data)
            elif wanted.stdin and data:
                await terminal.write_stdin(data)
            elif wanted.stdin:
                await terminal.close_stdin()
        except (RuntimeFault, OSError) as error:
            # The process stopped reading; its output still counts.
            log.debug("input not taken error=%s", error)


async def _resize(terminal: Terminal, data: bytes) -> None:
    try:
        size = json.loads(data)
        width, height = int(size["Width"]), int(size["Height"])
    except (ValueError, KeyError, TypeError):
        return
    await terminal.resize(width, height)
