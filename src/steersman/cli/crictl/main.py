"""A command line against a runtime: finds the command, opens the connections, closes them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import TextIO

from steersman.cli.crictl.commands import acting, inspecting, listing, logs, stats, streams
from steersman.cli.crictl.context import Context
from steersman.cri.interface import RuntimeFault
from steersman.cri.remote.calls import Endpoint
from steersman.machinery import duration
from steersman.machinery.clock import Clock

COMMANDS: dict[str, Callable[[Context], Awaitable[int]]] = {
    "pods": listing.run_pods,
    "ps": listing.run_ps,
    "images": listing.run_images,
    "image": listing.run_images,
    "img": listing.run_images,
    "inspect": inspecting.run_inspect,
    "inspectp": inspecting.run_inspectp,
    "inspecti": inspecting.run_inspecti,
    "info": inspecting.run_info,
    "imagefsinfo": inspecting.run_imagefsinfo,
    "version": inspecting.run_version,
    "stop": acting.run_stop,
    "rm": acting.run_rm,
    "stopp": acting.run_stopp,
    "rmp": acting.run_rmp,
    "rmi": acting.run_rmi,
    "pull": acting.run_pull,
    "stats": stats.run_stats,
    "statsp": stats.run_statsp,
    "logs": logs.run_logs,
    "exec": streams.run_exec,
    "attach": streams.run_attach,
}


async def run(
    args: argparse.Namespace, runtime: str, images: str, clock: Clock, out: TextIO | None = None, err: TextIO | None = None
) -> int:
    """The exit code. `runtime`, `images`: sockets; out, err: the process's own if not said otherwise. Raises RuntimeFault."""
    try:
        timeout_s = duration.parse_go(args.timeout) if args.timeout else None
    except ValueError as error:
        raise RuntimeFault(f"--timeout: {error}") from None
    asked = Endpoint(runtime, clock)
    asked_for_images = asked if images == runtime else Endpoint(images, clock)
    try:
        context = Context(args, asked, asked_for_images, clock, out or sys.stdout, err or sys.stderr, timeout_s)
        return await COMMANDS[args.action](context)
    finally:
        await asked.close()
        if asked_for_images is not asked:
            await asked_for_images.close()
