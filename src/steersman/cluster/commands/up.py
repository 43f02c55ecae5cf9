"""Start the cluster in this machine's state directory, or bring it back. Running it again does no harm."""

from __future__ import annotations

import argparse

from steersman import KUBERNETES_VERSION, __version__
from steersman.apiserver.config import ConfigError
from steersman.cluster.commands import accessoptionflags, apiflags, standalone
from steersman.cluster.commands.common import add_state_dir, paths_of
from steersman.cluster.progress import Progress
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, load
from steersman.cluster.sharedetcd import chosen
from steersman.cluster.up import Choices, bring_up
from steersman.cluster.waiting import UpError
from steersman.machinery.clock import Clock, RealClock
from steersman.machinery.errors import StatusError

PROBLEMS = (SettingsError, ConfigError, UpError, StatusError, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    add_state_dir(parser)
    parser.add_argument("--node-name", default="", help="name of this node (default: the host name)")
    parser.add_argument("--advertise-address", default="", help="this node's address (default: that of the default route)")
    parser.add_argument("--secure-port", type=_positive, default=0, help="port of the API server (default 6443)")
    help_ = "what holds the objects, chosen at the first up: a SQLite file (default), or an etcd that is started beside"
    parser.add_argument("--store", choices=("sqlite", "etcd"), default="", help=help_)
    help_ = "an etcd that exists, which API servers on other machines may share: scheme://host:port of its members"
    parser.add_argument("--etcd-servers", default="", metavar="URL,...", help=help_)
    parser.add_argument("--etcd-cafile", default="", metavar="FILE", help="CA that signed the certificates of that etcd")
    parser.add_argument("--etcd-certfile", default="", metavar="FILE", help="client certificate for it")
    parser.add_argument("--etcd-keyfile", default="", metavar="FILE", help="its key")
    help_ = "what runs the containers, fixed at the first up: steersman itself (default), or a containerd that runs already"
    parser.add_argument("--runtime", choices=("native", "containerd"), default="", help=help_)
    help_ = "the socket of containerd (default /run/containerd/containerd.sock)"
    parser.add_argument("--runtime-endpoint", default="", metavar="SOCKET", help=help_)
    help_ = "have CNI plugins wire pods up, as a configuration in this directory says (default: a bridge, without plugins)"
    parser.add_argument("--cni-conf-dir", default="", metavar="DIR", help=help_)
    help_ = "make a cluster of so many simulated nodes, whose containers only pretend: needs no root, fixed at the first up"
    parser.add_argument("--simulated-nodes", type=_positive, default=0, metavar="N", help=help_)
    help_ = "addresses for Services of type LoadBalancer, as 192.0.2.16/28 (default: the nodes' own), fixed at the first up"
    parser.add_argument("--load-balancer-pool", default="", metavar="RANGES", help=help_)
    help_ = "how long a node may be silent before it is NotReady (default 50s), fixed at the first up"
    parser.add_argument("--node-monitor-grace-period", type=standalone.seconds, default=0.0, metavar="DURATION", help=help_)
    accessoptionflags.configure(parser)
    apiflags.configure(parser)


def _positive(text: str) -> int:
    """A number from 1 on, as argparse wants it said."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 65535")
    return int(text)


def run(args: argparse.Namespace) -> int:
    paths = paths_of(args)
    clock = RealClock()
    progress = Progress(clock)
    progress.say(f"steersman {__version__} (Kubernetes {KUBERNETES_VERSION}) in {paths.state}")
    begin = clock.monotonic()
    choices = Choices(
        args.node_name,
        args.advertise_address,
        args.secure_port,
        args.store,
        args.simulated_nodes,
        args.load_balancer_pool,
        args.runtime,
        args.runtime_endpoint,
        args.node_monitor_grace_period,
        args.cni_conf_dir,
        chosen(args.etcd_servers, args.etcd_cafile, args.etcd_certfile, args.etcd_keyfile),
        tuple(apiflags.given(args).items()),
        tuple(accessoptionflags.given(args).items()),
        accessoptionflags.certificate_names(args),
    )
    found = load(paths)
    if found is not None and found.joined_server:
        _bring_back(paths, found, choices, clock, progress)
        return 0
    try:
        bring_up(paths, choices, clock, progress)
    except KeyboardInterrupt:
        progress.say("What has started goes on: `steersman status` shows how far it is, `steersman down` ends it.")
        raise
    progress.say(f"Up in {clock.monotonic() - begin:.1f} s. Next:  export KUBECONFIG={paths.admin_kubeconfig}")
    return 0


def _bring_back(paths: Paths, settings: ClusterSettings, choices: Choices, clock: Clock, progress: Progress) -> None:
    """A node that has joined a cluster elsewhere. Raises SettingsError, UpError."""
    from steersman.cluster import joining

    if choices != Choices():
        raise SettingsError(
            f"this machine is a node of the cluster at {settings.joined_server}, as was said at `join`: `up` takes no flags here"
        )
    joining.bring_back(paths, settings, clock, progress)
    progress.say(f"Node {settings.node_name} of {settings.joined_server} is back.")
