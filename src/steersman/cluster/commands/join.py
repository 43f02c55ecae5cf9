"""Make this machine a node of a cluster that runs elsewhere. `steersman token create` there prints the command line."""

from __future__ import annotations

import argparse

from steersman import KUBERNETES_VERSION, __version__
from steersman.cluster import controlplane, joining
from steersman.cluster.commands.common import add_state_dir, paths_of
from steersman.cluster.progress import Progress
from steersman.cluster.settings import SettingsError
from steersman.machinery.clock import RealClock

PROBLEMS = joining.PROBLEMS


def configure(parser: argparse.ArgumentParser) -> None:
    add_state_dir(parser)
    parser.add_argument("server", metavar="HOST:PORT", help="the cluster's API server")
    parser.add_argument("--token", default="", help="from `steersman token create`; not needed to bring a node back")
    help_ = "the CA's public key, as sha256:<hex>; given several times, one must fit"
    parser.add_argument("--discovery-token-ca-cert-hash", action="append", default=[], metavar="HASH", help=help_)
    help_ = "join with an API server and controllers as well, over the etcd the cluster shares"
    parser.add_argument("--control-plane", action="store_true", help=help_)
    help_ = "what opens the cluster's keys, from `steersman token create --control-plane`"
    parser.add_argument("--certificate-key", default="", metavar="KEY", help=help_)
    parser.add_argument("--node-name", default="", help="name of this node (default: the host name)")
    parser.add_argument("--node-ip", default="", help="this node's address, where other nodes reach it (default: as for up)")
    parser.add_argument("--pool", default="", help="the pool of nodes it belongs to: shown as its role, and a label")
    parser.add_argument("--labels", default="", metavar="KEY=VALUE,…", help="labels the node registers with")
    help_ = "what runs the containers: steersman itself (default), or a containerd that runs already"
    parser.add_argument("--runtime", choices=("native", "containerd"), default="", help=help_)
    help_ = "the socket of containerd (default /run/containerd/containerd.sock)"
    parser.add_argument("--runtime-endpoint", default="", metavar="SOCKET", help=help_)
    help_ = "have CNI plugins wire pods up, as a configuration in this directory says (default: a bridge, without plugins)"
    parser.add_argument("--cni-conf-dir", default="", metavar="DIR", help=help_)


def run(args: argparse.Namespace) -> int:
    paths = paths_of(args)
    clock = RealClock()
    progress = Progress(clock)
    progress.say(f"steersman {__version__} (Kubernetes {KUBERNETES_VERSION}) in {paths.state}")
    begin = clock.monotonic()
    choices = joining.JoinChoices(
        args.server,
        args.token,
        tuple(args.discovery_token_ca_cert_hash),
        args.node_name,
        args.node_ip,
        args.pool,
        tuple(filter(None, args.labels.split(","))),
        args.runtime,
        args.runtime_endpoint,
        args.cni_conf_dir,
    )
    if args.control_plane:
        settings = controlplane.join(paths, choices, args.certificate_key, clock, progress)
        progress.say(f"Up in {clock.monotonic() - begin:.1f} s. Next:  export KUBECONFIG={paths.admin_kubeconfig}")
        return 0
    if args.certificate_key:
        raise SettingsError("--certificate-key goes with --control-plane")
    settings = joining.join(paths, choices, clock, progress)
    progress.say(f"{settings.node_name} is in the cluster, after {clock.monotonic() - begin:.1f} s.")
    return 0
