"""Addresses of Services through the server: their IPAddresses, further ServiceCIDRs, and what repairs both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.fakes.cluster import Cluster, cluster

from steersman.api.resources import IP_ADDRESSES, SERVICE_CIDRS, SERVICES
from steersman.apiserver.hooks import service_repair
from steersman.machinery.errors import Invalid, NotFound
from steersman.machinery.meta import Obj, name_of


def run(directory: Path, scenario: Callable[[Cluster], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with cluster(directory) as made:
            await scenario(made)

    asyncio.run(whole())


async def make(made: Cluster, name: str, **spec: object) -> str:
    body: Obj = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}
    return str((await made.admin.create(SERVICES, body, "default"))["spec"]["clusterIP"])


async def addresses(made: Cluster) -> dict[str, str]:
    """Address -> its Service."""
    found = (await made.admin.list(IP_ADDRESSES))["items"]
    return {name_of(item): item["spec"]["parentRef"]["name"] for item in found}


def test_every_cluster_ip_has_its_object_as_long_as_its_service(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        address = await make(made, "web")
        assert await addresses(made) == {"10.96.0.1": "kubernetes", address: "web"}
        await made.admin.delete(SERVICES, "web", "default")
        assert await addresses(made) == {"10.96.0.1": "kubernetes"}

    run(tmp_path, scenario)


def test_an_address_that_somebody_keeps_is_not_given_out(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        parent = {"group": "gateway.networking.k8s.io", "resource": "gateways", "namespace": "default", "name": "g"}
        kept = {"metadata": {"name": "10.96.0.99"}, "spec": {"parentRef": parent}}
        await made.admin.create(IP_ADDRESSES, {"apiVersion": IP_ADDRESSES.api_version, "kind": "IPAddress", **kept})
        with pytest.raises(Invalid, match="provided IP is already allocated"):
            await make(made, "web", clusterIP="10.96.0.99")

    run(tmp_path, scenario)


def test_a_service_cidr_gives_addresses_until_it_goes(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        body = {"apiVersion": SERVICE_CIDRS.api_version, "kind": "ServiceCIDR", "metadata": {"name": "more"}}
        await made.admin.create(SERVICE_CIDRS, {**body, "spec": {"cidrs": ["10.9.0.0/24"]}})
        assert await make(made, "web", clusterIP="10.9.0.7") == "10.9.0.7"
        await made.admin.delete(SERVICE_CIDRS, "more")
        with pytest.raises(Invalid, match="the provided network does not match the current range"):
            await make(made, "other", clusterIP="10.9.0.8")

    run(tmp_path, scenario)


def test_what_people_take_away_is_repaired(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        address = await make(made, "web")
        await made.admin.delete(IP_ADDRESSES, address)
        stray = (await made.admin.get(IP_ADDRESSES, "10.96.0.1")) | {"metadata": {"name": "10.96.0.77", "labels": {
            "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}}}  # fmt: skip
        await made.admin.create(IP_ADDRESSES, stray)
        lister = made.server.registry.lister
        await service_repair.repair(made.store, lister, made.clock.now())
        assert await addresses(made) == {"10.96.0.1": "kubernetes", address: "web", "10.96.0.77": "kubernetes"}
        await made.clock.advance(61)
        await service_repair.repair(made.store, lister, made.clock.now())
        assert await addresses(made) == {"10.96.0.1": "kubernetes", address: "web"}
        before = await made.store.progress()
        await service_repair.repair(made.store, lister, made.clock.now())
        assert await made.store.progress() == before

    run(tmp_path, scenario)


def test_the_server_repairs_by_itself_from_time_to_time(tmp_path: Path) -> None:
    async def scenario(made: Cluster) -> None:
        await made.admin.delete(IP_ADDRESSES, "10.96.0.1")
        with pytest.raises(NotFound):
            await made.admin.get(IP_ADDRESSES, "10.96.0.1")
        await made.clock.advance(service_repair.INTERVAL_S + 1)
        assert await addresses(made) == {"10.96.0.1": "kubernetes"}

    run(tmp_path, scenario)
