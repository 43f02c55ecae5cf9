"""End the cluster and take away everything it left in the kernel. Its objects and images stay, unless --delete is given."""

from __future__ import annotations

import argparse
import asyncio

from steersman.cluster.commands.common import add_state_dir, paths_of
from steersman.cluster.down import DownError, bring_down
from steersman.cluster.progress import Progress
from steersman.cluster.settings import SettingsError
from steersman.machinery.clock import RealClock

PROBLEMS = (SettingsError, DownError, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    add_state_dir(parser)
    parser.add_argument("--delete", action="store_true", help="remove objects, images and certificates as well")


def run(args: argparse.Namespace) -> int:
    clock = RealClock()
    asyncio.run(bring_down(paths_of(args), clock, Progress(clock), delete=args.delete))
    return 0
