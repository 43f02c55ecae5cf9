"""What several subcommands share: the --state-dir flag, the running cluster's settings, a client as administrator."""

from __future__ import annotations

import argparse
from pathlib import Path

from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, default_state_dir, load


def add_state_dir(parser: argparse.ArgumentParser) -> None:
    default = default_state_dir()
    parser.add_argument(
        "--state-dir",
        type=_directory,
        default=default,
        help=f"where the cluster keeps its files (now {default}; STEERSMAN_STATE_DIR sets it as well)",
    )


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    """A command below a command; `text` stands in both helps."""
    return actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def _directory(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return Path(text)


def paths_of(args: argparse.Namespace) -> Paths:
    return Paths(Path(args.state_dir).absolute())


def existing(paths: Paths) -> ClusterSettings:
    """The cluster's settings. Raises SettingsError if there is no cluster."""
    settings = load(paths)
    if settings is None:
        raise SettingsError(f"there is no cluster in {paths.state}: make one with `steersman up`")
    return settings


def administered(paths: Paths) -> ClusterSettings:
    """Likewise, of a cluster whose administrator's kubeconfig is here: not where a node has joined. Raises SettingsError."""
    settings = existing(paths)
    if settings.joined_server:
        raise SettingsError(
            f"this machine is a node of the cluster at {settings.joined_server}: ask there, or name a kubeconfig for it"
        )
    return settings
