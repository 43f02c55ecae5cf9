"""What a start finds: records of an earlier life of this runtime, and things half made when it was killed.

Containers and pause processes that live are taken over; ends that were missed are written down; whatever no record names is
swept away.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace

from steersman.cri.messages import ContainerState, SandboxState
from steersman.cri.native import linux, procs
from steersman.cri.native.containers import Containers
from steersman.cri.native.files import remove_tree
from steersman.cri.native.namespaces import release_netns
from steersman.cri.native.records import ContainerRecord
from steersman.cri.native.sandboxes import Sandboxes
from steersman.cri.native.threads import off_loop

log = logging.getLogger(__name__)


async def recover(sandboxes: Sandboxes, containers: Containers, boot_id: str) -> None:
    """Bring records and machine together. Call once, before anything else is asked of the runtime."""
    broken_sandboxes = sandboxes.records.load()
    broken_containers = containers.records.load()
    for sandbox in list(sandboxes.records.known.values()):
        if sandbox.state is SandboxState.READY:
            if sandbox.boot_id == boot_id and procs.alive(sandbox.pause):
                sandboxes.watch(sandbox)
            else:
                sandboxes.records.save(replace(sandbox, state=SandboxState.NOT_READY))
    for record in list(containers.records.known.values()):
        await _recover_container(containers, record, boot_id)
    for identity in broken_containers:
        await off_loop(remove_tree, containers.maker.layout.container(identity))
    await _sweep(sandboxes, containers)
    for identity in broken_sandboxes:
        while linux.umount(sandboxes.layout.shm(identity)):
            pass
        await off_loop(remove_tree, sandboxes.layout.sandbox(identity))


async def _recover_container(containers: Containers, record: ContainerRecord, boot_id: str) -> None:
    if record.boot_id != boot_id and record.state in (ContainerState.RUNNING, ContainerState.CREATED):
        await containers.abandon(record, "the machine was restarted")
    elif record.state is ContainerState.RUNNING:
        await containers.ended(record.id)
        if containers.get(record.id).state is ContainerState.RUNNING:
            containers.watch(record)
    elif record.starting:
        await containers.resume(record)
    elif record.state is ContainerState.EXITED and not record.released:
        await containers.abandon(record, "")


async def _sweep(sandboxes: Sandboxes, containers: Containers) -> None:
    """Remove bundles, snapshots, runtime state and network namespaces without a record."""
    layout, maker = sandboxes.layout, containers.maker
    known = containers.records.known
    snapshots = f"{maker.snapshots.root}/snapshots"
    places = [layout.bundles, layout.runtime_state, layout.exits, *([snapshots] if os.path.isdir(snapshots) else [])]
    strays = {name for place in places for name in os.listdir(place) if name not in known}
    for identity in strays:
        log.info("removing what is left of a container id=%s", identity)
        await containers.oci.end(identity)
        await off_loop(maker.discard, identity)
    for identity in os.listdir(layout.netns_dir):
        if identity not in sandboxes.records.known:
            await off_loop(release_netns, layout.netns(identity))
