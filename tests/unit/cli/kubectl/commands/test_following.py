"""What waits for an object to change, over a server that has forgotten when it was written, or that changes it just then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from tests.fakes.server import World, config_map, pod, world
from tests.unit.cli.kubectl.commands.line import Ran, ran

from steersman.api.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from steersman.client.interface import Answer, StreamAnswer, Transport

_ENOUGH = 30


class Counting:
    """A transport that ends whoever asks again and again, and does something before the first watch."""

    def __init__(self, inner: Transport, before_watch: Callable[[], Awaitable[None]] | None = None) -> None:
        self._inner, self._before_watch = inner, before_watch
        self.requests = 0

    def _count(self) -> None:
        self.requests += 1
        assert self.requests < _ENOUGH, "asks again and again"

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        self._count()
        return await self._inner.request(method, target, headers=headers, body=body)

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[StreamAnswer]:
        self._count()
        if self._before_watch is not None:
            before, self._before_watch = self._before_watch, None
            await before()
        async with self._inner.stream(method, target, headers=headers) as answer:
            yield answer

    async def close(self) -> None:
        await self._inner.close()


async def forgotten(w: World) -> None:
    """The changes up to now, all objects included that have not changed since."""
    await w.client.create(CONFIG_MAPS, config_map("later"))
    await w.server.feed.settle()
    for cache in w.server.feed.caches:
        cache.load((await w.store.range(cache.form.prefix)).entries, w.server.feed.revision)


async def make_ready(w: World) -> None:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await w.client.patch(PODS, "web", {"status": status}, "default", subresource="status")


async def roll_out(w: World) -> None:
    done = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    await w.client.patch(DEPLOYMENTS, "web", {"status": done}, "default", subresource="status")


async def delete(w: World) -> None:
    await w.client.delete(PODS, "web", "default", grace_period_s=0)


ROLLED_OUT = 'Waiting for deployment spec update to be observed...\ndeployment "web" successfully rolled out\n'


@pytest.mark.parametrize(
    ("line", "change", "told"),
    [
        ("wait pod/web --for=condition=Ready", make_ready, "pod/web condition met\n"),
        ("wait pod/web --for=delete", delete, "pod/web condition met\n"),
        ("rollout status deploy/web", roll_out, ROLLED_OUT),
    ],
    ids=["condition", "deletion", "rollout"],
)
def test_an_object_that_has_not_changed_for_long_is_waited_for_and_not_asked_for_again_and_again(
    line: str, change: Callable[[World], Awaitable[None]], told: str
) -> None:
    async def scenario() -> Ran:
        async with world() as w:
            await w.client.create(PODS, pod())
            labels = {"app": "web"}
            template = {"metadata": {"labels": labels}, "spec": pod()["spec"]}
            spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
            meta = {"name": "web", "namespace": "default"}
            deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
            await w.client.create(DEPLOYMENTS, deployment)
            await forgotten(w)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(ran(line, transport=Counting(w.transport), clock=w.clock))
                await w.clock.advance(0.1)
                await change(w)
            return waiting.result()

    assert asyncio.run(scenario()) == (0, told, "")


@pytest.mark.parametrize("line", ["get configmap settings -w --no-headers", "get configmap settings -w -o name"])
def test_a_watch_of_one_object_shows_what_changed_between_the_first_look_and_the_watch(line: str) -> None:
    async def scenario() -> Ran:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, config_map())

            async def change() -> None:
                await w.client.patch(CONFIG_MAPS, "settings", {"data": {"a": "1"}}, "default")
                await w.server.feed.settle()

            async with asyncio.TaskGroup() as group:
                watching = group.create_task(ran(line, transport=Counting(w.transport, change), clock=w.clock))
                await w.clock.advance(0.1)
                for cache in w.server.feed.caches:
                    cache.end_watches()
            return watching.result()

    told = asyncio.run(scenario())
    assert (told.code, told.err, told.out.count("settings")) == (0, "", 2)


def test_a_watch_of_one_object_shows_it_once_if_nothing_changes() -> None:
    async def scenario() -> Ran:
        async with world() as w:
            await w.client.create(CONFIG_MAPS, config_map())
            async with asyncio.TaskGroup() as group:
                line = "get configmap settings -w --no-headers"
                watching = group.create_task(ran(line, transport=Counting(w.transport), clock=w.clock))
                await w.clock.advance(0.1)
                for cache in w.server.feed.caches:
                    cache.end_watches()
            return watching.result()

    assert asyncio.run(scenario()).out.count("settings") == 1
