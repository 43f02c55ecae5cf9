"""Print the path of the administrator's kubeconfig; with --merge, add the cluster to a kubeconfig of yours."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from steersman.cluster.commands.common import add_state_dir, administered, paths_of
from steersman.cluster.settings import SettingsError

PROBLEMS = (SettingsError, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    add_state_dir(parser)
    parser.add_argument(
        "--merge",
        nargs="?",
        const=os.environ.get("KUBECONFIG", "~/.kube/config").split(":")[0],
        metavar="FILE",
        help="add cluster, user and context `steersman` to FILE (your usual kubeconfig if not named)",
    )


def run(args: argparse.Namespace) -> int:
    paths = paths_of(args)
    administered(paths)
    if args.merge is None:
        print(paths.admin_kubeconfig)
        return 0
    from steersman.client import kubeconfig

    target = Path(args.merge).expanduser()
    kubeconfig.merge_into(target, kubeconfig.read(paths.admin_kubeconfig))
    print(f"context `steersman` is in {target}")
    return 0
