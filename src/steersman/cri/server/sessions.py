"""What goes on in a streaming session: a command's streams joined to its Terminal, ports to Tunnels.

Source: upstream kubelet/pkg/cri/streaming/remotecommand and portforward.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import orjson

from steersman.cri.interface import RuntimeFault, Terminal, Tunnel
from steersman.cri.remote.spdyclient import ClientStream
from steersman.cri.server.spdyserver import ServerSession
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

_OPEN_S = 30.0
"""How long the client may take to open its streams."""


async def command(session: ServerSession, opened: Callable[[], Awaitable[Terminal]], kinds: frozenset[str], clock: Clock) -> None:
    """exec or attach, to the end of the process or of the connection."""
    streams: dict[str, ClientStream] = {}
    wanted = kinds | {"error"}

    async def collect() -> None:
        while not wanted <= streams.keys() and (found := await session.opened.get()) is not None:
            headers, stream = found
            streams[headers.get("streamtype", "")] = stream

    if not await within(clock, _OPEN_S, collect) or not wanted <= streams.keys():
        return
    try:
        terminal = await opened()
        try:
            code = await _joined(session, streams, terminal)
        finally:
            await terminal.close()
        status = None if code is None else _ended(code)
    except RuntimeFault as fault:
        status = {"metadata": {}, "status": "Failure", "message": str(fault), "reason": "InternalError", "code": 500}
    if status is not None:
        await streams["error"].write(orjson.dumps(status))
    for kind in ("stdout", "stderr", "error"):
        if kind in streams:
            await streams[kind].close_write()


async def _joined(session: ServerSession, streams: dict[str, ClientStream], terminal: Terminal) -> int | None:
    """The exit code; None when the client left first. Raises RuntimeFault."""

    async def output(read: Callable[[], Awaitable[bytes | None]], kind: str) -> None:
        while (data := await read()) is not None:
            if data and kind in streams:
                await streams[kind].write(data)

    async def process() -> int | RuntimeFault:
        try:
            async with asyncio.TaskGroup() as outputs:
                outputs.create_task(output(terminal.read_stdout, "stdout"))
                outputs.create_task(output(terminal.read_stderr, "stderr"))
            return await terminal.wait()
        except RuntimeFault as fault:
            # Raised below, so that the caller gets the failure itself and not an ExceptionGroup around it.
            return fault

    async def gone() -> None:
        while await session.opened.get() is not None:
            pass

    async with asyncio.TaskGroup() as group:
        running, leaving = group.create_task(process()), group.create_task(gone())
        feeding = [group.create_task(_input(streams["stdin"], terminal))] if "stdin" in streams else []
        if "resize" in streams:
            feeding.append(group.create_task(_sizes(streams["resize"], terminal)))
        await asyncio.wait((running, leaving), return_when=asyncio.FIRST_COMPLETED)
        outcome = running.result() if running.done() else None
        for task in (running, leaving, *feeding):
            task.cancel()
    if isinstance(outcome, RuntimeFault):
        raise outcome
    return outcome


async def _input(stream: ClientStream, terminal: Terminal) -> None:
    try:
        while (data := await stream.read()) is not None:
            await terminal.write_stdin(data)
        await terminal.close_stdin()
    except (RuntimeFault, OSError) as error:
        # The process stopped reading; its output still counts.
        log.debug("input not taken error=%s", error)


async def _sizes(stream: ClientStream, terminal: Terminal) -> None:
    """JSON objects one after the other, cut anywhere."""
    decoder, text = json.JSONDecoder(), ""
    while (data := await stream.read()) is not None:
        text = (text + data.decode("utf-8", "replace")).lstrip()
        while text:
            try:
                size, end = decoder.raw_decode(text)
                await terminal.resize(int(size["Width"]), int(size["Height"]))
            except (ValueError, KeyError, TypeError):
                break
            text = text[end:].lstrip()


def _ended(code: int) -> Obj:
    """The metav1.Status of a process's end."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


async def ports(session: ServerSession, dial: Callable[[int], Awaitable[Tunnel]]) -> None:
    """Port-forward: each connection is a pair of streams, error and data, with the same request id. Until the client goes."""
    waiting: dict[str, tuple[str, ClientStream]] = {}
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []
        while (found := await session.opened.get()) is not None:
            headers, stream = found
            kind, key = headers.get("streamtype", ""), headers.get("requestid", "")
            other = waiting.pop(key, None)
            if other is None:
                waiting[key] = (kind, stream)
                continue
            data, error = (stream, other[1]) if kind == "data" else (other[1], stream)
            tasks = [task for task in tasks if not task.done()]
            tasks.append(group.create_task(_forwarded(session, data, error, headers.get("port", ""), dial)))
        for task in tasks:
            task.cancel()


async def _forwarded(
    session: ServerSession, data: ClientStream, error: ClientStream, port: str, dial: Callable[[int], Awaitable[Tunnel]]
) -> None:
    try:
        tunnel = await dial(int(port))
        try:
            await _piped(data, tunnel)
        finally:
            await tunnel.close()
    except (RuntimeFault, OSError, ValueError) as fault:
        await error.write(f"error forwarding port {port} to pod: {fault}".encode())
    # The error first: a client that has seen the data's end asks whether there was one.
    await error.close_write()
    await data.close_write()
    session.forget(data, error)


async def _piped(data: ClientStream, tunnel: Tunnel) -> None:
    """Both ways, until the pod's side is done: a client may end its own side and still read."""

    async def up() -> None:
        try:
            while (piece := await data.read()) is not None:
                await tunnel.write(piece)
            await tunnel.close_write()
        except (RuntimeFault, OSError) as fault:
            log.debug("pod closed its end error=%s", fault)

    failure: RuntimeFault | OSError | None = None
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(up())
        try:
            while piece := await tunnel.read():
                await data.write(piece)
        except (RuntimeFault, OSError) as fault:
            # Raised below, so that the caller gets the failure itself and not an ExceptionGroup around it.
            failure = fault
        sending.cancel()
    if failure is not None:
        raise failure
