"""Runs command lines of kubectl in a test: against an API server in process, a small HTTP server, or none."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import NamedTuple

from steersman.cli.kubectl.command import Command, load
from steersman.cli.kubectl.context import GLOBAL_FLAGS, Context
from steersman.cli.kubectl.errors import KubectlError, describe, exit_code
from steersman.cli.kubectl.flags import FlagSet
from steersman.cli.kubectl.main import VERBS
from steersman.client.interface import Transport
from steersman.machinery.clock import Clock, VirtualClock
from steersman.machinery.errors import StatusError


class Ran(NamedTuple):
    code: int
    out: str
    err: str


async def ran(
    line: str,
    *,
    transport: Transport | None = None,
    kubeconfig: Path | None = None,
    clock: Clock | None = None,
    stdin: str = "",
) -> Ran:
    """What a command line (without `kubectl`) prints, and its exit code."""
    words = shlex.split(line)
    name, command = _command(words)
    own = {flag.name for flag in command.flags}
    shared = [flag for flag in GLOBAL_FLAGS if flag.name not in own]
    flags, args = FlagSet(f"kubectl {name}", (*shared, *command.flags)).parse(words)
    globals_, _ = FlagSet("kubectl", GLOBAL_FLAGS).parse([])
    out, err = io.StringIO(), io.StringIO()
    ctx = Context(
        name,
        flags,
        globals_ if len(shared) < len(GLOBAL_FLAGS) else flags,
        out=out,
        err=err,
        stdin=io.StringIO(stdin),
        clock=clock or VirtualClock(),
        default_kubeconfig=kubeconfig or Path("/nonexistent/config"),
        transport=transport,
    )
    # A place where nothing can be kept: discovery is asked anew for each line.
    ctx.__dict__["cache_dir"] = Path("/dev/null/cache")
    assert command.run is not None
    try:
        code = await command.run(ctx, flags, args)
    except (KubectlError, StatusError, OSError) as error:
        if text := describe(error):
            ctx.complain(text)
        code = exit_code(error)
    finally:
        await ctx.close()
    return Ran(code, out.getvalue(), err.getvalue())


def _command(words: list[str]) -> tuple[str, Command]:
    """Takes the verb and its subcommands off the line."""
    name = words.pop(0)
    command = load(VERBS[name])
    while words and words[0] in command.subcommands:
        word = words.pop(0)
        name, command = f"{name} {word}", load(command.subcommands[word])
    return name, command
