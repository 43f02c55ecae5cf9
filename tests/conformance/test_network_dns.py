"""[sig-network] DNS; [sig-node] KubeletManagedEtcHosts, hostAliases: how names become addresses inside of pods."""

from __future__ import annotations

from functools import partial

import pytest
from tests.conformance.objects import SLEEP, container, pod, service
from tests.conformance.space import Space, eventually

from steersman.api.resources import PODS, SERVICES
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root


def client(space: Space, **spec: object) -> Obj:
    return space.running(pod(SLEEP, name="client", spec=dict(spec)))


def look_up(space: Space, name: str, kind: str = "a") -> str:
    return space.exec("client", "nslookup", f"-type={kind}", name, code=None)


def _tries(space: Space, address: str, name: str) -> bool:
    """Whether a client in a pod tries an address for a name."""
    return address in space.exec("client", "sh", "-c", f"timeout 5 wget http://{name}/ 2>&1; true")


@pytest.mark.conformance("[sig-network] DNS should provide DNS for the cluster [Conformance]")
def test_the_api_server_has_a_name(space: Space) -> None:
    client(space)
    for name in ("kubernetes.default", "kubernetes.default.svc.cluster.local"):
        # Whatever it answers to plain HTTP: the address that is tried is what counts.
        eventually(partial(_tries, space, "10.96.0.1:443", f"{name}:443"))


@pytest.mark.conformance("[sig-network] DNS should provide DNS for services [Conformance]")
def test_names_of_services(space: Space) -> None:
    address = space.running(pod(SLEEP, name="server", labels={"app": "s"}))["status"]["podIP"]
    cluster_ip = space.create(SERVICES, service("s"))["spec"]["clusterIP"]
    space.create(SERVICES, service("headless", selector={"app": "s"}, clusterIP="None"))
    client(space)
    zone = f"{space.name}.svc.cluster.local"
    eventually(lambda: cluster_ip in look_up(space, f"s.{zone}"))
    eventually(lambda: address in look_up(space, f"headless.{zone}"))
    eventually(lambda: f"0 100 80 s.{zone}" in look_up(space, f"_http._tcp.s.{zone}", "srv"))
    dashed = address.replace(".", "-")
    eventually(lambda: f"0 100 8080 {dashed}.headless.{zone}" in look_up(space, f"_http._tcp.headless.{zone}", "srv"))
    for ip, name in ((cluster_ip, f"s.{zone}"), (address, f"{dashed}.headless.{zone}")):
        eventually(partial(_is_named, space, ip, name))


def _is_named(space: Space, ip: str, name: str) -> bool:
    return name in space.exec("client", "nslookup", ip)


@pytest.mark.conformance("[sig-network] DNS should resolve DNS of partial qualified names for services [LinuxOnly] [Conformance]")
def test_partial_names(space: Space) -> None:
    cluster_ip = space.create(SERVICES, service("s"))["spec"]["clusterIP"]
    client(space)
    for name in ("s", f"s.{space.name}", f"s.{space.name}.svc"):
        # Nothing listens: the address that is tried is what counts.
        eventually(partial(_tries, space, cluster_ip, name))


@pytest.mark.conformance("[sig-network] DNS should provide DNS for ExternalName services [Conformance]")
def test_external_names(space: Space) -> None:
    space.create(SERVICES, {**service("s"), "spec": {"type": "ExternalName", "externalName": "foo.example.com"}})
    client(space)
    name = f"s.{space.name}.svc.cluster.local"
    eventually(lambda: "foo.example.com" in look_up(space, name, "cname"))
    space.patch(SERVICES, "s", {"spec": {"externalName": "bar.example.com"}})
    eventually(lambda: "bar.example.com" in look_up(space, name, "cname"))
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    found = space.patch(SERVICES, "s", {"spec": {"type": "ClusterIP", "externalName": None, "ports": ports}})
    eventually(lambda: found["spec"]["clusterIP"] in look_up(space, name))


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(
            "hostname", marks=pytest.mark.conformance("[sig-network] DNS should provide DNS for pods for Hostname [Conformance]")
        ),
        pytest.param(
            "subdomain",
            marks=pytest.mark.conformance("[sig-network] DNS should provide DNS for pods for Subdomain [Conformance]"),
        ),
    ],
)
def test_names_of_pods(space: Space, what: str) -> None:
    space.create(SERVICES, service("dns-svc", clusterIP="None"))
    made = space.running(
        pod(SLEEP, name="querier", labels={"app": "dns-svc"}, spec={"hostname": "querier-2", "subdomain": "dns-svc"})
    )
    client(space)
    zone = f"dns-svc.{space.name}.svc.cluster.local"
    name = f"querier-2.{zone}" if what == "hostname" else zone
    eventually(lambda: made["status"]["podIP"] in look_up(space, name))
    assert space.exec("querier", "hostname", "-f").strip() == f"querier-2.{zone}"
    assert space.exec("querier", "hostname").strip() == "querier-2"


@pytest.mark.conformance("[sig-network] DNS should provide /etc/hosts entries for the cluster [Conformance]")
def test_a_pod_finds_itself_in_its_hosts_file(space: Space) -> None:
    space.create(SERVICES, service("dns-test", clusterIP="None"))
    made = space.running(pod(SLEEP, spec={"hostname": "querier-1", "subdomain": "dns-test"}))
    hosts = space.exec("pod", "cat", "/etc/hosts")
    zone = f"querier-1.dns-test.{space.name}.svc.cluster.local"
    assert f"{made['status']['podIP']}\t{zone}\tquerier-1\n" in hosts


@pytest.mark.conformance("[sig-network] DNS should support configurable pod DNS nameservers [Conformance]")
def test_a_pods_own_name_servers(space: Space) -> None:
    config = {"nameservers": ["1.1.1.1"], "searches": ["resolv.conf.local"], "options": [{"name": "ndots", "value": "2"}]}
    said = space.output(pod("cat /etc/resolv.conf", spec={"dnsPolicy": "None", "dnsConfig": config}))
    assert said.splitlines() == ["search resolv.conf.local", "nameserver 1.1.1.1", "options ndots:2"]


HEADER = "# Kubernetes-managed hosts file"


@pytest.mark.conformance(
    "[sig-node] KubeletManagedEtcHosts should test kubelet managed /etc/hosts file [NodeConformance] [Conformance]"
)
def test_whose_hosts_file_is_whose(space: Space) -> None:
    mount = {"volumeMounts": [{"name": "hosts", "mountPath": "/etc/hosts"}]}
    spec = {
        "volumes": [{"name": "hosts", "hostPath": {"path": "/etc/hosts", "type": "File"}}],
        "containers": [container(SLEEP, name="managed"), container(SLEEP, name="mounted", **mount)],
    }
    space.running(pod(spec=spec))
    assert space.exec("pod", "cat", "/etc/hosts", container="managed").startswith(HEADER)
    assert HEADER not in space.exec("pod", "cat", "/etc/hosts", container="mounted")
    space.running(pod(SLEEP, name="host", spec={"hostNetwork": True}))
    own = space.exec("host", "cat", "/etc/hosts")
    assert HEADER + "." not in own and own.endswith(space.cluster.run("cat", "/etc/hosts"))


@pytest.mark.conformance(
    "[sig-node] Kubelet when scheduling an agnhost Pod with hostAliases should write entries to /etc/hosts [NodeConformance] "
    "[Conformance]"
)
def test_host_aliases(space: Space) -> None:
    aliases = [{"ip": "123.45.67.89", "hostnames": ["foo", "bar"]}]
    said = space.output(pod("cat /etc/hosts", spec={"hostAliases": aliases}))
    assert said.endswith("\n# Entries added by HostAliases.\n123.45.67.89\tfoo\tbar\n")
    assert space.get(PODS, "pod")["spec"]["hostAliases"] == aliases
