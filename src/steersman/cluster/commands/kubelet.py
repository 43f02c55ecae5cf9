"""Run a kubelet on this machine against any API server, with the native runtime or one that speaks CRI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.client.kubeconfig import KubeconfigError
from steersman.cluster.commands import standalone
from steersman.cluster.commands.common import add_state_dir, paths_of
from steersman.cluster.components import client_for
from steersman.cluster.settings import ClusterSettings, SettingsError, default_address, default_node_name
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError

if TYPE_CHECKING:
    from steersman.client.interface import Client
    from steersman.kubelet.certificates import Rotation
    from steersman.kubelet.config import KubeletConfig

PROBLEMS = (KubeconfigError, SettingsError, StatusError, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_kubeconfig(parser)
    standalone.add_verbosity(parser)
    add_state_dir(parser)
    parser.add_argument("--hostname-override", default="", help="this node's name (default: the host name)")
    parser.add_argument("--node-ip", default="", help="this node's address (default: that of the default route)")
    parser.add_argument("--port", type=int, default=10250)
    parser.add_argument("--tls-cert-file", type=Path, help="serving certificate; without one (or bootstrap) no logs and exec")
    parser.add_argument("--tls-private-key-file", type=Path)
    parser.add_argument("--client-ca-file", type=Path)
    parser.add_argument(
        "--bootstrap-kubeconfig",
        type=Path,
        help="credentials to ask for the node's own with, if --kubeconfig does not work yet; certificates are then kept fresh",
    )
    parser.add_argument("--cert-dir", type=Path, help="where they are kept (default: kubelet/pki in the state directory)")
    help_ = "socket of containerd or another runtime that speaks CRI v1 (default: none, the native runtime)"
    parser.add_argument("--container-runtime-endpoint", default="", metavar="SOCKET", help=help_)
    help_ = "have CNI plugins wire pods up, as a configuration in this directory says (default: a bridge, without plugins)"
    parser.add_argument("--cni-conf-dir", default="", metavar="DIR", help=help_)
    help_ = "static pods: a directory with manifests, or one (default: manifests in the state directory)"
    parser.add_argument("--pod-manifest-path", type=Path, metavar="PATH", help=help_)
    parser.add_argument("--cluster-dns", default="10.96.0.10")
    parser.add_argument("--cluster-domain", default="cluster.local")
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16", help="range of pod addresses")


def run(args: argparse.Namespace) -> int:
    return standalone.serve(args, lambda clock: _main(args, clock), server=None if args.bootstrap_kubeconfig else args.kubeconfig)


async def _main(args: argparse.Namespace, clock: Clock) -> None:
    import dataclasses

    from steersman.cluster import node
    from steersman.cluster.up import cgroup_root, cni_conf_dir_of
    from steersman.kubelet import run as kubelet_run

    paths = paths_of(args)
    runtime = "containerd" if args.container_runtime_endpoint else "native"
    settings = ClusterSettings(
        node_name=args.hostname_override or default_node_name(),
        advertise_address=args.node_ip or default_address(),
        kubelet_port=args.port,
        cluster_domain=args.cluster_domain,
        cluster_cidr=args.cluster_cidr,
        dns_address=args.cluster_dns,
        runtime=runtime,
        runtime_endpoint=args.container_runtime_endpoint,
        cni_conf_dir=cni_conf_dir_of(runtime, args.cni_conf_dir),
        cgroup_root=cgroup_root(paths),
    )
    config = dataclasses.replace(
        node.kubelet_config(paths, settings),
        tls_cert_file=args.tls_cert_file,
        tls_private_key_file=args.tls_private_key_file,
        client_ca_file=args.client_ca_file,
        static_pod_path=args.pod_manifest_path or paths.manifests,
    )
    async with node.runtime(paths, settings, clock) as parts:
        if args.bootstrap_kubeconfig is None:
            async with client_for(args.kubeconfig, "kubelet", clock) as client:
                await kubelet_run.run(config, client, parts.runtime, parts.images, clock)
            return
        from steersman.cluster import bootstrapped

        directory = args.cert_dir or paths.kubelet / "pki"
        files = bootstrapped.Files(args.kubeconfig, args.bootstrap_kubeconfig, directory)

        async def kubelet(client: Client, config: KubeletConfig, rotation: Rotation | None) -> None:
            await kubelet_run.run(config, client, parts.runtime, parts.images, clock, rotation=rotation)

        await bootstrapped.run(files, config, clock, kubelet)
