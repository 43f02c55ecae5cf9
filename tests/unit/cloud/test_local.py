"""The local provider: who gets which address, and which ports nobody gets."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.client import FakeClient

from steersman.cloud import providers
from steersman.cloud.interface import InstanceMetadata, ProviderError
from steersman.cloud.local import LocalProvider, ports
from steersman.cloud.local.addresses import Ledger, parse_pool
from steersman.machinery.meta import Obj


def node(name: str, address: str, **more: str) -> Obj:
    addresses = [{"type": "InternalIP", "address": address}, *({"type": kind, "address": ip} for kind, ip in more.items())]
    return {"metadata": {"name": name}, "status": {"addresses": addresses}}


N1, N2 = node("n1", "10.0.0.1"), node("n2", "10.0.0.2")


def service(name: str, *numbers: int, protocol: str = "TCP", ingress: tuple[str, ...] = (), **spec: Any) -> Obj:
    listed = [{"port": number, "protocol": protocol} for number in numbers]
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    status = {"loadBalancer": {"ingress": [{"ip": ip} for ip in ingress]}} if ingress else {}
    return {"metadata": metadata, "spec": {"type": "LoadBalancer", "ports": listed, **spec}, "status": status}


def test_services_share_the_nodes_addresses_each_port_once() -> None:
    ledger = Ledger()
    assert ledger.assign(service("a", 80, 443), [N1, N2]) == ("10.0.0.1", "10.0.0.2")
    assert ledger.assign(service("b", 81), [N1, N2]) == ("10.0.0.1", "10.0.0.2")
    assert ledger.assign(service("c", 80, protocol="UDP"), [N1, N2]) == ("10.0.0.1", "10.0.0.2")
    with pytest.raises(ProviderError, match=r"^port 443/TCP of 10.0.0.1 is used by service default/a$"):
        ledger.assign(service("d", 8080, 443), [N1, N2])
    ledger.release(service("a"))
    assert ledger.assign(service("d", 8080, 443), [N1, N2]) == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    ("port", "why"),
    [
        (22, "port 22/TCP of 10.0.0.1 is reserved for the node"),
        (6443, "port 6443/TCP of 10.0.0.1 is reserved for the node"),
        (10250, "port 10250/TCP of 10.0.0.1 is reserved for the node"),
        (30000, "port 30000/TCP of 10.0.0.1 is in the range of node ports"),
        (8443, "port 8443/TCP of 10.0.0.1 is used by another program"),
    ],
)
def test_ports_that_something_else_answers_on_are_not_given_away(port: int, why: str) -> None:
    ledger = Ledger(in_use=lambda address, protocol, number: (address, protocol, number) == ("10.0.0.1", "TCP", 8443))
    with pytest.raises(ProviderError) as refused:
        ledger.assign(service("a", 80, port), [N1])
    assert str(refused.value) == why and refused.value.status is None


def test_a_conflict_on_one_node_leaves_the_others() -> None:
    ledger = Ledger(in_use=lambda address, protocol, number: address == "10.0.0.1")
    assert ledger.assign(service("a", 80), [N1, N2]) == ("10.0.0.2",)


def test_a_service_that_asks_for_too_much_loses_what_it_had() -> None:
    """Its rules follow its ports at once, so it may keep no address on which port 22 would be taken over."""
    ledger = Ledger()
    ledger.assign(service("a", 80), [N1])
    with pytest.raises(ProviderError) as refused:
        ledger.assign(service("a", 80, 22), [N1])
    assert refused.value.status == {} and ledger.held(service("a")) == ()
    assert ledger.assign(service("b", 80), [N1]) == ("10.0.0.1",)


def test_a_port_of_its_own_is_no_conflict() -> None:
    taken = False
    ledger = Ledger(in_use=lambda address, protocol, number: taken)
    ledger.assign(service("a", 80), [N1])
    taken = True
    assert ledger.assign(service("a", 80), [N1]) == ("10.0.0.1",)


def test_what_the_status_says_is_kept_over_a_restart() -> None:
    ledger = Ledger()
    ledger.adopt(service("old", 80, ingress=("10.0.0.1",)))
    ledger.adopt(service("twin", 80, ingress=("10.0.0.1",)))
    ledger.adopt(service("others", 81, ingress=("10.0.0.1",), loadBalancerClass="x/y"))
    assert ledger.held(service("old")) == ("10.0.0.1",) and ledger.held(service("twin")) == ()
    with pytest.raises(ProviderError, match="default/old"):
        ledger.assign(service("new", 80), [N1])
    assert ledger.assign(service("new", 81), [N1]) == ("10.0.0.1",)


@pytest.mark.parametrize(
    ("nodes", "spec", "expected"),
    [
        ([node("n", "10.0.0.1", ExternalIP="203.0.113.5")], {}, ("203.0.113.5",)),
        ([node("n", "10.0.0.1", ExternalIP="2001:db8::1")], {}, ("10.0.0.1",)),
        ([N1, N2], {"loadBalancerIP": "10.0.0.2"}, ("10.0.0.2",)),
        ([N1], {"loadBalancerIP": "10.0.0.9"}, "10.0.0.9 is not an address of the nodes"),
        ([], {}, "no node has an address to offer"),
    ],
)
def test_which_of_the_nodes_addresses(nodes: list[Obj], spec: Obj, expected: Any) -> None:
    if isinstance(expected, str):
        with pytest.raises(ProviderError, match=expected):
            Ledger().assign(service("a", 80, **spec), nodes)
    else:
        assert Ledger().assign(service("a", 80, **spec), nodes) == expected


def test_of_a_pool_each_service_has_its_own_and_keeps_it() -> None:
    ledger = Ledger(parse_pool("192.0.2.8/30, 192.0.2.99-192.0.2.99"))
    given = [ledger.assign(service(name, 22), [N1]) for name in ("a", "b", "c")]
    assert given == [("192.0.2.9",), ("192.0.2.10",), ("192.0.2.99",)]
    with pytest.raises(ProviderError, match="the pool of addresses is used up"):
        ledger.assign(service("d", 80), [N1])
    ledger.release(service("b"))
    assert ledger.assign(service("c", 22), [N1]) == ("192.0.2.99",)
    assert ledger.assign(service("d", 80), [N1]) == ("192.0.2.10",)


def test_an_address_may_be_asked_for() -> None:
    ledger = Ledger(parse_pool("192.0.2.8/29"))
    assert ledger.assign(service("a", 80, loadBalancerIP="192.0.2.12"), []) == ("192.0.2.12",)
    with pytest.raises(ProviderError, match=r"192.0.2.12 is used by another service"):
        ledger.assign(service("b", 81, loadBalancerIP="192.0.2.12"), [])
    with pytest.raises(ProviderError, match=r"192.0.2.44 is not in the pool of addresses"):
        ledger.assign(service("b", 81, loadBalancerIP="192.0.2.44"), [])


@pytest.mark.parametrize("text", ["", "nonsense", "192.0.2.1/24", "192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1"])
def test_what_is_no_pool_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_pool(text)


def test_a_port_is_in_use_while_a_program_listens_on_it() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        number = listener.getsockname()[1]
        assert ports.in_use("127.0.0.1", "TCP", number)
        assert not ports.in_use("192.0.2.1", "TCP", number)
    assert not ports.in_use("127.0.0.1", "TCP", number)


def test_an_installed_package_offers_its_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mars.py").write_text("def provider(setup):\n    return setup\n")
    info = tmp_path / "mars-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mars\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[steersman.cloud_providers]\nmars = mars:provider\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert getattr(providers.find("mars"), "__module__", "") == "mars"


def test_an_unknown_provider_is_named_with_those_there_are() -> None:
    with pytest.raises(ProviderError, match=r"unknown cloud provider 'mars'; there are: .*local"):
        providers.find("mars")


@pytest.mark.parametrize(
    ("labels", "roles"),
    [
        ({"steersman.io/pool": "edge"}, {"node-role.kubernetes.io/edge": ""}),
        ({"steersman.io/pool": "control-plane"}, {}),
        ({"disk": "ssd"}, {}),
    ],
)
def test_the_pool_of_a_node_is_its_role_unless_that_is_the_control_planes(labels: dict[str, str], roles: dict[str, str]) -> None:
    joined = {**N1, "metadata": {"name": "n1", "labels": labels}}
    found = asyncio.run(machine_metadata(joined))
    assert (found.provider_id, dict(found.additional_labels)) == ("local://n1", roles)
    assert found.addresses == ({"type": "InternalIP", "address": "10.0.0.1"},)


async def machine_metadata(joined: Obj) -> InstanceMetadata:
    provider = LocalProvider(FakeClient(), Ledger())
    assert provider.instances is not None
    return await provider.instances.metadata(joined)
