"""Several API servers over one store: nothing is given out twice, all of them are listed, and one does what one should do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.cluster import ADMIN, settings
from tests.fakes.etcd import START_S, members
from tests.fakes.server import config_map

from steersman.api.resources import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    NAMESPACES,
    RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from steersman.apiserver import compaction, local
from steersman.apiserver.run import APIServer
from steersman.client.rest import RestClient
from steersman.machinery.clock import Clock, RealClock, VirtualClock
from steersman.machinery.errors import StatusError, Unauthorized
from steersman.machinery.meta import Obj
from steersman.store.etcd import EtcdStore
from steersman.store.etcd_calls import TLS
from steersman.store.interface import Commit, Delete, Guard, Put, Store, Unavailable
from steersman.store.memory import MemoryStore


class Server:
    """One of them, in a task of its own."""

    def __init__(self, made: APIServer) -> None:
        self.made = made
        self.admin = RestClient(local.transport(made.pipeline.acting_as(ADMIN)), user_agent="tests")
        self.outside = local.transport(made.handler)
        self._end = asyncio.Event()
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        await self.made.start(listen=False)
        self.ready.set()
        try:
            await self._end.wait()
        finally:
            await self.made.stop()
            self.ended.set()

    async def stop(self) -> None:
        self._end.set()
        await self.ended.wait()


@asynccontextmanager
async def servers(directory: Path, stores: Sequence[Store], clock: Clock, **more: Any) -> AsyncIterator[list[Server]]:
    """One per store, started beside each other, with addresses 10.0.0.1, 10.0.0.2 …"""
    base = replace(settings(directory), **more)
    made = [
        Server(APIServer(replace(base, advertise_address=f"10.0.0.{number}"), store, clock))
        for number, store in enumerate(stores, 1)
    ]
    async with asyncio.TaskGroup() as group:
        for server in made:
            group.create_task(server.run())
        for server in made:
            await server.ready.wait()
        yield made
        for server in made:
            await server.stop()


@asynccontextmanager
async def over_memory(directory: Path, **more: Any) -> AsyncIterator[list[Server]]:
    clock = VirtualClock()
    store = MemoryStore(clock)
    async with servers(directory, (store, store), clock, **more) as made:
        yield made
    await store.close()


@asynccontextmanager
async def over_etcd(directory: Path, **more: Any) -> AsyncIterator[list[Server]]:
    (member,) = members(directory)
    member.start()
    clock = RealClock()
    try:
        stores = [await EtcdStore.open([member.url], TLS(), clock, patience_s=START_S) for _ in range(2)]
        async with servers(directory, stores, clock, **more) as made:
            yield made
        for store in stores:
            await store.close()
    finally:
        member.kill()


Over = Callable[..., Any]
both_stores = pytest.mark.parametrize("over", [over_memory, over_etcd], ids=["memory", "etcd"])


def run(scenario: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(scenario, 180)

    asyncio.run(limited())


def service(name: str, **spec: Any) -> Obj:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}], **spec}}


async def at_once(made: list[Server], count: int, what: Callable[[RestClient, int], Awaitable[Obj]]) -> list[Obj | StatusError]:
    """`what(client, number)` so many times, on all servers in turn, beside each other; the answers and the refusals."""
    answers: list[Obj | StatusError] = []

    async def one(number: int) -> None:
        try:
            answers.append(await what(made[number % len(made)].admin, number))
        except StatusError as refusal:
            answers.append(refusal)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    return answers


@both_stores
def test_no_address_and_no_node_port_is_given_out_twice(tmp_path: Path, over: Over) -> None:
    async def scenario() -> None:
        # 62 addresses, one is taken by `kubernetes`; 40 ports.
        async with over(tmp_path, service_cidr="10.96.0.0/26", node_port_range=(30000, 30039)) as made:
            answers = await at_once(made, 100, lambda client, number: client.create(SERVICES, service(f"s{number}"), "default"))
            given = [answer["spec"]["clusterIP"] for answer in answers if isinstance(answer, dict)]
            assert len(given) == len(set(given)) == 61
            assert all("range is full" in str(answer) for answer in answers if isinstance(answer, StatusError))
            for number in range(100):
                try:
                    await made[number % 2].admin.delete(SERVICES, f"s{number}", "default")
                except StatusError as missing:
                    assert missing.code == 404
            answers = await at_once(
                made, 50, lambda client, number: client.create(SERVICES, service(f"n{number}", type="NodePort"), "default")
            )
            ports = [answer["spec"]["ports"][0]["nodePort"] for answer in answers if isinstance(answer, dict)]
            assert len(ports) == len(set(ports)) == 40

    run(scenario())


@both_stores
def test_of_many_who_want_the_same_address_one_gets_it(tmp_path: Path, over: Over) -> None:
    async def scenario() -> None:
        async with over(tmp_path) as made:
            wanted = {"clusterIP": "10.96.0.77", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30077}]}
            answers = await at_once(
                made, 10, lambda client, number: client.create(SERVICES, service(f"s{number}", **wanted), "default")
            )
            assert sum(isinstance(answer, dict) for answer in answers) == 1
            assert all(answer.code == 422 for answer in answers if isinstance(answer, StatusError))

    run(scenario())


@both_stores
def test_a_quota_is_spent_once(tmp_path: Path, over: Over) -> None:
    async def scenario() -> None:
        async with over(tmp_path) as made:
            hard = {"configmaps": "25"}
            quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}}
            stored = await made[0].admin.create(RESOURCE_QUOTAS, quota, "default")
            stored["status"] = {"hard": hard, "used": {"configmaps": "0"}}
            await made[0].admin.update(RESOURCE_QUOTAS, stored, subresource="status")
            # Until both know of it.
            for server in made:
                assert (await server.admin.get(RESOURCE_QUOTAS, "q", "default"))["status"]["hard"] == hard
            answers = await at_once(
                made, 60, lambda client, number: client.create(CONFIG_MAPS, config_map(f"c{number}"), "default")
            )
            assert sum(isinstance(answer, dict) for answer in answers) == 25
            assert {answer.code for answer in answers if isinstance(answer, StatusError)} == {403}
            found = await made[1].admin.get(RESOURCE_QUOTAS, "q", "default")
            assert found["status"]["used"] == {"configmaps": "25"}

    run(scenario())


@both_stores
def test_servers_that_start_at_once_make_one_cluster(tmp_path: Path, over: Over) -> None:
    async def scenario() -> None:
        async with over(tmp_path) as made:
            for resource in (NAMESPACES, CLUSTER_ROLES, SERVICES):
                one, two = [await server.admin.list(resource) for server in made]
                assert one["items"] == two["items"] and one["items"]
            both = ["10.0.0.1", "10.0.0.2"]
            # Who was there first hears of the other a moment later.
            while await listed(made[0]) != (both, both):
                await made[0].made.clock.sleep(0)

    run(scenario())


async def addresses(server: Server) -> list[str]:
    """Where Service `kubernetes` leads; both lists must agree."""
    endpoints, slices = await listed(server)
    assert slices == endpoints
    return endpoints


async def listed(server: Server) -> tuple[list[str], list[str]]:
    """By its Endpoints and by its EndpointSlice, which are written one after the other."""
    endpoints = await server.admin.get(ENDPOINTS, "kubernetes", "default")
    slices = await server.admin.get(ENDPOINT_SLICES, "kubernetes", "default")
    (subset,) = endpoints["subsets"]
    found = [address["ip"] for address in subset["addresses"]]
    return found, [address for endpoint in slices["endpoints"] for address in endpoint["addresses"]]


class Cut:
    """The store as a server sees it that may be cut off."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.off = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, guards: Sequence[Guard], ops: Sequence[Put | Delete]) -> Commit:
        if self.off:
            raise Unavailable("cut off")
        return await self._store.commit(guards, ops)


def test_the_kubernetes_service_leads_to_those_that_live(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        store = MemoryStore(clock)
        second = Cut(store)
        async with servers(tmp_path, (store, second, store), clock) as (one, two, three):
            await clock.advance(0)
            assert await addresses(one) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
            await clock.advance(120)
            assert await addresses(one) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
            # One that ends says so, and is gone at once.
            await three.stop()
            await clock.advance(0)
            assert await addresses(one) == ["10.0.0.1", "10.0.0.2"]
            # One that dies is gone when its entry has run out; a moment later it is back.
            second.off = True
            await clock.advance(4)
            assert await addresses(one) == ["10.0.0.1", "10.0.0.2"]
            await clock.advance(21)
            assert await addresses(one) == ["10.0.0.1"]
            second.off = False
            await clock.advance(11)
            assert await addresses(one) == ["10.0.0.1", "10.0.0.2"]
            # What a person does to the list does not last.
            endpoints = await one.admin.get(ENDPOINTS, "kubernetes", "default")
            await one.admin.update(ENDPOINTS, {**endpoints, "subsets": []})
            await clock.advance(11)
            assert await addresses(two) == ["10.0.0.1", "10.0.0.2"]
            await two.stop()
            await one.stop()
        # The last one leaves its address behind.
        async with servers(tmp_path, (store,), clock, bind_address="127.0.0.1") as (again,):
            assert await addresses(again) == ["10.0.0.1"]
        await store.close()

    run(scenario())


def test_one_of_them_forgets_history_and_another_does_when_it_is_gone() -> None:
    class Counting(MemoryStore):
        compactions = 0

        async def compact(self, revision: int) -> None:
            self.compactions += 1
            await super().compact(revision)

    async def scenario() -> None:
        clock = VirtualClock()
        store = Counting(clock)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(compaction.run(store, clock))
            await clock.advance(100)
            second = group.create_task(compaction.run(store, clock))
            for expected in range(10):
                assert store.compactions == expected
                await clock.advance(compaction.INTERVAL_S)
            first.cancel()
            await clock.advance(3 * compaction.INTERVAL_S)
            assert 12 <= store.compactions <= 13
            second.cancel()
        await store.close()

    run(scenario())


def test_tokens_of_one_are_good_at_the_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with over_memory(tmp_path) as (one, two):
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
            await one.admin.create(SERVICE_ACCOUNTS, account, "default")
            asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
            made = await one.admin.create(SERVICE_ACCOUNTS, asked, "default", name="robot", subresource="token")
            headers = {"authorization": f"Bearer {made['status']['token']}"}
            path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
            body = b'{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}'
            answer = await two.outside.request("POST", path, headers={**headers, "content-type": "application/json"}, body=body)
            assert answer.status == 201 and b"system:serviceaccount:default:robot" in answer.body
            # Deleted here, refused there: within the ten seconds that a good token is remembered.
            await one.admin.delete(SERVICE_ACCOUNTS, "robot", "default")
            await two.made.clock.sleep(0)
            assert isinstance(two.made.clock, VirtualClock)
            await two.made.clock.advance(11)
            with pytest.raises(Unauthorized):
                client = RestClient(two.outside, user_agent="tests")
                await client.raw("POST", path, body=body, headers={**headers, "content-type": "application/json"})

    run(scenario())


@both_stores
def test_a_list_and_a_watch_go_on_at_another_server(tmp_path: Path, over: Over) -> None:
    async def scenario() -> None:
        async with over(tmp_path) as (one, two):
            for number in range(5):
                await one.admin.create(CONFIG_MAPS, config_map(f"c{number}"), "default")
            page = await one.admin.list(CONFIG_MAPS, "default", limit=2)
            # What comes after the first page is none of the list's business, wherever it is asked for.
            await two.admin.create(CONFIG_MAPS, config_map("a"), "default")
            rest = await two.admin.list(CONFIG_MAPS, "default", limit=2, continue_=page["metadata"]["continue"])
            last = await one.admin.list(CONFIG_MAPS, "default", limit=2, continue_=rest["metadata"]["continue"])
            names = [item["metadata"]["name"] for part in (page, rest, last) for item in part["items"]]
            assert names == [f"c{number}" for number in range(5)]
            assert rest["metadata"]["resourceVersion"] == page["metadata"]["resourceVersion"]
            seen = []
            version = page["metadata"]["resourceVersion"]
            await two.admin.delete(CONFIG_MAPS, "c0", "default")
            async for event in one.admin.watch(CONFIG_MAPS, "default", resource_version=version):
                seen.append((event.type, event.object["metadata"]["name"]))
                if len(seen) == 2:
                    break
            assert seen == [("ADDED", "a"), ("DELETED", "c0")]

    run(scenario())


def test_events_run_out_for_everybody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with over_memory(tmp_path, event_ttl_s=60) as (one, two):
            about = {"kind": "Pod", "name": "p", "namespace": "default"}
            event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": about}
            await one.admin.create(EVENTS, event, "default")
            assert len((await two.admin.list(EVENTS, "default"))["items"]) == 1
            assert isinstance(two.made.clock, VirtualClock)
            await two.made.clock.advance(61)
            for server in (one, two):
                assert (await server.admin.list(EVENTS, "default"))["items"] == []

    run(scenario())
