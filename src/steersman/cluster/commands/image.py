"""Load, pull, list and remove images of this node. Names are completed as usual: nginx is docker.io/library/nginx:latest."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.cluster.commands.common import add_action, add_state_dir, existing, paths_of
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError
from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Image, RegistryAuth
from steersman.machinery.clock import RealClock

if TYPE_CHECKING:
    from steersman.cluster.node import NodeImages

PROBLEMS = (SettingsError, RuntimeFault, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    load = add_action(actions, "load", "install the images of an OCI or docker archive (a tar file)")
    load.add_argument("archive", type=Path, nargs="+")
    pull = add_action(actions, "pull", "pull an image from its registry (registries.yaml in the state directory: mirrors)")
    pull.add_argument("image", nargs="+")
    pull.add_argument("--creds", default="", metavar="USER:PASSWORD", help="for a registry that asks")
    add_action(actions, "ls", "list the images")
    remove = add_action(actions, "rm", "remove an image by name or id")
    remove.add_argument("image", nargs="+")
    for action in actions.choices.values():
        add_state_dir(action)


def run(args: argparse.Namespace) -> int:
    from steersman.cluster import node

    paths = paths_of(args)
    settings = _settings(paths)

    async def main() -> int:
        async with node.images(paths, settings, RealClock()) as images:
            return await _run(args, images)

    return asyncio.run(main())


def _settings(paths: Paths) -> ClusterSettings:
    """Of the cluster; a kubelet that runs alone has none, only its images. Raises SettingsError."""
    try:
        return existing(paths)
    except SettingsError:
        if not os.path.exists(paths.containers):
            raise
        return ClusterSettings(node_name="", advertise_address="")


async def _run(args: argparse.Namespace, images: NodeImages) -> int:
    if args.action == "load":
        for archive in args.archive:
            for name in await images.load(str(archive)):
                print(f"loaded {name}")
    elif args.action == "ls":
        print(_table(await images.list_images()))
    elif args.action == "pull":
        user, _, password = args.creds.partition(":")
        auth = RegistryAuth(username=user, password=password) if user else None
        for name in args.image:
            print(f"pulled {name}: {await images.pull_image(name, auth)}")
    else:
        for name in args.image:
            if await images.image_status(name) is None:
                raise RuntimeFault(f"there is no image {name}")
            await images.remove_image(name)
            print(f"removed {name}")
    return 0


def _table(images: list[Image]) -> str:
    rows = [("IMAGE", "ID", "SIZE")]
    for image in sorted(images, key=lambda each: each.repo_tags):
        names = image.repo_tags or image.repo_digests or ("<none>",)
        short = image.id.removeprefix("sha256:")[:12]
        rows += [(name, short, f"{image.size_bytes / 1e6:.1f} MB") for name in names]
    width = max(len(name) for name, _, _ in rows) + 3
    return "\n".join(f"{name:<{width}}{identity:<15}{size}" for name, identity, size in rows)
