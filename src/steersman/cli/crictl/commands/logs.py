"""crictl logs: a container's log file, as it stands or as it grows. It is read here, so that has to be the runtime's machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

from cri_api.v1 import api_pb2 as cri

from steersman.cli.crictl.context import Context
from steersman.cri.interface import RuntimeFault

_POLL_S = 0.2
_CHUNK = 1 << 16


async def run_logs(ctx: Context) -> int:
    identity = await ctx.container_id(ctx.args.id)
    asked = cri.ContainerStatusRequest(container_id=identity)
    status = (await ctx.ask("ContainerStatus", asked, cri.ContainerStatusResponse)).status
    try:
        with open(status.log_path, "rb") as file:
            seen = file.seek(_start_of_last(file, ctx.args.tail) if ctx.args.tail >= 0 else 0)
            seen += _copy(ctx, file)
    except OSError as error:
        raise RuntimeFault(f"the log of container {ctx.args.id!r} can't be read: {error}") from None
    if ctx.args.follow:
        await _follow(ctx, asked, status.log_path, seen)
    return 0


async def _follow(ctx: Context, asked: cri.ContainerStatusRequest, path: str, seen: int) -> None:
    """Until the container has ended. A log that was rotated begins anew."""
    running, identity = True, _identity(path)
    while running:
        status = (await ctx.ask("ContainerStatus", asked, cri.ContainerStatusResponse)).status
        running = status.state == cri.CONTAINER_RUNNING
        if not running:
            await ctx.clock.sleep(_POLL_S)  # what it wrote last may still be on its way
        if _identity(path) != identity:
            identity, seen = _identity(path), 0
        if _size(path) > seen:
            with open(path, "rb") as file:
                file.seek(seen)
                seen += _copy(ctx, file)
        if running:
            await ctx.clock.sleep(_POLL_S)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _identity(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def _copy(ctx: Context, file: IO[bytes]) -> int:
    """Whole lines of what is left; how many bytes they were."""
    taken = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        taken += len(line)
        stamp, _, rest = line.decode(errors="replace").partition(" ")
        stream, _, rest = rest.partition(" ")
        tag, _, text = rest.partition(" ")
        if tag.split(":")[0] == "P":
            text = text.removesuffix("\n")
        sink = ctx.err if stream == "stderr" else ctx.out
        sink.write(f"{stamp} {text}" if ctx.args.timestamps else text)
    ctx.out.flush()
    ctx.err.flush()
    return taken


def _start_of_last(file: IO[bytes], count: int) -> int:
    """Where the last `count` lines begin."""
    end = file.seek(0, os.SEEK_END)
    if count == 0:
        return end
    left = count + 1  # the newline at the very end belongs to the last line
    for start, chunk in _backwards(file, end):
        at = len(chunk)
        while (at := chunk.rfind(b"\n", 0, at)) >= 0:
            left -= 1
            if left == 0:
                return start + at + 1
    return 0


def _backwards(file: IO[bytes], end: int) -> Iterator[tuple[int, bytes]]:
    while end > 0:
        start = max(0, end - _CHUNK)
        file.seek(start)
        yield start, file.read(end - start)
        end = start
