"""The `steersman` command: finds the subcommand's module and hands over. Only that module is imported, to start fast."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from steersman import KUBERNETES_VERSION, __version__


class Command(NamedTuple):
    """A subcommand: its module has `configure(parser)` and `run(args) -> exit code`."""

    module: str
    help: str


COMMANDS = {
    "up": Command("steersman.cluster.commands.up", "start the cluster, or bring it back"),
    "join": Command("steersman.cluster.commands.join", "make this machine a node of a cluster elsewhere"),
    "down": Command("steersman.cluster.commands.down", "end the cluster and clean up; --delete removes its state"),
    "status": Command("steersman.cluster.commands.status", "show what runs, and how it is"),
    "example": Command("steersman.cluster.commands.example", "deploy the example and ask its service"),
    "kubectl": Command("steersman.cluster.commands.kubectl", "run kubectl against this cluster"),
    "kubeconfig": Command("steersman.cluster.commands.kubeconfig", "print the kubeconfig's path, or merge it"),
    "token": Command("steersman.cluster.commands.token", "create, list and delete tokens that let nodes join"),
    "remove": Command("steersman.cluster.commands.remove", "take a node out of the cluster"),
    "image": Command("steersman.cluster.commands.image", "load, pull, list and remove images"),
    "crictl": Command("steersman.cluster.commands.crictl", "look inside the node's container runtime"),
    "apiserver": Command("steersman.cluster.commands.apiserver", "run an API server alone"),
    "scheduler": Command("steersman.cluster.commands.scheduler", "run a scheduler alone"),
    "controller-manager": Command("steersman.cluster.commands.controller_manager", "run the controllers alone"),
    "cloud-controller-manager": Command("steersman.cluster.commands.cloud_controller_manager", "run the cloud controllers alone"),
    "kubelet": Command("steersman.cluster.commands.kubelet", "run a kubelet alone"),
    "proxy": Command("steersman.cluster.commands.proxy", "run a service proxy alone"),
    "dns": Command("steersman.cluster.commands.dns", "run a cluster DNS server alone"),
}

_RAW = {"kubectl"}
"""Commands that take the rest of the line as it is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code. Errors a person can act on are one sentence on stderr, exit code 1 or 2."""
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has seen enough. The interpreter would complain when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _nobody_reads() -> bool:
    """Whether stdout is a pipe that its reader has left."""
    import select  # not at the top: it is seldom asked

    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, ValueError, OSError):  # no stdout, or not a file
        return False
    return any(seen & select.POLLERR for _, seen in poll.poll(0))


def _run(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        name = arguments[0]
        module = importlib.import_module(COMMANDS[name].module)
        if name in _RAW:
            return int(module.run_raw(arguments[1:]))
        from steersman.cluster.commands.parser import Parser

        parser = Parser(prog=f"steersman {name}", description=module.__doc__)
        module.configure(parser)
        args = parser.parse_args(arguments[1:])
        try:
            return int(module.run(args))
        except KeyboardInterrupt:
            return 130
        except module.PROBLEMS as problem:
            if isinstance(problem, BrokenPipeError) and _nobody_reads():
                raise
            print(f"steersman {name}: {problem}", file=sys.stderr)
            return 1
    import argparse  # not at the top: kubectl does without, and it costs more than the rest of this module

    top = argparse.ArgumentParser(prog="steersman", description=f"Kubernetes {KUBERNETES_VERSION} in Python.")
    top.add_argument("--version", action="version", version=f"steersman {__version__} (Kubernetes {KUBERNETES_VERSION})")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.help, add_help=False)
    top.parse_args(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
