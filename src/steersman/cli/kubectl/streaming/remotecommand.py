"""A command in a container, or its main process: its streams over one WebSocket (subprotocol v5.channel.k8s.io).

Every message begins with the number of its channel. Source: kubelet's and client-go's remotecommand. Not here: where the streams
come from and go to (terminal.py), which container (commands/exec.py).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.streaming import websocket
from steersman.cli.kubectl.streaming.websocket import WebSocket
from steersman.machinery.errors import from_status
from steersman.machinery.meta import Obj

PROTOCOL = "v5.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_CHUNK = 1 << 15

Sink = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Streams:
    """What is connected; None is not. `sizes`: columns and rows of a terminal, whenever they change."""

    stdout: Sink
    stderr: Sink
    stdin: AsyncIterator[bytes] | None = None
    sizes: AsyncIterator[tuple[int, int]] | None = None


async def run(ctx: Context, target: str, streams: Streams) -> int:
    """The exit code of the command. Raises StatusError, KubectlError."""
    socket = await websocket.connect(ctx, target, PROTOCOL)
    status: Obj | None = None
    try:
        async with asyncio.TaskGroup() as group:
            senders: list[asyncio.Task[None]] = []
            if streams.stdin is not None:
                senders.append(group.create_task(_send_input(socket, streams.stdin)))
            if streams.sizes is not None:
                senders.append(group.create_task(_send_sizes(socket, streams.sizes)))
            async for message in socket.messages():
                if not message:
                    continue
                channel, data = message[0], message[1:]
                if channel == _STDOUT:
                    streams.stdout(data)
                elif channel == _STDERR:
                    streams.stderr(data)
                elif channel == _ERROR:
                    status = json.loads(data)
            for sender in senders:
                sender.cancel()
    finally:
        await socket.close()
    return _exit_code(status)


async def _send_input(socket: WebSocket, stdin: AsyncIterator[bytes]) -> None:
    try:
        async for data in stdin:
            for at in range(0, len(data), _CHUNK):
                await socket.send(bytes((_STDIN,)) + data[at : at + _CHUNK])
        await socket.send(bytes((_CLOSE, _STDIN)))
    except OSError:
        # The command has ended without reading all: how it ended comes on the error channel.
        pass


async def _send_sizes(socket: WebSocket, sizes: AsyncIterator[tuple[int, int]]) -> None:
    async for columns, rows in sizes:
        await socket.send(bytes((_RESIZE,)) + json.dumps({"Width": columns, "Height": rows}).encode())


def _exit_code(status: Obj | None) -> int:
    if status is None or status.get("status") == "Success":
        return 0
    if status.get("reason") == "NonZeroExitCode":
        for cause in (status.get("details") or {}).get("causes") or ():
            if cause.get("reason") == "ExitCode":
                return int(cause["message"])
    if status.get("reason"):
        raise from_status(status, int(status.get("code") or 500))
    raise KubectlError(str(status.get("message") or "error executing command"))
