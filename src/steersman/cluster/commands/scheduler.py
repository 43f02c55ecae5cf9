"""Run a scheduler against any API server."""

from __future__ import annotations

import argparse

from steersman.client.kubeconfig import KubeconfigError
from steersman.cluster import components
from steersman.cluster.commands import standalone

PROBLEMS = (KubeconfigError, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_kubeconfig(parser)
    standalone.add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    return standalone.serve(args, lambda clock: components.scheduler(args.kubeconfig, clock))
