"""Run a scheduler against any API server."""

from __future__ import annotations

import argparse

from steersman.client.kubeconfig import KubeconfigError
from steersman.client.leases import LeadershipLost
from steersman.cluster import controlling
from steersman.cluster.commands import election, pageflags, standalone
from steersman.cluster.settings import SettingsError

PROBLEMS = (KubeconfigError, SettingsError, LeadershipLost, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_kubeconfig(parser)
    standalone.add_verbosity(parser)
    election.add_flags(parser, controlling.SCHEDULER)
    pageflags.configure(parser, usual_port=10259)


def run(args: argparse.Namespace) -> int:
    elected, pages = election.of(args), pageflags.of(args)
    return standalone.serve(
        args, lambda clock: controlling.scheduler(args.kubeconfig, clock, elected, pages), server=args.kubeconfig
    )
