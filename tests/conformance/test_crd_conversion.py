"""[sig-api-machinery] CustomResourceConversionWebhook and CustomResourceFieldSelectors: versions that a webhook converts.

The webhook is at a URL here, not at a Service, so that an API server in the process is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.crds import convert_host_and_port, define, host_and_port, instance, resource
from tests.fakes.server import World, world
from tests.fakes.webhook import Hook, webhook

from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of

CONVERSION = "[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin]"
SELECTORS = "[sig-api-machinery] CustomResourceFieldSelectors [Privileged:ClusterAdmin] CustomResourceFieldSelectors"
SPACE = "default"
_PATIENCE_S = 120
"""In real time: the webhook answers over sockets."""

Scenario = Callable[[World, Hook], Awaitable[None]]


def run(directory: Path, scenario: Scenario) -> None:
    async def main() -> None:
        async with webhook(directory, convert_host_and_port) as hook, world() as running:
            await scenario(running, hook)

    asyncio.run(main())


async def eventually(w: World, holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(200):
        if await holds():
            return
        await w.clock.advance(0.05)
    raise AssertionError("it never came true")


def v2(obj: Obj) -> tuple[str, Any, Any, Any]:
    return obj["apiVersion"], obj.get("host"), obj.get("port"), obj.get("hostPort")


@pytest.mark.conformance(f"{CONVERSION} should be able to convert from CR v1 to CR v2 [Conformance]")
def test_what_is_created_in_one_version_is_read_in_another(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook) -> None:
        made = await define(w, host_and_port(hook=hook.config))
        first, second = resource(made, "v1"), resource(made, "v2")
        await w.client.create(first, instance(made, "a", "v1", hostPort="localhost:8080"), SPACE)
        assert v2(await w.client.get(second, "a", SPACE)) == (second.api_version, "localhost", "8080", None)

    run(tmp_path, scenario)


@pytest.mark.conformance(f"{CONVERSION} should be able to convert a non homogeneous list of CRs [Conformance]")
def test_what_was_stored_in_several_versions_is_listed_in_each(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook) -> None:
        wanted = host_and_port(hook=hook.config)
        made = await define(w, wanted)
        first, second = resource(made, "v1"), resource(made, "v2")
        await w.client.create(first, instance(made, "a", "v1", hostPort="localhost:8080"), SPACE)
        versions = [{**version, "storage": version["name"] == "v2"} for version in made["spec"]["versions"]]
        changed = await w.client.get(CUSTOM_RESOURCE_DEFINITIONS, name_of(made))
        changed["spec"]["versions"] = versions
        await w.client.update(CUSTOM_RESOURCE_DEFINITIONS, changed)
        stored: list[str] = []

        async def is_stored_as_v2() -> bool:
            name = f"b{len(stored)}"
            await w.client.create(first, instance(made, name, "v1", hostPort="localhost:8080"), SPACE)
            found = await w.store.range(f"/registry/{first.group}/{first.plural}/{SPACE}/{name}")
            stored.append(found.entries[0].value.decode())
            return '"host":"localhost"' in stored[-1]

        await eventually(w, is_stored_as_v2)
        listed = (await w.client.list(second, SPACE))["items"]
        assert [v2(item) for item in listed] == [(second.api_version, "localhost", "8080", None)] * (len(stored) + 1)
        listed = (await w.client.list(first, SPACE))["items"]
        assert {(item["apiVersion"], item["hostPort"], item.get("host")) for item in listed} == {
            (first.api_version, "localhost:8080", None)
        }

    run(tmp_path, scenario)


class Seen:
    """What watches with different selectors have told."""

    def __init__(self, w: World, tasks: asyncio.TaskGroup) -> None:
        self._world, self._tasks = w, tasks
        self.events: dict[str, list[tuple[str, str]]] = {}
        self._running: list[asyncio.Task[None]] = []
        self._told = asyncio.Condition()

    def watch(self, kind: Resource, selector: str) -> str:
        mark = f"{kind.version} {selector}"
        self.events[mark] = []
        self._running.append(self._tasks.create_task(self._follow(kind, selector, self.events[mark])))
        return mark

    async def _follow(self, kind: Resource, selector: str, events: list[tuple[str, str]]) -> None:
        async for event in self._world.client.watch(kind, SPACE, field_selector=selector, bookmarks=False):
            async with self._told:
                events.append((event.type, name_of(event.object)))
                self._told.notify_all()

    async def become(self, wanted: dict[str, list[tuple[str, str]]]) -> None:
        def same() -> bool:
            return {mark: sorted(events) for mark, events in self.events.items()} == wanted

        try:
            async with asyncio.timeout(_PATIENCE_S), self._told:
                await self._told.wait_for(same)
        except TimeoutError:
            raise AssertionError(f"watches told {self.events}") from None

    def end(self) -> None:
        for task in self._running:
            task.cancel()


@pytest.mark.conformance(f"{SELECTORS} MUST list and watch custom resources matching the field selector [Conformance]")
def test_custom_resources_are_selected_by_fields_in_every_version(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook) -> None:
        made = await define(w, host_and_port(hook=hook.config, selectable=True))
        first, second = resource(made, "v1"), resource(made, "v2")

        async def names(kind: Resource, selector: str) -> list[str]:
            return [name_of(item) for item in (await w.client.list(kind, SPACE, field_selector=selector))["items"]]

        async with asyncio.TaskGroup() as tasks:
            seen = Seen(w, tasks)
            host, port, both = (
                seen.watch(second, "host=host1"),
                seen.watch(second, "host=host1,port=80"),
                seen.watch(first, "hostPort=host1:80"),
            )
            for name, fields in (
                ("a", {"host": "host1", "port": "80"}),
                ("b", {"host": "host1", "port": "8080"}),
                ("c", {"host": "host2"}),
            ):
                await w.client.create(second, instance(made, name, "v2", **fields), SPACE)
            assert await names(second, "host=host1") == ["a", "b"]
            assert await names(second, "host=host1,port=80") == ["a"]
            assert await names(first, "hostPort=host1:80") == ["a"]
            assert await names(first, "hostPort=host1:8080") == ["b"]
            added = {host: [("ADDED", "a"), ("ADDED", "b")], port: [("ADDED", "a")], both: [("ADDED", "a")]}
            await seen.become(added)
            await w.client.raw("DELETE", f"{second.path(SPACE)}?fieldSelector=host%3Dhost1%2Cport%3D80")
            changed = await w.client.get(second, "b", SPACE)
            changed["host"] = "host2"
            await w.client.update(second, changed)
            assert await names(second, "host=host1") == []
            assert await names(second, "host=host1,port=80") == []
            gone = {"a": ("DELETED", "a"), "b": ("DELETED", "b")}
            await seen.become(
                {host: [*added[host], *gone.values()], port: [*added[port], gone["a"]], both: [*added[both], gone["a"]]}
            )
            seen.end()

    run(tmp_path, scenario)
