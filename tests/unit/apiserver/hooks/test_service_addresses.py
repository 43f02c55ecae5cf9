"""Cluster IPs and node ports: what is given out, kept, refused and given back; and never twice."""

from __future__ import annotations

import asyncio
import copy
import ipaddress
import random
from typing import Any

import orjson
import pytest
from tests.fakes.listers import FakeListers

from steersman.api.resources import SERVICE_CIDRS
from steersman.apiserver.hooks.service_addresses import ServiceAddresses
from steersman.apiserver.hooks.service_ranges import ready_cidrs
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import InternalError, Invalid
from steersman.machinery.meta import Obj
from steersman.store.memory import MemoryStore

IPS, PORTS = "/registry/networking.k8s.io/ipaddresses/", "/registry/ranges/servicenodeports/"


def service(name: str = "web", *, ports: list[Obj] | None = None, **spec: Any) -> Obj:
    ports = [{"port": 80, "protocol": "TCP"}] if ports is None else ports
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"type": "ClusterIP", "ports": ports, **spec}}


class Pool:
    """A hook over a store of its own, and writes that commit what it asks for."""

    def __init__(self, cidr: str = "10.0.0.0/24", node_ports: tuple[int, int] = (30000, 32767)) -> None:
        clock = VirtualClock()
        self.store = MemoryStore(clock)
        self.cidrs = FakeListers()
        self.hook = ServiceAddresses(
            self.store, cidr, node_ports, clock, self.cidrs(SERVICE_CIDRS), rng=random.Random(1)
        )  # fmt: skip

    def add(self, name: str, *cidrs: str) -> None:
        """A range that the caches do not know yet."""
        self.cidrs.late.append((SERVICE_CIDRS, {"metadata": {"name": name}, "spec": {"cidrs": list(cidrs)}}))

    async def write(self, new: Obj | None, old: Obj | None = None, *, dry_run: bool = False) -> Obj:
        """What would be stored. Commits until the guards hold, as the server does."""
        while True:
            wanted = copy.deepcopy(new)
            guards, ops = await self.hook.prepare(wanted, copy.deepcopy(old), dry_run=dry_run)
            if (await self.store.commit(guards, ops)).ok:
                return wanted or {}

    async def held(self) -> list[str]:
        ranges = [await self.store.range(prefix) for prefix in (IPS, PORTS)]
        return [entry.key.replace(IPS, "").replace(PORTS, "") for found in ranges for entry in found.entries]


def refusal(pool: Pool, new: Obj, old: Obj | None = None) -> str:
    with pytest.raises((Invalid, InternalError)) as caught:
        asyncio.run(pool.write(new, old))
    return caught.value.message.partition(" is invalid: ")[2] or caught.value.message


def test_addresses_come_from_the_upper_band_and_are_given_back() -> None:
    async def scenario() -> None:
        pool = Pool()
        made = [await pool.write(service(f"s{number}")) for number in range(30)]
        addresses = [obj["spec"]["clusterIP"] for obj in made]
        assert len(set(addresses)) == 30
        assert min(int(ipaddress.IPv4Address(text)) for text in addresses) > int(ipaddress.IPv4Address("10.0.0.16"))
        assert all(obj["spec"]["clusterIPs"] == [obj["spec"]["clusterIP"]] for obj in made)
        spec = made[0]["spec"]
        assert (spec["ipFamilies"], spec["ipFamilyPolicy"], spec["internalTrafficPolicy"]) == (["IPv4"], "SingleStack", "Cluster")
        for obj in made:
            await pool.write(None, obj)
        assert await pool.held() == []

    asyncio.run(scenario())


def test_a_full_range_says_so_after_giving_out_its_lower_band_as_well() -> None:
    async def scenario() -> None:
        pool = Pool("10.0.0.0/28")
        made = [await pool.write(service(f"s{number}")) for number in range(14)]
        assert len({obj["spec"]["clusterIP"] for obj in made}) == 14
        with pytest.raises(InternalError) as caught:
            await pool.write(service("late"))
        assert caught.value.message.endswith('failed to allocate a serviceIP for Service "late": range is full')
        await pool.write(None, made[3])
        assert (await pool.write(service("late")))["spec"]["clusterIP"] == made[3]["spec"]["clusterIP"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("10.0.0.5", "provided IP is already allocated"),
        ("10.0.0.0", "the provided IP (10.0.0.0) is not in the valid range. The range of valid IPs is 10.0.0.0/24"),
        ("10.0.0.255", "the provided IP (10.0.0.255) is not in the valid range. The range of valid IPs is 10.0.0.0/24"),
        ("10.0.1.1", "the provided network does not match the current range"),
    ],
)
def test_an_address_that_cannot_be_had_is_refused(address: str, why: str) -> None:
    pool = Pool()
    asyncio.run(pool.write(service("first", clusterIP="10.0.0.5")))
    text = f'spec.clusterIPs: Invalid value: ["{address}"]: failed to allocate IP {address}: {why}'
    assert refusal(pool, service(clusterIP=address)) == text


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("10.0.0.011", "must not have leading 0s"),
        ("nonsense", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ],
)
def test_what_is_no_address_is_refused_as_validation_does(address: str, why: str) -> None:
    assert refusal(Pool(), service(clusterIP=address)) == f'spec.clusterIPs[0]: Invalid value: "{address}": {why}'


def test_an_address_is_held_by_an_object_that_names_its_service() -> None:
    async def scenario() -> None:
        pool = Pool()
        address = (await pool.write(service("web")))["spec"]["clusterIP"]
        entry, _ = await pool.store.get(IPS + address)
        assert entry is not None
        held = orjson.loads(entry.value)
        assert held["spec"] == {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}
        assert (held["kind"], held["apiVersion"], held["metadata"]["name"]) == ("IPAddress", "networking.k8s.io/v1", address)
        assert held["metadata"]["labels"] == {
            "ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        }  # fmt: skip

    asyncio.run(scenario())


def test_further_ranges_are_used_when_the_first_is_full_and_when_asked_for() -> None:
    async def scenario() -> None:
        pool = Pool("10.0.0.0/30")
        pool.add("a", "10.0.0.0/30")
        pool.add("b", "10.9.0.0/29", "fd00::/112")
        made = [(await pool.write(service(f"s{number}")))["spec"]["clusterIP"] for number in range(8)]
        assert {text.rpartition(".")[0] for text in made[:2]} == {"10.0.0"}
        assert {text.rpartition(".")[0] for text in made[2:]} == {"10.9.0"}
        with pytest.raises(InternalError):
            await pool.write(service("late"))
        pool.add("c", "10.8.0.0/24")
        assert (await pool.write(service("asked", clusterIP="10.8.0.7")))["spec"]["clusterIP"] == "10.8.0.7"
        pool.cidrs(SERVICE_CIDRS).drop("", "c")
        with pytest.raises(Invalid, match="the provided network does not match the current range"):
            await pool.write(service("gone", clusterIP="10.8.0.8"))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("parts", "used"),
    [
        ({}, True),
        ({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, True),
        ({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, False),
        ({"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}}, False),
    ],
)
def test_ranges_are_those_of_service_cidrs_that_are_ready(parts: Obj, used: bool) -> None:
    cidr = {"metadata": {"name": "a"}, "spec": {"cidrs": ["10.9.0.0/24"]}, **parts}
    assert ready_cidrs(FakeListers((SERVICE_CIDRS, cidr))(SERVICE_CIDRS)) == (["10.9.0.0/24"] if used else [])


def test_two_servers_do_not_give_out_the_same_address_or_port() -> None:
    async def scenario() -> None:
        pool = Pool()
        one, two = service("one", type="NodePort"), service("two", type="NodePort")
        other = ServiceAddresses(
            pool.store, "10.0.0.0/24", (30000, 32767), VirtualClock(), FakeListers()(SERVICE_CIDRS), rng=random.Random(1)
        )
        guards, ops = await pool.hook.prepare(one, None, dry_run=False)
        rival_guards, rival_ops = await other.prepare(two, None, dry_run=False)
        assert one["spec"]["clusterIP"] == two["spec"]["clusterIP"], "the same seed must pick the same"
        assert (await pool.store.commit(guards, ops)).ok
        assert not (await pool.store.commit(rival_guards, rival_ops)).ok
        retried = service("two", type="NodePort")
        guards, ops = await other.prepare(retried, None, dry_run=False)
        assert (await pool.store.commit(guards, ops)).ok
        assert retried["spec"]["clusterIP"] != one["spec"]["clusterIP"]
        assert retried["spec"]["ports"][0]["nodePort"] != one["spec"]["ports"][0]["nodePort"]

    asyncio.run(scenario())


def test_a_dry_run_holds_nothing() -> None:
    async def scenario() -> None:
        pool = Pool()
        assert (await pool.write(service(type="NodePort"), dry_run=True))["spec"]["clusterIP"]
        assert await pool.held() == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("spec", "families", "policy"),
    [
        ({"clusterIP": "None", "selector": {"a": "b"}}, ["IPv4"], "SingleStack"),
        ({"clusterIP": "None"}, ["IPv4", "IPv6"], "RequireDualStack"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4"], "PreferDualStack"),
    ],
)
def test_families_follow_the_cluster_and_a_headless_service_holds_no_address(spec: Obj, families: list[str], policy: str) -> None:
    async def scenario() -> None:
        pool = Pool()
        made = (await pool.write(service(**spec)))["spec"]
        assert (made["ipFamilies"], made["ipFamilyPolicy"]) == (families, policy)
        if spec.get("clusterIP") == "None":
            assert (made["clusterIPs"], await pool.held()) == (["None"], [])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
        ),
        ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
        (
            {"clusterIP": "fd00::1"},
            'spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster',
        ),
    ],
)
def test_a_family_the_cluster_has_not_is_refused(spec: Obj, text: str) -> None:
    assert refusal(Pool(), service(**spec)) == text


# --- node ports


def test_node_ports_come_from_the_upper_band_and_equal_port_numbers_share_one() -> None:
    async def scenario() -> None:
        pool = Pool()
        ports = [
            {"name": "t", "port": 53, "protocol": "TCP"},
            {"name": "u", "port": 53, "protocol": "UDP"},
            {"name": "m", "port": 9},
        ]
        made = (await pool.write(service(type="NodePort", ports=ports)))["spec"]["ports"]
        tcp, udp, metrics = (port["nodePort"] for port in made)
        assert tcp == udp != metrics
        assert min(tcp, metrics) >= 30086
        assert len(await pool.held()) == 3

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("port", "why"),
    [
        (30100, "provided port is already allocated"),
        (80, "provided port is not in the valid range. The range of valid ports is 30000-32767"),
    ],
)
def test_a_node_port_that_cannot_be_had_is_refused(port: int, why: str) -> None:
    pool = Pool()
    asyncio.run(pool.write(service("first", type="NodePort", ports=[{"port": 80, "nodePort": 30100}])))
    asked = service(type="NodePort", ports=[{"name": "a", "port": 1}, {"name": "b", "port": 80, "nodePort": port}])
    assert refusal(pool, asked) == f"spec.ports[1].nodePort: Invalid value: {port}: {why}"


def test_a_put_of_the_first_manifest_keeps_what_was_allocated() -> None:
    async def scenario() -> None:
        pool = Pool()
        manifest = service(type="LoadBalancer", externalTrafficPolicy="Local", ports=[{"name": "a", "port": 80}])
        made = await pool.write(manifest)
        held = await pool.held()
        assert len(held) == 3 and made["spec"]["healthCheckNodePort"]
        changed = copy.deepcopy(manifest)
        changed["spec"]["ports"].append({"name": "b", "port": 81})
        updated = await pool.write(changed, made)
        for key in ("clusterIP", "clusterIPs", "healthCheckNodePort", "ipFamilies"):
            assert updated["spec"][key] == made["spec"][key]
        assert updated["spec"]["ports"][0] == made["spec"]["ports"][0]
        assert set(await pool.held()) - set(held) == {str(updated["spec"]["ports"][1]["nodePort"])}
        assert await pool.write(updated, updated) == updated

    asyncio.run(scenario())


def test_without_allocation_a_load_balancer_has_only_the_node_ports_it_names() -> None:
    async def scenario() -> None:
        ports = [{"name": "a", "port": 80, "nodePort": 30500}, {"name": "b", "port": 81}]
        made = await Pool().write(service(type="LoadBalancer", allocateLoadBalancerNodePorts=False, ports=ports))
        assert [port.get("nodePort") for port in made["spec"]["ports"]] == [30500, None]

    asyncio.run(scenario())


def test_a_type_change_gives_back_what_the_new_type_has_no_use_for() -> None:
    async def scenario() -> None:
        pool = Pool()
        made = await pool.write(service(type="LoadBalancer", externalTrafficPolicy="Local", allocateLoadBalancerNodePorts=True))
        plain = copy.deepcopy(made)
        plain["spec"]["type"] = "ClusterIP"
        now = await pool.write(plain, made)
        assert await pool.held() == [made["spec"]["clusterIP"]]
        gone = ("healthCheckNodePort", "externalTrafficPolicy", "allocateLoadBalancerNodePorts")
        assert not any(key in now["spec"] for key in gone) and "nodePort" not in now["spec"]["ports"][0]
        external = copy.deepcopy(now)
        external["spec"] |= {"type": "ExternalName", "externalName": "example.org"}
        out = await pool.write(external, now)
        assert await pool.held() == []
        assert not any(key in out["spec"] for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"))
        back = copy.deepcopy(out)
        back["spec"]["type"] = "NodePort"
        again = await pool.write(back, out)
        assert again["spec"]["clusterIP"] and again["spec"]["ports"][0]["nodePort"]

    asyncio.run(scenario())


def test_a_changed_address_is_left_to_validation_and_takes_nothing() -> None:
    async def scenario() -> None:
        pool = Pool()
        made = await pool.write(service())
        moved = copy.deepcopy(made)
        moved["spec"]["clusterIP"] = "10.0.0.99"
        guards, _ = await pool.hook.prepare(moved, made, dry_run=False)
        assert moved["spec"]["clusterIPs"] == ["10.0.0.99"] and not guards

    asyncio.run(scenario())
