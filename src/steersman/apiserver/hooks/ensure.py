"""Make missing objects: one LIST, then creates side by side (they share the store's group commits)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from steersman.client.interface import Client
from steersman.machinery.errors import AlreadyExists, Conflict
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, key_of

Merge = Callable[[Obj, Obj], bool]
"""merge(found, wanted): brings `found` up to date in place; True if it had to be changed."""


async def ensure(
    client: Client, resource: Resource, wanted: Sequence[Obj], *, merge: Merge | None = None, label_selector: str = ""
) -> None:
    """Create what is missing, update what `merge` changes. An object that the selector hides counts as missing, and is kept."""
    namespaces = {key_of(obj)[0] for obj in wanted}
    namespace = namespaces.pop() if len(namespaces) == 1 else ""
    listed = await client.list(resource, namespace, label_selector=label_selector)
    found = {key_of(item): item for item in listed["items"]}
    async with asyncio.TaskGroup() as group:
        for obj in wanted:
            existing = found.get(key_of(obj))
            if existing is None:
                group.create_task(_quietly(client.create(resource, obj)))
            elif merge is not None and merge(existing, obj):
                # Items of a list don't carry their own kind.
                existing |= {"apiVersion": resource.api_version, "kind": resource.kind}
                group.create_task(_quietly(client.update(resource, existing)))


async def _quietly(write: Awaitable[Obj]) -> None:
    """Another API server that starts at the same time may have been faster: what it wrote will do."""
    try:
        await write
    except (AlreadyExists, Conflict):
        return
