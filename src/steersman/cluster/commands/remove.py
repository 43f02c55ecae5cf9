"""Take a node out of the cluster: its pods move, its Node goes."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from steersman.client.kubeconfig import KubeconfigError
from steersman.cluster import removing
from steersman.cluster.commands import standalone
from steersman.cluster.commands.common import add_state_dir, administered, paths_of
from steersman.cluster.progress import Progress
from steersman.cluster.settings import SettingsError
from steersman.machinery.clock import Clock, RealClock
from steersman.machinery.errors import StatusError

PROBLEMS = (SettingsError, removing.RemoveError, KubeconfigError, StatusError, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="WHAT", required=True)
    node = kinds.add_parser("node", help="a node", description=__doc__)
    add_state_dir(node)
    node.add_argument("name", metavar="NAME")
    node.add_argument("--kubeconfig", type=Path, help="another cluster's administrator (default: this machine's)")
    help_ = "also if pods or data are lost with it, or budgets protect its pods for longer than --timeout"
    node.add_argument("--force", action="store_true", help=help_)
    help_ = "how long its pods may take to go (default 5m)"
    node.add_argument("--timeout", type=standalone.seconds, default=300.0, metavar="DURATION", help=help_)


def run(args: argparse.Namespace) -> int:
    config: Path | None = args.kubeconfig
    if config is None:
        paths = paths_of(args)
        settings = administered(paths)
        config = paths.admin_kubeconfig
        if settings.node_name == args.name and not settings.simulated_nodes:
            raise SettingsError(f"node {args.name} is the machine of the cluster itself: `steersman down` ends both")
    asyncio.run(_run(config, removing.Wish(args.name, args.force, args.timeout), RealClock()))
    print(f"Node {args.name} is removed. To clean up its machine, run there:  steersman down --delete")
    return 0


async def _run(config: Path, wish: removing.Wish, clock: Clock) -> None:
    from steersman.cluster.process import client_for

    async with client_for(config, "remove", clock) as client:
        await removing.remove(client, wish, clock, Progress(clock))
