"""What every kind can do: discovery, create, get, list, watch, patch, update, delete, deletecollection, and its subresources.

One walk for all of them (kinds.py says which), against an API server in the process: no container is needed for it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.conformance.kinds import WALKS, Walk
from tests.fakes.server import World, world

from steersman.apiserver.serving import ServingSettings
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, dig, name_of

VERBS = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
SELECTOR = "walk=yes"


class Walker:
    """The operations, one after the other, on one kind."""

    def __init__(self, world: World, walk: Walk) -> None:
        self.world, self.walk, self.client = world, walk, world.client
        self.resource = walk.resource
        self.namespace = "default" if self.resource.namespaced else ""

    async def create(self, number: int) -> Obj:
        meta: Obj = {"name": self.walk.name(number), "labels": {"walk": "yes"}}
        if self.namespace:
            meta["namespace"] = self.namespace
        head = {"apiVersion": self.resource.api_version, "kind": self.resource.kind, "metadata": meta}
        return await self.client.create(self.resource, {**head, **self.walk.body()})

    async def get(self, number: int, subresource: str = "") -> Obj:
        return await self.client.get(self.resource, self.walk.name(number), self.namespace, subresource=subresource)

    async def names(self, namespace: str) -> list[str]:
        found = await self.client.list(self.resource, namespace, label_selector=SELECTOR)
        return [name_of(item) for item in found["items"]]

    async def discovery(self) -> None:
        group, version, plural = self.resource.group, self.resource.version, self.resource.plural
        groups = await self.world.obj("GET", "/apis")
        assert group in [item["name"] for item in groups["groups"]]
        found = await self.world.obj("GET", f"/apis/{group}")
        assert f"{group}/{version}" in [item["groupVersion"] for item in found["versions"]]
        served = {item["name"]: item for item in (await self.world.obj("GET", f"/apis/{group}/{version}"))["resources"]}
        assert set(served[plural]["verbs"]) == VERBS
        assert (served[plural]["kind"], served[plural]["namespaced"]) == (self.resource.kind, self.resource.namespaced)
        for part in self.walk.parts:
            assert set(served[f"{plural}/{part}"]["verbs"]) == {"get", "patch", "update"}

    async def reading(self) -> str:
        """Create three, and find them; the version at which they are there."""
        made = [await self.create(number) for number in (1, 2, 3)]
        assert len({dig(obj, "metadata", "uid") for obj in made}) == 3
        assert dig(await self.get(1), "metadata", "uid") == dig(made[0], "metadata", "uid")
        for namespace in {"", self.namespace}:
            assert await self.names(namespace) == [self.walk.name(number) for number in (1, 2, 3)]
        found = await self.client.list(self.resource, self.namespace)
        return str(dig(found, "metadata", "resourceVersion"))

    async def writing(self) -> None:
        name = self.walk.name(1)
        patched = await self.client.patch(self.resource, name, {"metadata": {"annotations": {"patched": "true"}}}, self.namespace)
        assert patched["metadata"]["annotations"]["patched"] == "true"
        changed = await self.get(1)
        changed["metadata"]["annotations"]["updated"] = "true"
        updated = await self.client.update(self.resource, changed)
        assert updated["metadata"]["annotations"] == {"patched": "true", "updated": "true"}

    async def part(self, subresource: str, body: Obj) -> None:
        """Patch and update a subresource: what it owns is taken, and can be read there."""
        key = next(iter(body))
        patched = await self.client.patch(
            self.resource, self.walk.name(1), body, self.namespace, kind="merge", subresource=subresource
        )
        holds(patched[key], body[key])
        second = await self.get(2, subresource)
        second[key] = body[key]
        holds((await self.client.update(self.resource, second, subresource=subresource))[key], body[key])
        for number in (1, 2):
            holds((await self.get(number, subresource))[key], body[key])
            holds((await self.get(number))[key], body[key])

    async def deleting(self) -> None:
        await self.client.delete(self.resource, self.walk.name(1), self.namespace)
        with pytest.raises(NotFound):
            await self.get(1)
        assert await self.names(self.namespace) == [self.walk.name(number) for number in (2, 3)]
        await self.client.delete_collection(self.resource, self.namespace, label_selector=SELECTOR)
        assert await self.names(self.namespace) == []

    async def watched(self, start: str) -> None:
        """What has happened since, as a watch tells it."""
        events: list[tuple[str, str]] = []
        watch = self.client.watch(self.resource, self.namespace, resource_version=start, label_selector=SELECTOR, bookmarks=False)
        async for event in watch:
            events.append((event.type, name_of(event.object)))
            if len([kind for kind, _ in events if kind == "DELETED"]) == 3:
                break
        first, second, third = (self.walk.name(number) for number in (1, 2, 3))
        parts = [("MODIFIED", name) for _ in self.walk.parts for name in (first, second)]
        assert events[:-2] == [("MODIFIED", first), ("MODIFIED", first), *parts, ("DELETED", first)]
        assert set(events[-2:]) == {("DELETED", second), ("DELETED", third)}


def holds(found: Any, wanted: Any) -> None:
    """All that was written is there; the server may have added more."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            holds(found[key], value)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            holds(one, other)
    else:
        assert found == wanted


@pytest.mark.parametrize(
    "walk",
    [pytest.param(walk, id=walk.resource.plural, marks=pytest.mark.conformance(walk.codename)) for walk in WALKS],
)
def test_a_kind_supports_all_operations(walk: Walk) -> None:
    async def scenario() -> None:
        # Without the server's own writer of flow schemas' status, whose writes the watch would show too.
        async with world(serving=ServingSettings(priority_and_fairness=False)) as running:
            walker = Walker(running, walk)
            await walker.discovery()
            start = await walker.reading()
            await walker.writing()
            for subresource, body in walk.parts.items():
                await walker.part(subresource, body)
            await walker.deleting()
            await walker.watched(start)

    asyncio.run(scenario())
