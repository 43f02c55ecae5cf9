"""Deploy the example (three containers behind a Service), wait for it, and print what its Service answers."""

from __future__ import annotations

import argparse
import asyncio
import sys

from steersman.cluster.commands.common import add_state_dir, existing, paths_of
from steersman.cluster.example import deploy
from steersman.cluster.process import client_for
from steersman.cluster.progress import Progress
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError
from steersman.machinery.clock import Clock, RealClock
from steersman.machinery.errors import StatusError

PROBLEMS = (SettingsError, deploy.ExampleError, StatusError, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    add_state_dir(parser)
    parser.add_argument("--image-only", metavar="VERSION", default="", help="only make the image steersman.example/hello:VERSION")


def run(args: argparse.Namespace) -> int:
    paths = paths_of(args)
    settings = existing(paths)
    if settings.simulated_nodes:
        raise SettingsError("the example needs real containers, and this cluster's nodes are simulated")
    clock = RealClock()
    if args.image_only:
        print(asyncio.run(deploy.build_image(paths, settings, clock, args.image_only)))
        return 0
    asyncio.run(_show(paths, settings, clock))
    return 0


async def _show(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    progress = Progress(clock)
    async with client_for(paths.admin_kubeconfig, "example") as client:
        with progress.step("example image") as notes:
            notes.append(await deploy.build_image(paths, settings, clock))
        with progress.step("example deployment") as notes:
            await deploy.apply(client)
            replicas = await deploy.wait_available(client, clock)
            notes.append(f"{replicas} {'pod' if replicas == 1 else 'pods'} behind Service hello")
        cluster_ip, node_port = await deploy.service_address(client)
        with progress.step("example service"):
            doors = ((cluster_ip, 80, 6), (settings.advertise_address, node_port, 3))
            lines = await deploy.ask(doors, replicas, clock)
    for line in lines[:6]:
        progress.say(f"    {cluster_ip}:80  {line}")
    for line in lines[6:]:
        progress.say(f"    {settings.advertise_address}:{node_port}  {line}")
    progress.say()
    progress.say("Try next:")
    progress.say(f"    export KUBECONFIG={paths.admin_kubeconfig}")
    for command in (
        "kubectl get all -A -o wide",
        f"curl http://{settings.advertise_address}:{node_port}",
        "kubectl logs -f deployment/hello",
        "kubectl exec -it deployment/hello -- sh",
        "kubectl scale deployment hello --replicas 10",
        f"{sys.argv[0]} status",
    ):
        progress.say(f"    {command}")
