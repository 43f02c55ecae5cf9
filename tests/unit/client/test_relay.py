"""One watch for many followers: each sees its own objects, as from a server of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from tests.fakes.server import World, config_map, pod, world

from steersman.api.resources import CONFIG_MAPS, PODS
from steersman.client.bounded import BoundedTransport
from steersman.client.impersonation import ImpersonatingTransport
from steersman.client.informer import Informer
from steersman.client.interface import Answer, StreamAnswer, Transport
from steersman.client.relay import Relay, RelayedClient
from steersman.client.rest import RestClient
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import name_of


@dataclass
class Noting:
    """A Transport that notes what goes through it."""

    base: Transport
    streams: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    at_once: int = 0
    most: int = 0

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        self.headers.append(headers or {})
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)
        answer = await self.base.request(method, target, headers=headers, body=body)
        self.at_once -= 1
        return answer

    def stream(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[StreamAnswer]:
        self.streams.append(target.partition("?")[0])
        self.headers.append(headers or {})
        return self.base.stream(method, target, headers=headers)

    async def close(self) -> None: ...


@dataclass
class Bench:
    here: World
    noting: Noting
    relay: Relay
    group: asyncio.TaskGroup

    def follow(self, resource: Resource, field_selector: str, namespace: str = "") -> tuple[Informer, asyncio.Task[None]]:
        client = RelayedClient(self.here.transport, self.relay, user_agent="follower")
        informer = Informer(client, resource, clock=self.here.clock, namespace=namespace, field_selector=field_selector)
        return informer, self.group.create_task(informer.run())

    async def settle(self) -> None:
        await self.here.clock.advance(0.1, settle_turns=300)

    async def pod(self, name: str, node: str = "") -> None:
        await self.here.client.create(PODS, pod(name))
        if node:
            await self.bind(name, node)

    async def bind(self, name: str, node: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        await self.here.client.create(PODS, body, "default", name=name, subresource="binding")


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    async with world() as here, asyncio.TaskGroup() as group:
        noting = Noting(here.transport)
        yield Bench(here, noting, Relay(RestClient(noting), here.clock, group), group)


def names(informer: Informer) -> set[str]:
    return {name_of(obj) for obj in informer}


def test_each_follower_sees_its_own_pods_and_all_share_one_watch() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.pod("before", "n1")
            (first, one), (second, two) = b.follow(PODS, "spec.nodeName=n1"), b.follow(PODS, "spec.nodeName=n2")
            await b.settle()
            assert (names(first), names(second)) == ({"before"}, set())
            assert first.synced.is_set() and second.synced.is_set()
            await b.pod("after")
            await b.settle()
            assert (names(first), names(second)) == ({"before"}, set())
            await b.bind("after", "n2")
            await b.here.client.patch(PODS, "before", {"metadata": {"labels": {"a": "b"}}}, "default")
            await b.settle()
            assert (names(first), names(second)) == ({"before"}, {"after"})
            assert first.list()[0]["metadata"]["labels"] == {"a": "b"}
            await b.here.client.delete(PODS, "before", "default", grace_period_s=0)
            await b.settle()
            assert names(first) == set()
            assert b.noting.streams == ["/api/v1/pods"]
            one.cancel()
            await b.settle()
            late, three = b.follow(PODS, "spec.nodeName=n2")
            await b.settle()
            assert names(late) == {"after"} and b.noting.streams == ["/api/v1/pods"]
            two.cancel()
            three.cancel()

    asyncio.run(scenario())


def test_those_who_ask_for_the_same_share_it_until_the_last_one_leaves() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await b.here.client.create(CONFIG_MAPS, config_map("mine"))
            await b.here.client.create(CONFIG_MAPS, config_map("other"))
            selection = (CONFIG_MAPS, "metadata.name=mine", "default")
            (first, one), (second, two) = b.follow(*selection), b.follow(*selection)
            await b.settle()
            assert names(first) == names(second) == {"mine"}
            assert len(b.noting.streams) == 1
            one.cancel()
            two.cancel()
            await b.settle()
            third, three = b.follow(*selection)
            await b.settle()
            assert names(third) == {"mine"} and len(b.noting.streams) == 2
            three.cancel()

    asyncio.run(scenario())


def test_a_transport_speaks_for_others_and_takes_turns() -> None:
    async def scenario() -> None:
        async with world() as here:
            noting = Noting(here.transport)
            acting = RestClient(ImpersonatingTransport(BoundedTransport(noting, 3), "system:node:n1", "system:nodes"))
            await asyncio.gather(*(acting.list(PODS, "default") for _ in range(10)))
            assert noting.most == 3
            assert {(each["Impersonate-User"], each["Impersonate-Group"]) for each in noting.headers} == {
                ("system:node:n1", "system:nodes")
            }

    asyncio.run(scenario())
