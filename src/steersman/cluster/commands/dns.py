"""Run a cluster DNS server on this node against any API server."""

from __future__ import annotations

import argparse

from steersman.client.kubeconfig import KubeconfigError
from steersman.cluster.commands import standalone
from steersman.cluster.process import client_for
from steersman.cluster.settings import SettingsError, default_address, default_node_name
from steersman.machinery.clock import Clock

PROBLEMS = (KubeconfigError, SettingsError, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_kubeconfig(parser)
    standalone.add_verbosity(parser)
    parser.add_argument("--hostname-override", default="", help="this node's name (default: the host name)")
    parser.add_argument("--address", default="", help="address to listen on and to publish (default: the node's)")
    parser.add_argument("--port", type=int, default=10053, help="port to listen on (default 10053)")
    parser.add_argument("--cluster-domain", default="cluster.local", help="the cluster's domain")


def run(args: argparse.Namespace) -> int:
    return standalone.serve(args, lambda clock: _main(args, clock), server=args.kubeconfig)


async def _main(args: argparse.Namespace, clock: Clock) -> None:
    from steersman.dns import run as naming

    options = naming.Options(
        node_name=args.hostname_override or default_node_name(),
        address=args.address or default_address(),
        port=args.port,
        domain=args.cluster_domain,
    )
    async with client_for(args.kubeconfig, "dns") as client:
        await naming.run(client, options, clock)
