"""Run a service proxy for this node against any API server."""

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
    parser.add_argument("--bind-address", default="", help="address node ports are answered on (default: the node's)")
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16", help="range of pod addresses")
    parser.add_argument("--service-cluster-ip-range", default="10.96.0.0/16", help="range of service addresses")
    for name, usual, what in (("healthz", "0.0.0.0:10256", "/healthz, /livez"), ("metrics", "127.0.0.1:10249", "/proxyMode")):
        parser.add_argument(
            f"--{name}-bind-address", default=usual, metavar="ADDRESS:PORT", help=f"where {what} is; empty: nowhere"
        )


def run(args: argparse.Namespace) -> int:
    return standalone.serve(args, lambda clock: _main(args, clock), server=args.kubeconfig)


async def _main(args: argparse.Namespace, clock: Clock) -> None:
    from steersman.proxy import run as proxying

    options = proxying.Options(
        node_name=args.hostname_override or default_node_name(),
        node_ips=(args.bind_address or default_address(),),
        cluster_cidr=args.cluster_cidr,
        service_cidr=args.service_cluster_ip_range,
        healthz=_bind(args.healthz_bind_address),
        metrics=_bind(args.metrics_bind_address),
    )
    async with client_for(args.kubeconfig, "kube-proxy") as client:
        await proxying.run(client, options, clock)


def _bind(text: str) -> tuple[str, int] | None:
    """`address:port`, of IPv6 in brackets. Raises SettingsError."""
    if not text:
        return None
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"{text!r} is no address and port, such as 0.0.0.0:10256")
    return address.removeprefix("[").removesuffix("]"), int(port)
