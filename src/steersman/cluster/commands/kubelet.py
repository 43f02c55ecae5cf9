"""Run a kubelet on this machine against any API server, with the native runtime or one that speaks CRI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.client.kubeconfig import KubeconfigError
from steersman.cluster.commands import standalone
from steersman.cluster.commands.common import add_state_dir, paths_of
from steersman.cluster.process import client_for
from steersman.cluster.settings import SettingsError
from steersman.kubelet.cpumanager.checkpoint import BadState
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError

if TYPE_CHECKING:
    from steersman.client.interface import Client
    from steersman.kubelet.certificates import Rotation
    from steersman.kubelet.config import KubeletConfig

PROBLEMS = (KubeconfigError, SettingsError, StatusError, BadState, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_kubeconfig(parser)
    standalone.add_verbosity(parser)
    add_state_dir(parser)
    parser.add_argument("--config", type=Path, metavar="FILE", help="a KubeletConfiguration; flags override what it says")
    parser.add_argument("--config-dir", type=Path, metavar="DIR", help="*.conf files there are laid over it in their order")
    parser.add_argument("--hostname-override", default="", help="this node's name (default: the host name)")
    parser.add_argument("--node-ip", default="", help="this node's address (default: that of the default route)")
    parser.add_argument("--node-labels", default="", metavar="KEY=VALUE,…", help="labels of the Node")
    parser.add_argument("--register-with-taints", default="", metavar="KEY=VALUE:EFFECT,…", help="taints of a new Node")
    parser.add_argument("--port", type=int, help="of its HTTPS server (default: 10250)")
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
    parser.add_argument("--pod-infra-container-image", help=argparse.SUPPRESS)
    help_ = "have CNI plugins wire pods up, as a configuration in this directory says (default: a bridge, without plugins)"
    parser.add_argument("--cni-conf-dir", default="", metavar="DIR", help=help_)
    help_ = "static pods: a directory with manifests, or one (default: manifests in the state directory)"
    parser.add_argument("--pod-manifest-path", type=Path, metavar="PATH", help=help_)
    help_ = "a CredentialProviderConfig, or a directory of such: plugins that know credentials for registries"
    parser.add_argument("--image-credential-provider-config", type=Path, metavar="PATH", help=help_)
    parser.add_argument("--image-credential-provider-bin-dir", type=Path, metavar="DIR", help="where those plugins are")
    parser.add_argument("--cluster-dns", help="(default: 10.96.0.10)")
    parser.add_argument("--cluster-domain", help="(default: cluster.local)")
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16", help="range of pod addresses")


def run(args: argparse.Namespace) -> int:
    from steersman.cluster import kubeletsettings

    # Before anything is waited for: what is wrong with it is told at once.
    given = kubeletsettings.read(args.config, args.config_dir)
    server = None if args.bootstrap_kubeconfig or _has_static_pods(args, given) else args.kubeconfig
    return standalone.serve(args, lambda clock: _main(args, given, clock), server=server)


def _has_static_pods(args: argparse.Namespace, given: dict[str, object] | None) -> bool:
    """The API server may be one of them: it must not be waited for."""
    return bool(args.pod_manifest_path or (given and (given.get("staticPodPath") or given.get("staticPodURL"))))


async def _main(args: argparse.Namespace, given: dict[str, object] | None, clock: Clock) -> None:
    from steersman.cluster import bootstrapped, kubeletsettings, node
    from steersman.kubelet import run as kubelet_run

    paths = paths_of(args)
    settings = kubeletsettings.cluster_settings(args, given, paths)
    config = kubeletsettings.kubelet_config(args, given, paths, settings)
    directory = args.cert_dir or paths.kubelet / "pki"
    async with node.runtime(paths, settings, clock) as parts:
        if args.bootstrap_kubeconfig is None:
            if given is not None and config.tls_cert_file is None:
                config = bootstrapped.self_signed(config, directory, clock)
            async with client_for(args.kubeconfig, "kubelet", clock) as client:
                await kubelet_run.run(config, client, parts.runtime, parts.images, clock)
            return
        files = bootstrapped.Files(args.kubeconfig, args.bootstrap_kubeconfig, directory)

        async def kubelet(client: Client, config: KubeletConfig, rotation: Rotation | None) -> None:
            await kubelet_run.run(config, client, parts.runtime, parts.images, clock, rotation=rotation)

        await bootstrapped.run(files, config, clock, kubelet, kubeletsettings.keeping(given))
