"""Which API servers a joined node knows: the endpoints of Service default/kubernetes, followed, and kept in a file.

The file is for a node that starts while the server it joined by is gone. And which of them work: one that can be reached but has
lost its etcd tells nothing new, not even that it left the list.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from steersman.api.resources import ENDPOINT_SLICES
from steersman.client.http import HttpTransport, Pem
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.cluster.balancer import Balancer, Server
from steersman.cluster.settings import ClusterSettings, write_private
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

PERIOD_S = 5.0
_PATIENCE_S = 3.0
_STRIKES = 2
"""So often in a row a server must not be ready: a change of etcd's leader takes a second or two."""


def known(path: Path, settings: ClusterSettings) -> list[Server]:
    """Those of the file, then those that this machine joined by."""
    try:
        kept = [Server.parse(text) for text in json.loads(path.read_text())]
    except FileNotFoundError:
        kept = []
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("the list of API servers cannot be read file=%s error=%s", path, error)
        kept = []
    joined = [text for text in (settings.joined_as, urlsplit(settings.joined_server).netloc) if text]
    return list(dict.fromkeys([*kept, *map(Server.parse, joined)]))


async def follow(client: Client, balancer: Balancer, path: Path, clock: Clock) -> None:
    """Tell the balancer and the file, until cancelled."""
    slices = Informer(
        client, ENDPOINT_SLICES, clock=clock, namespace="default", label_selector="kubernetes.io/service-name=kubernetes"
    )
    changed = asyncio.Event()
    slices.add_handler(lambda _old, _new: changed.set())
    async with asyncio.TaskGroup() as group:
        group.create_task(slices.run())
        while True:
            await changed.wait()
            changed.clear()
            balancer.take(listed(slices))
            write(path, balancer.known)


def listed(slices: Iterable[Obj]) -> list[Server]:
    """The servers that are ready."""
    found: list[Server] = []
    for each in slices:
        ports = [port["port"] for port in each.get("ports") or () if port.get("port")]
        for endpoint in each.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                found += [Server(address, port) for address in endpoint["addresses"] for port in ports]
    return found


def write(path: Path, servers: Iterable[Server]) -> None:
    """If it says something else."""
    content = json.dumps([str(server) for server in servers]).encode() + b"\n"
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        log.debug("no list of API servers yet file=%s", path)
    try:
        write_private(path, content)
    except OSError as error:
        # The node works without it, until its next start.
        log.warning("the list of API servers cannot be kept file=%s error=%s", path, error)


async def watch_over(balancer: Balancer, ready: Callable[[Server], Awaitable[bool]], clock: Clock) -> None:
    """Leave a server that is not ready if another one is, until cancelled."""
    strikes = 0
    while True:
        await clock.sleep(PERIOD_S)
        server = balancer.in_use
        others = [other for other in balancer.known if other != server]
        if server is None or not others or await ready(server):
            strikes = 0
            continue
        strikes += 1
        if strikes < _STRIKES:
            continue
        for other in others:
            if await ready(other):
                log.warning("API server is not ready, another is server=%s other=%s", server, other)
                balancer.prefer(other)
                strikes = 0
                break


@contextlib.asynccontextmanager
async def asking(ca: Pem | None, clock: Clock) -> AsyncIterator[Callable[[Server], Awaitable[bool]]]:
    """A function that asks a server whether it is ready, as anybody may; its connections last as long as the block."""
    transports: dict[Server, HttpTransport] = {}

    async def ready(server: Server) -> bool:
        transport = transports.get(server) or transports.setdefault(server, HttpTransport(f"https://{server}", ca=ca))
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append((await transport.request("GET", "/readyz")).status)

        try:
            await within(clock, _PATIENCE_S, ask)
        except ConnectionError:
            return False
        # Who does not talk to strangers may be ready all the same.
        return bool(statuses) and statuses[0] in (200, 401, 403)

    try:
        yield ready
    finally:
        for transport in transports.values():
            await transport.close()
