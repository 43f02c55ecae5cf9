"""What the single-component commands share: the --kubeconfig flag, log set-up, and running until told to end."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from steersman.client import kubeconfig
from steersman.cluster.process import run_until_told
from steersman.machinery import duration, verbosity
from steersman.machinery.clock import Clock, RealClock
from steersman.machinery.waiting import Backoff

log = logging.getLogger(__name__)


def add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kubeconfig", type=Path, required=True, help="how to reach the API server, and as whom")


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    help_ = "how much is logged: from 3 on every request to an API server, from 4 on (or without a number) details"
    number: dict[str, Any] = {"type": int, "nargs": "?", "const": verbosity.DETAILS, "default": verbosity.USUAL, "metavar": "N"}
    parser.add_argument("-v", "--v", "--verbose", dest="verbosity", help=help_, **number)


def serve(args: argparse.Namespace, main: Callable[[Clock], Awaitable[None]], *, server: Path | None = None) -> int:
    """Run a component with its log on stderr until SIGTERM or SIGINT.

    server: the kubeconfig of the API server that is waited for first, however long it takes.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    verbosity.apply(args.verbosity)
    clock = RealClock()

    async def work() -> None:
        if server is not None:
            await _answering(server, clock)
        await main(clock)

    run_until_told(work)
    return 0


async def _answering(server: Path, clock: Clock) -> None:
    """Return when the API server answers, whatever it says: what it refuses is told by whoever needs it."""
    transport, backoff = kubeconfig.load(server), Backoff(0.1, 2.0)
    try:
        while True:
            try:
                answer = await transport.request("GET", "/healthz")
                if answer.status < 500:
                    return
                trouble = f"{transport.server} answers {answer.status}"
            except ConnectionError as fault:
                trouble = str(fault)
            level = logging.WARNING if backoff.fresh else logging.DEBUG
            log.log(level, "waiting for the API server error=%s", trouble)
            await clock.sleep(backoff.next())
    finally:
        await transport.close()


def seconds(text: str) -> float:
    """A positive duration as Go writes it (50s, 1m30s), as argparse wants it said."""
    try:
        found = duration.parse_go(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive duration")
    return found
