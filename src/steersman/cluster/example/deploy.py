"""Deploy the example and ask its Service until every pod has answered: the shortest proof that the whole path works."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import resources

from steersman.api.resources import DEPLOYMENTS, SERVICES
from steersman.client.interface import Client
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery import yamlio
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import dig, name_of

IMAGE = "steersman.example/hello:{version}"
_SCRIPT = """\
mkdir -p /tmp/www
printf 'Hello from %s, version %s\\n' "$(hostname)" "$VERSION" > /tmp/www/index.html
exec httpd -f -p 8080 -h /tmp/www
"""
_PATIENCE_S = 60.0
_POLL_S = 0.05


class ExampleError(Exception):
    """The example does not work; one sentence."""


async def build_image(paths: Paths, settings: ClusterSettings, clock: Clock, version: str = "1") -> str:
    """Make the example image from Debian's static busybox and put it into the node's image store; its name."""
    from steersman.cluster import node
    from steersman.cri.native import build

    name = IMAGE.format(version=version)
    async with node.images(paths, settings, clock) as images:
        if await images.image_status(name) is not None:
            return name
        config = {"Entrypoint": ["/bin/sh", "-c", _SCRIPT], "Env": ["PATH=/bin", f"VERSION={version}"]}
        archive = paths.run / f"hello-{version}.tar"
        try:
            layers = [build.layer_tar(build.busybox_contents())]
            await asyncio.to_thread(build.write_image, str(archive), name, layers, config)
            await images.load(str(archive))
        except FileNotFoundError:
            raise ExampleError("busybox is not installed: apt-get install busybox-static") from None
        finally:
            archive.unlink(missing_ok=True)
    return name


async def apply(client: Client) -> None:
    """Create the example's objects; those that are there already are left as they are."""
    text = resources.files(__package__).joinpath("hello.yaml").read_text()
    for obj in yamlio.load_all(text):
        resource = DEPLOYMENTS if obj["kind"] == "Deployment" else SERVICES
        try:
            await client.get(resource, name_of(obj), "default")
        except NotFound:
            await client.create(resource, obj, "default")


async def wait_available(client: Client, clock: Clock) -> int:
    """Until the Deployment has all replicas available: how many they are, as people may have scaled it. Raises ExampleError."""
    deadline = clock.monotonic() + _PATIENCE_S
    while True:
        deployment = await client.get(DEPLOYMENTS, "hello", "default")
        replicas = int(dig(deployment, "spec", "replicas", default=1))
        if not replicas:
            raise ExampleError("deployment hello is scaled to 0: kubectl scale deployment hello --replicas 3")
        if dig(deployment, "status", "availableReplicas", default=0) >= replicas:
            return replicas
        if clock.monotonic() > deadline:
            raise ExampleError(f"deployment {name_of(deployment)} has no pods after {_PATIENCE_S:.0f} s: kubectl describe pods")
        await clock.sleep(_POLL_S)


async def ask(doors: Sequence[tuple[str, int, int]], pods: int, clock: Clock) -> list[str]:
    """What the Service answers at each (address, port, how often), once that many pods have answered in turn at the first.

    All of it is asked again when something fails: rules follow the pods a moment later, and after an `up` pods that were ready
    in the last life become ready once more. Raises ExampleError.
    """
    deadline = clock.monotonic() + _PATIENCE_S
    while True:
        fault = "not all pods are behind it"
        try:
            found = [
                await answers(address, port, max(count, 0 if number else pods))
                for number, (address, port, count) in enumerate(doors)
            ]
            if len(set(found[0])) >= pods:
                return [line for (_, _, count), lines in zip(doors, found, strict=True) for line in lines[:count]]
        except ExampleError as problem:
            fault = str(problem)
        if clock.monotonic() > deadline:
            raise ExampleError(fault)
        await clock.sleep(_POLL_S)


async def answers(address: str, port: int, count: int) -> list[str]:
    """What `count` connections, one after the other, are answered. Raises ExampleError if one is not."""
    found: list[str] = []
    for _ in range(count):
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection(address, port)
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                body = (await reader.read()).decode(errors="replace")
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError) as fault:
            raise ExampleError(f"the Service at {address}:{port} does not answer: {fault or 'timed out'}") from fault
        found.append(body.rpartition("\r\n\r\n")[2].strip())
    return found


async def service_address(client: Client) -> tuple[str, int]:
    service = await client.get(SERVICES, "hello", "default")
    return str(dig(service, "spec", "clusterIP")), int(dig(service, "spec", "ports", 0, "nodePort"))
