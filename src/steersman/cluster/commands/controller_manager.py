"""Run the controllers against any API server."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from steersman.client.kubeconfig import KubeconfigError
from steersman.client.leases import LeadershipLost
from steersman.cluster import controlling
from steersman.cluster.commands import election, pageflags, standalone
from steersman.cluster.settings import NODE_GRACE_S, SettingsError
from steersman.cluster.signing import FileSigner
from steersman.cluster.tokensigning import FileTokenSigner
from steersman.machinery import duration

PROBLEMS = (KubeconfigError, SettingsError, LeadershipLost, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_kubeconfig(parser)
    standalone.add_verbosity(parser)
    parser.add_argument("--root-ca-file", type=Path, help="CA certificate that pods are given (default: the kubeconfig's)")
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16", help="range that nodes get their pod addresses from")
    parser.add_argument("--cluster-signing-cert-file", type=Path, help="CA that signs certificate signing requests")
    parser.add_argument("--cluster-signing-key-file", type=Path, help="its key; without both, requests are approved only")
    parser.add_argument(
        "--cluster-signing-duration", default="8760h", metavar="DURATION", help="longest life of what is signed, as in 8760h"
    )
    help_ = "key of service account tokens; with it, Secrets of type kubernetes.io/service-account-token get theirs"
    parser.add_argument("--service-account-private-key-file", type=Path, metavar="FILE", help=help_)
    help_ = "how long a node may be silent before it is NotReady (default 50s)"
    parser.add_argument(
        "--node-monitor-grace-period", type=standalone.seconds, default=NODE_GRACE_S, metavar="DURATION", help=help_
    )
    election.add_flags(parser, controlling.CONTROLLERS)
    pageflags.configure(parser, usual_port=10257)


def run(args: argparse.Namespace) -> int:
    signer, elected, pages = _signer(args), election.of(args), pageflags.of(args)
    key = args.service_account_private_key_file
    tokens = FileTokenSigner(key) if key is not None else None
    return standalone.serve(
        args,
        lambda clock: controlling.controller_manager(
            args.kubeconfig,
            args.root_ca_file,
            args.cluster_cidr,
            clock,
            elected,
            signer,
            args.node_monitor_grace_period,
            tokens,
            pages=pages,
        ),
        server=args.kubeconfig,
    )


def _signer(args: argparse.Namespace) -> FileSigner | None:
    certificate, key = args.cluster_signing_cert_file, args.cluster_signing_key_file
    if (certificate is None) != (key is None):
        raise SettingsError("--cluster-signing-cert-file and --cluster-signing-key-file belong together")
    if certificate is None:
        return None
    try:
        longest_s = duration.parse_go(args.cluster_signing_duration)
    except ValueError as error:
        raise SettingsError(f"--cluster-signing-duration: {error}") from error
    return FileSigner(certificate, key, timedelta(seconds=longest_s))
