"""crictl's command line. Loads nothing of gRPC: a mistake in it is told at once."""

from __future__ import annotations

import argparse
from typing import TypeAlias

FORMATS = ("table", "json", "yaml")
STATES = ("created", "running", "exited", "unknown")


def configure(parser: argparse.ArgumentParser) -> None:
    help_ = "socket of the runtime (default: that of this machine's node; CONTAINER_RUNTIME_ENDPOINT sets it as well)"
    parser.add_argument("-r", "--runtime-endpoint", default="", metavar="SOCKET", help=help_)
    help_ = "of its image service (default: the same; IMAGE_SERVICE_ENDPOINT)"
    parser.add_argument("-i", "--image-endpoint", default="", metavar="SOCKET", help=help_)
    parser.add_argument("-t", "--timeout", default="", metavar="TIME", help="how long a call may take (2s; default: by call)")
    actions = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    _listing(actions)
    _inspecting(actions)
    _acting(actions)
    _streaming(actions)


Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _listing(actions: Actions) -> None:
    pods = actions.add_parser("pods", help="list pods")
    _list_flags(pods, "pod")
    pods.add_argument("--state", "-s", choices=("ready", "notready"), type=str.lower)
    ps = actions.add_parser("ps", help="list containers")
    _list_flags(ps, "container")
    ps.add_argument("--all", "-a", action="store_true", help="also those that do not run")
    ps.add_argument("--state", "-s", choices=STATES, type=str.lower)
    ps.add_argument("--pod", "-p", default="", metavar="ID", help="only those of this pod")
    ps.add_argument("--image", default="", metavar="IMAGE", help="only those of this image")
    images = actions.add_parser("images", aliases=["image", "img"], help="list images")
    images.add_argument("image", nargs="?", default="", metavar="REPOSITORY[:TAG]")
    images.add_argument("--digests", action="store_true", help="show digests")
    _output(images)
    for name, what in (("stats", "containers"), ("statsp", "pods")):
        stats = actions.add_parser(name, help=f"what {what} use")
        stats.add_argument("id", nargs="?", default="", metavar="ID")
        stats.add_argument("--id", dest="chosen", default="", metavar="ID")
        stats.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
        stats.add_argument("--seconds", "-s", type=float, default=1.0, help="over how long processor use is measured")
        _output(stats, quiet=False)
        if name == "stats":
            stats.add_argument("--all", "-a", action="store_true", help="also those that do not run")
            stats.add_argument("--pod", "-p", default="", metavar="ID", help="only those of this pod")


def _list_flags(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--id", default="", help=f"of the {what}, or its beginning")
    parser.add_argument("--name", default="", metavar="REGEX")
    parser.add_argument("--namespace", default="", metavar="REGEX", help="of the pod")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--latest", "-l", action="store_true", help=f"the newest {what} only, in whatever state")
    parser.add_argument("--last", "-n", type=int, default=0, metavar="N", help="the N newest, in whatever state")
    _output(parser)


def _output(parser: argparse.ArgumentParser, *, quiet: bool = True) -> None:
    parser.add_argument("--output", "-o", choices=FORMATS, default="table")
    if quiet:
        parser.add_argument("--quiet", "-q", action="store_true", help="ids only")
        parser.add_argument("--no-trunc", action="store_true", help="whole ids")


def _inspecting(actions: Actions) -> None:
    for name, what in (("inspect", "containers"), ("inspectp", "pods"), ("inspecti", "images")):
        inspect = actions.add_parser(name, help=f"show all of {what}")
        inspect.add_argument("id", nargs="+", metavar="ID")
        inspect.add_argument("--output", "-o", choices=FORMATS, default="json")
        inspect.add_argument("--quiet", "-q", action="store_true", help="without what the runtime adds of its own")
    for name, what in (("info", "the runtime's state"), ("imagefsinfo", "what images take on disk")):
        about = actions.add_parser(name, help=f"show {what}")
        about.add_argument("--output", "-o", choices=FORMATS, default="json")
    version = actions.add_parser("version", help="show the runtime's version")
    version.add_argument("--output", "-o", choices=FORMATS, default="table")


def _acting(actions: Actions) -> None:
    for name, what in (("stop", "containers"), ("rm", "containers"), ("stopp", "pods"), ("rmp", "pods"), ("rmi", "images")):
        verb = "stop" if name.startswith("stop") else "remove"
        acting = actions.add_parser(name, help=f"{verb} {what}")
        acting.add_argument("id", nargs="*", metavar="ID")
        if name == "stop":
            acting.add_argument("--timeout", "-t", dest="grace", type=int, default=0, metavar="SECONDS", help="before a kill")
        if verb == "remove":
            acting.add_argument("--all", "-a", action="store_true", help=f"all {what}")
        if name in ("rm", "rmp"):
            acting.add_argument("--force", "-f", action="store_true", help="also if it runs")
        if name == "rmi":
            acting.add_argument("--prune", "-q", action="store_true", help="all images that no container has")
    pull = actions.add_parser("pull", help="pull an image from its registry")
    pull.add_argument("id", nargs=1, metavar="IMAGE")
    pull.add_argument("--creds", default="", metavar="USER[:PASSWORD]", help="for a registry that asks")


def _streaming(actions: Actions) -> None:
    logs = actions.add_parser("logs", help="show what a container wrote")
    logs.add_argument("id", metavar="ID")
    logs.add_argument("--follow", "-f", action="store_true")
    logs.add_argument("--tail", type=int, default=-1, metavar="N", help="the last N lines")
    logs.add_argument("--timestamps", "-t", action="store_true")
    exec_ = actions.add_parser("exec", help="run a command in a container")
    attach = actions.add_parser("attach", help="join a container's streams")
    for parser in (exec_, attach):
        parser.add_argument("--interactive", "-i", action="store_true", help="keep its stdin open")
        parser.add_argument("--tty", "-t", action="store_true", help="with a terminal")
    exec_.add_argument("--sync", "-s", action="store_true", help="show its output once it has ended")
    exec_.add_argument("--timeout", dest="limit", type=int, default=0, metavar="SECONDS", help="with --sync: kill it then")
    exec_.add_argument("id", metavar="ID")
    exec_.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND …")
    attach.add_argument("id", metavar="ID")
