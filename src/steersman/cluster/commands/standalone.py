"""What the single-component commands share: the --kubeconfig flag, log set-up, and running until told to end."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from steersman.cluster.components import run_until_told
from steersman.machinery import duration
from steersman.machinery.clock import Clock, RealClock


def add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kubeconfig", type=Path, required=True, help="how to reach the API server, and as whom")


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help="log details")


def serve(args: argparse.Namespace, main: Callable[[Clock], Awaitable[None]]) -> int:
    """Run a component with its log on stderr until SIGTERM or SIGINT."""
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    clock = RealClock()
    run_until_told(lambda: main(clock))
    return 0


def seconds(text: str) -> float:
    """A positive duration as Go writes it (50s, 1m30s), as argparse wants it said."""
    try:
        found = duration.parse_go(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive duration")
    return found
