"""crictl exec and attach: this terminal joined to a command in a container, or to its main process."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable

from cri_api.v1 import api_pb2 as cri

from steersman.cli.crictl.context import Context
from steersman.cli.kubectl.streaming import terminal as local
from steersman.cri.interface import RuntimeFault, Terminal
from steersman.cri.remote import spdyclient
from steersman.cri.remote.streams import COMMAND_PROTOCOLS, RemoteTerminal

_MARGIN_S = 15.0
_FOR_EVER_S = 365 * 24 * 3600.0


async def run_exec(ctx: Context) -> int:
    command = ctx.args.command[1:] if ctx.args.command[:1] == ["--"] else ctx.args.command
    if not command:
        raise RuntimeFault("a command is needed: steersman crictl exec ID COMMAND")
    identity = await ctx.container_id(ctx.args.id)
    if ctx.args.sync:
        return await _sync(ctx, identity, command)
    tty, stdin = ctx.args.tty, ctx.args.interactive
    request = cri.ExecRequest(container_id=identity, cmd=command, tty=tty, stdin=stdin, stdout=True, stderr=not tty)
    return await _joined(ctx, (await ctx.ask("Exec", request, cri.ExecResponse)).url)


async def run_attach(ctx: Context) -> int:
    identity, tty = await ctx.container_id(ctx.args.id), ctx.args.tty
    request = cri.AttachRequest(container_id=identity, tty=tty, stdin=ctx.args.interactive, stdout=True, stderr=not tty)
    return await _joined(ctx, (await ctx.ask("Attach", request, cri.AttachResponse)).url)


async def _sync(ctx: Context, identity: str, command: list[str]) -> int:
    limit = ctx.args.limit
    request = cri.ExecSyncRequest(container_id=identity, cmd=command, timeout=limit)
    answer = await ctx.ask("ExecSync", request, cri.ExecSyncResponse, limit + _MARGIN_S if limit else _FOR_EVER_S)
    local.Sink(ctx.out)(answer.stdout)
    local.Sink(ctx.err)(answer.stderr)
    return answer.exit_code


async def _joined(ctx: Context, url: str) -> int:
    """The exit code. Raises RuntimeFault."""
    session = await spdyclient.connect(url, COMMAND_PROTOCOLS)
    tty, stdin = ctx.args.tty, ctx.args.interactive
    outcome: list[int | RuntimeFault] = []
    raw = tty and stdin and local.is_terminal(sys.stdin)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(session.run())
        remote = RemoteTerminal(session, tty=tty, stdin=stdin)
        with local.raw_mode(sys.stdin) if raw else contextlib.nullcontext():
            feeding = [group.create_task(_input(remote))] if stdin else []
            if tty and local.is_terminal(sys.stdout):
                feeding.append(group.create_task(_sizes(remote)))
            try:
                async with asyncio.TaskGroup() as outputs:
                    outputs.create_task(_output(remote.read_stdout, local.Sink(ctx.out)))
                    outputs.create_task(_output(remote.read_stderr, local.Sink(ctx.err)))
                outcome.append(await remote.wait())
            except RuntimeFault as fault:
                # Raised below, so that the caller gets the failure itself and not an ExceptionGroup around it.
                outcome.append(fault)
            for task in (*feeding, reading):
                task.cancel()
        await remote.close()
    (result,) = outcome
    if isinstance(result, RuntimeFault):
        raise result
    return result


async def _input(remote: Terminal) -> None:
    async for data in local.read_input(sys.stdin):
        await remote.write_stdin(data)
    await remote.close_stdin()


async def _sizes(remote: Terminal) -> None:
    async for columns, rows in local.sizes(sys.stdout):
        await remote.resize(columns, rows)


async def _output(read: Callable[[], Awaitable[bytes | None]], sink: local.Sink) -> None:
    while (data := await read()) is not None:
        sink(data)
