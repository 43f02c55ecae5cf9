"""Informers and the controller runtime against our API server: real versions, watches, deletions and patches."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

import pytest
from tests.fakes.server import World, world

from steersman.api.resources import CONFIG_MAPS, SECRETS
from steersman.client import discovery
from steersman.client.events import EventRecorder
from steersman.client.informer import Informer
from steersman.loop import runner
from steersman.loop.spec import ControllerSpec, Create, Decision, Delete, Snapshot, Watch
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, key_of


def config_map(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


async def settle(here: World) -> None:
    await here.clock.advance(0.1, settle_turns=400)


def test_an_informer_follows_the_server_and_selectors() -> None:
    async def scenario() -> None:
        async with world() as here, asyncio.TaskGroup() as group:
            await here.client.create(CONFIG_MAPS, config_map("early"))
            informer = Informer(here.client, CONFIG_MAPS, clock=here.clock, namespace="default")
            only = Informer(here.client, CONFIG_MAPS, clock=here.clock, field_selector="metadata.name=late")
            metadata = Informer(here.client.metadata_only(), CONFIG_MAPS, clock=here.clock)
            tasks = [group.create_task(item.run()) for item in (informer, only, metadata)]
            await settle(here)
            late = await here.client.create(CONFIG_MAPS, config_map("late", a="1"))
            await informer.wait_for(int(late["metadata"]["resourceVersion"]))
            await here.client.delete(CONFIG_MAPS, "early", "default")
            await settle(here)
            assert [obj["metadata"]["name"] for obj in informer.list("default")] == ["late"]
            assert [obj["metadata"]["name"] for obj in only.list()] == ["late"]
            assert (informer.get("default", "late") or {})["kind"] == "ConfigMap"
            assert "data" not in (metadata.get("default", "late") or {"data": {}})
            for task in tasks:
                task.cancel()

    asyncio.run(scenario())


def mirror(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    """A Secret for every ConfigMap."""
    secret, wanted = snapshot.get(SECRETS, *key), snapshot.get(CONFIG_MAPS, *key)
    if wanted is not None and secret is None:
        metadata = {"namespace": key[0], "name": key[1]}
        return Decision([Create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata})])
    if wanted is None and secret is not None:
        return Decision([Delete(SECRETS, *key, uid=secret["metadata"]["uid"])])
    return Decision()


def test_a_controller_keeps_what_it_owns_in_step() -> None:
    async def scenario() -> None:
        spec = ControllerSpec(
            name="mirror",
            watches=(
                Watch(CONFIG_MAPS, keys=lambda obj: [key_of(obj)]),
                Watch(SECRETS, keys=lambda obj: [key_of(obj)]),
            ),
            reconcile=mirror,
        )
        async with world() as here, asyncio.TaskGroup() as group:
            recorder = EventRecorder(here.client, "mirror", "", here.clock)
            running = group.create_task(runner.run(here.client, [spec], here.clock, recorder=recorder))
            for number in range(20):
                await here.client.create(CONFIG_MAPS, config_map(f"c{number}"))
            await settle(here)
            assert len((await here.client.list(SECRETS, "default"))["items"]) == 20
            await here.client.delete(SECRETS, "c3", "default")
            for number in range(10, 20):
                await here.client.delete(CONFIG_MAPS, f"c{number}", "default")
            await settle(here)
            left = {item["metadata"]["name"] for item in (await here.client.list(SECRETS, "default"))["items"]}
            assert left == {f"c{number}" for number in range(10)}
            running.cancel()

    asyncio.run(scenario())


def test_discovery_lists_what_the_server_serves() -> None:
    async def scenario() -> None:
        async with world() as here:
            found = {item.resource.qualified: item for item in await discovery.discover(here.client)}
            assert (found["pods"].resource.kind, found["pods"].short_names) == ("Pod", ("po",))
            assert "deployments.apps" in {resource.qualified for resource in await discovery.listable(here.client)}

    asyncio.run(scenario())


def test_a_controller_of_a_kind_that_is_not_served_waits_quietly_and_keeps_nobody_from_working(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        boats = Resource("example.com", "v1", "boats", kind="Boat")
        waiting = ControllerSpec(
            name="boats", watches=(Watch(boats), Watch(CONFIG_MAPS, keys=lambda o: [key_of(o)])), reconcile=mirror
        )
        working = ControllerSpec(
            name="mirror", watches=(Watch(CONFIG_MAPS, keys=lambda o: [key_of(o)]), Watch(SECRETS)), reconcile=mirror
        )
        async with world() as here, asyncio.TaskGroup() as group:
            recorder = EventRecorder(here.client, "test", "", here.clock)
            running = group.create_task(runner.run(here.client, [waiting, working], here.clock, recorder=recorder))
            await settle(here)
            await here.client.create(CONFIG_MAPS, config_map("a"))
            await settle(here)
            assert (await here.client.get(SECRETS, "a", "default"))["metadata"]["name"] == "a"
            await here.clock.advance(300, settle_turns=50)
            running.cancel()

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    told = [record.getMessage() for record in caplog.records if "boats" in record.getMessage()]
    assert told == ["not served, waiting for it resource=boats.example.com"]
