"""Keeps this node's routes to other nodes' pods as the Nodes say (network/overlay.py), until cancelled.

Nodes whose pods somebody else's CNI wires are left to that: it has its own way between nodes (network/cni.py).
"""

from __future__ import annotations

import asyncio
import logging

from steersman.api.resources import NODES
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import Clock
from steersman.network import cni, overlay

log = logging.getLogger(__name__)

_RETRY_S = 5.0
_SETTLE_S = 0.05


async def run(client: Client, paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    if settings.cni_conf_dir:
        return
    nodes = Informer(client, NODES, clock=clock)
    dirty = asyncio.Event()
    nodes.add_handler(lambda _old, _new: dirty.set())
    async with asyncio.TaskGroup() as group:
        group.create_task(nodes.run())
        await nodes.synced.wait()
        applied: overlay.Plan | None = None
        while True:
            await dirty.wait()
            dirty.clear()
            wanted = overlay.plan(nodes, settings.node_name)
            if wanted is None or wanted == applied:
                continue
            if settings.runtime == "containerd" and not cni.is_ours(paths.state / "network"):
                # Not decided yet, or somebody else's; that may change as well.
                dirty.set()
                await clock.sleep(_RETRY_S)
                continue
            try:
                await asyncio.to_thread(overlay.apply, wanted)
            except OSError as error:
                log.error("routes to other nodes not set retry_s=%.0f error=%s", _RETRY_S, error)
                dirty.set()
                await clock.sleep(_RETRY_S)
                continue
            log.info("routes to other nodes set peers=%s", ",".join(sorted(peer.address for peer in wanted.peers)) or "none")
            applied = wanted
            await clock.sleep(_SETTLE_S)
