"""Our kubectl against an API server of the same process."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import NamedTuple

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import FlagError, UsageError
from steersman.cli.kubectl.main import parse, run_line
from steersman.client.interface import Transport
from steersman.machinery.clock import Clock, RealClock


class Told(NamedTuple):
    """What a command line left behind."""

    code: int
    out: str
    err: str


async def kubectl(transport: Transport, folder: Path, *argv: str, stdin: str = "", clock: Clock | None = None) -> Told:
    """Run a command line. `folder` is a home for the discovery cache; the kubeconfig there need not exist."""
    out, err = io.StringIO(), io.StringIO()
    try:
        line = parse([*argv[:1], f"--cache-dir={folder}", *argv[1:]])
    except (FlagError, UsageError) as error:
        return Told(error.exit_code, "", error.text() + "\n")
    assert line is not None, "kubectl alone"
    ctx = Context(
        line.name,
        line.flags,
        line.shared,
        out=out,
        err=err,
        stdin=io.StringIO(stdin) if stdin else sys.stdin,
        clock=clock or RealClock(),
        default_kubeconfig=folder / "no-such-config",
        transport=transport,
    )
    code = await run_line(line, ctx)
    return Told(code, out.getvalue(), err.getvalue())
