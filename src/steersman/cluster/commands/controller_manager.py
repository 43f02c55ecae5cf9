"""Run the controllers against any API server."""

from __future__ import annotations

import argparse
from pathlib import Path

from steersman.client.kubeconfig import KubeconfigError
from steersman.cluster import components
from steersman.cluster.commands import standalone

PROBLEMS = (KubeconfigError, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_kubeconfig(parser)
    standalone.add_verbosity(parser)
    parser.add_argument("--root-ca-file", type=Path, required=True, help="CA certificate that pods are given")
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16", help="range that nodes get their pod addresses from")


def run(args: argparse.Namespace) -> int:
    return standalone.serve(
        args,
        lambda clock: components.controller_manager(args.kubeconfig, args.root_ca_file, args.cluster_cidr, clock),
    )
