"""Look inside the node's container runtime, or any other that speaks CRI v1: crictl's commands, flags and columns."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os

from steersman.cli.crictl import parser as command_line
from steersman.cluster.commands.common import add_state_dir, existing, paths_of
from steersman.cluster.settings import Paths, SettingsError
from steersman.cri.interface import RuntimeFault
from steersman.machinery.clock import RealClock

PROBLEMS = (SettingsError, RuntimeFault, OSError)
_NEEDED = ("grpc", "cri_api")


def configure(parser: argparse.ArgumentParser) -> None:
    add_state_dir(parser)
    command_line.configure(parser)


def run(args: argparse.Namespace) -> int:
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise SettingsError("it speaks CRI over gRPC, which is not installed: pip install 'steersman[cri]'")
    runtime = args.runtime_endpoint or os.environ.get("CONTAINER_RUNTIME_ENDPOINT") or _own(paths_of(args))
    images = args.image_endpoint or os.environ.get("IMAGE_SERVICE_ENDPOINT") or runtime
    from steersman.cli.crictl import main

    return asyncio.run(main.run(args, runtime, images, RealClock()))


def _own(paths: Paths) -> str:
    """The socket of this machine's node. Raises SettingsError."""
    try:
        settings = existing(paths)
        if settings.runtime == "containerd":
            return settings.runtime_endpoint
        missing = f"no node runs here: {paths.cri_socket} is not there (`steersman up` brings it back)"
    except SettingsError as error:
        # A kubelet that runs alone has no settings, only its socket.
        missing = f"{error}, or name a runtime's socket with --runtime-endpoint"
    if not os.path.exists(paths.cri_socket):  # unlike Path's, it is False as well where one may not look
        raise SettingsError(missing)
    return str(paths.cri_socket)
