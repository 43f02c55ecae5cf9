"""Run the cloud controllers against any API server: load balancers, and nodes as their provider knows them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from steersman.client.interface import Client
from steersman.client.kubeconfig import KubeconfigError
from steersman.client.leases import LeadershipLost
from steersman.cloud import providers
from steersman.cloud.interface import Provider, ProviderError, Setup
from steersman.cluster import cloud
from steersman.cluster.commands import election, standalone
from steersman.cluster.settings import SettingsError
from steersman.machinery.clock import Clock

PROBLEMS = (KubeconfigError, SettingsError, ProviderError, LeadershipLost, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_kubeconfig(parser)
    standalone.add_verbosity(parser)
    parser.add_argument("--cloud-provider", default=providers.LOCAL, help="name of the provider (default: local, the built-in)")
    parser.add_argument("--cloud-config", type=Path, help="the provider's own settings, for others than local")
    help_ = "local: addresses to give, as 192.0.2.16/28,192.0.2.40-192.0.2.49 (default: the nodes' own, each port once)"
    parser.add_argument("--load-balancer-pool", default="", metavar="RANGES", help=help_)
    help_ = "local: ports of the nodes that no load balancer gets, besides those of node ports, ssh and the cluster's own parts"
    parser.add_argument("--reserved-ports", default="", metavar="PORT,PORT", help=help_)
    parser.add_argument("--service-node-port-range", default="30000-32767", help="as the API server has it")
    parser.add_argument("--cluster-name", default="kubernetes", help="tells this cluster's things from others' at the provider")
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16", help="range of pod addresses, whose routes are kept")
    help_ = "each controller writes as its own service account"
    election.add_switch(parser, "--use-service-account-credentials", default=False, help=help_)
    election.add_flags(parser, cloud.NAME)


def run(args: argparse.Namespace) -> int:
    options = cloud.Options(
        cluster_name=args.cluster_name,
        cluster_cidr=args.cluster_cidr,
        election=election.of(args),
        own_accounts=args.use_service_account_credentials,
    )
    make = _provider(args)
    return standalone.serve(
        args, lambda clock: cloud.manager(args.kubeconfig, make(clock), options, clock), server=args.kubeconfig
    )


def _provider(args: argparse.Namespace) -> Callable[[Clock], Callable[[Client], Provider]]:
    if args.cloud_provider != providers.LOCAL:
        factory = providers.find(args.cloud_provider)
        return lambda clock: lambda client: factory(Setup(client, clock, args.cloud_config))
    try:
        low, high = (int(each) for each in args.service_node_port_range.split("-"))
        reserved = frozenset(int(each) for each in args.reserved_ports.split(",") if each)
    except ValueError as error:
        raise SettingsError(f"no port: {error}") from None
    return lambda clock: lambda client: cloud.local(client, args.load_balancer_pool, (low, high), reserved)
