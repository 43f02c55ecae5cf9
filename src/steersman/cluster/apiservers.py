"""Which API servers a joined node knows: the endpoints of Service default/kubernetes, followed, and kept in a file.

The file is for a node that starts while the server it joined by is gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from steersman.api.resources import ENDPOINT_SLICES
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.cluster.balancer import Balancer, Server
from steersman.cluster.settings import ClusterSettings, write_private
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)


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
