"""[sig-network] Services, Endpoints, EndpointSlices, Proxy, Granular Checks: who reaches whom, and by which objects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, controller, named, pod, service
from tests.conformance.space import Space, eventually, is_ready
from tests.e2e.harness import ADDRESS, Failed

from steersman.api.resources import DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from steersman.machinery.meta import Obj, dig, name_of

pytestmark = pytest.mark.root

GRANULAR = "[sig-network] Networking Granular Checks: Pods should function for"
LISTENING: dict[str, Any] = {"readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "timeoutSeconds": 60}}
UDP_SERVER = (
    'use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 8080, Proto => "udp");'
    "$s->send(`hostname`) while $s->recv($b, 99)"
)
UDP_CLIENT = (
    'use IO::Socket::INET; $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Proto => "udp");'
    '$s->send("x"); alarm 2; $s->recv($b, 99); print $b'
)


def backends(space: Space, name: str, replicas: int = 1) -> list[Obj]:
    """A Deployment of servers that answer with their names, once all are ready; its pods."""
    space.create(DEPLOYMENTS, controller(name, replicas, "", **LISTENING))
    space.until(DEPLOYMENTS, name, lambda it: dig(it, "status", "availableReplicas", default=0) == replicas)
    return space.list(PODS, f"app={name}")


def ask(space: Space, url: str) -> str:
    return space.cluster.curl(url)


def ask_from_pod(space: Space, url: str) -> str:
    return space.exec("client", "timeout", "5", "wget", "-qO-", url)


def client(space: Space) -> Obj:
    return space.running(pod(SLEEP, name="client"))


def refused(attempt: Callable[[], Any]) -> bool:
    try:
        attempt()
    except Failed:
        return True
    return False


@pytest.mark.conformance("[sig-network] Services should serve a basic endpoint from pods [Conformance]")
def test_endpoints_follow_the_pods(space: Space) -> None:
    space.create(SERVICES, service("s"))
    eventually(lambda: space.addresses("s") == set() and space.exists(ENDPOINTS, "s"))
    first = space.running(pod(SLEEP, name="pod1", labels={"app": "s"}))["status"]["podIP"]
    eventually(lambda: space.addresses("s") == {f"{first}:8080"})
    second = space.running(pod(SLEEP, name="pod2", labels={"app": "s"}))["status"]["podIP"]
    eventually(lambda: space.addresses("s") == {f"{first}:8080", f"{second}:8080"})
    space.delete(PODS, "pod1")
    eventually(lambda: space.addresses("s") == {f"{second}:8080"})
    space.delete(PODS, "pod2")
    eventually(lambda: space.addresses("s") == set())


@pytest.mark.conformance("[sig-network] Services should serve multiport endpoints from pods [Conformance]")
def test_each_port_has_the_pods_that_name_it(space: Space) -> None:
    ports = [{"name": "p1", "port": 80, "targetPort": "portname1"}, {"name": "p2", "port": 81, "targetPort": "portname2"}]
    space.create(SERVICES, service("s", ports=ports))
    made = {}
    for number, name in ((100, "portname1"), (101, "portname2")):
        found = space.running(
            pod(SLEEP, name=f"pod{number}", labels={"app": "s"}, ports=[{"name": name, "containerPort": number}])
        )
        made[number] = f"{found['status']['podIP']}:{number}"
    eventually(lambda: space.addresses("s") == set(made.values()))
    space.delete(PODS, "pod100")
    eventually(lambda: space.addresses("s") == {made[101]})
    space.delete(PODS, "pod101")
    eventually(lambda: space.addresses("s") == set())


@pytest.mark.conformance("[sig-network] Services should serve endpoints on same port and different protocols [Conformance]")
def test_one_port_number_for_both_protocols(space: Space, perl_image: str) -> None:
    script = f"perl -e '{UDP_SERVER}' & mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"
    space.running(pod(script, name="server", image=perl_image, labels={"app": "s"}, **LISTENING))
    space.running(pod(SLEEP, name="client", image=perl_image))
    tcp = {"name": "tcp", "port": 80, "targetPort": 8080}
    udp = {**tcp, "name": "udp", "protocol": "UDP"}
    address = space.create(SERVICES, service("s", ports=[tcp, udp]))["spec"]["clusterIP"]

    def by_tcp() -> bool:
        return ask_from_pod(space, f"http://{address}").strip() == "server"

    def by_udp() -> bool:
        return space.exec("client", "perl", "-e", UDP_CLIENT, f"{address}:80", code=None) == "server\n"

    eventually(by_tcp)
    eventually(by_udp)
    space.patch(SERVICES, "s", {"spec": {"ports": [tcp]}})
    eventually(lambda: not by_udp())
    eventually(by_tcp)
    space.patch(SERVICES, "s", {"spec": {"ports": [udp]}})
    eventually(lambda: refused(by_tcp))
    eventually(by_udp)


@pytest.mark.conformance("[sig-network] Services should be able to create a functioning NodePort service [Conformance]")
def test_a_node_port_reaches_every_pod_by_every_address(space: Space) -> None:
    names = {name_of(it) for it in backends(space, "s", 2)}
    client(space)
    made = space.create(SERVICES, service("s", type="NodePort"))
    port = made["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    for url in ("http://s", f"http://{made['spec']['clusterIP']}", f"http://{ADDRESS}:{port}"):
        # Asked until all have answered: the pods come behind the Service one after the other.
        eventually(partial(_all_answer, space, url, names))
    eventually(lambda: ask(space, f"http://{ADDRESS}:{port}").startswith("Hello from s-"))


def _all_answer(space: Space, url: str, names: set[str]) -> bool:
    return {ask_from_pod(space, url).split()[2].rstrip(",") for _ in range(6)} == names


AFFINITY = "[sig-network] Services should"


@pytest.mark.parametrize(
    ("kind", "switching"),
    [
        pytest.param(
            kind,
            switching,
            marks=pytest.mark.conformance(f"{AFFINITY} {words} [LinuxOnly] [Conformance]"),
        )
        for kind, switching, words in (
            ("ClusterIP", False, "have session affinity work for service with type clusterIP"),
            ("ClusterIP", True, "be able to switch session affinity for service with type clusterIP"),
            ("NodePort", False, "have session affinity work for NodePort service"),
            ("NodePort", True, "be able to switch session affinity for NodePort service"),
        )
    ],
)
def test_a_client_stays_with_its_pod_while_affinity_is_on(space: Space, kind: str, switching: bool) -> None:
    backends(space, "s", 3)
    client(space)
    made = space.create(SERVICES, service("s", type=kind, sessionAffinity="ClientIP"))
    assert made["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    port = made["spec"]["ports"][0].get("nodePort")
    url = f"http://{ADDRESS}:{port}" if port else f"http://{made['spec']['clusterIP']}"
    eventually(lambda: ask_from_pod(space, url))

    def answered() -> int:
        script = f"for i in 1 2 3 4 5 6 7 8; do timeout 5 wget -qO- {url}; done"
        lines = space.exec("client", "sh", "-c", script).splitlines()
        return len(set(lines)) if len(lines) == 8 else 0

    # Asked until it holds, as upstream does: the pods come behind the Service one after the other.
    eventually(lambda: answered() == 1)
    if switching:
        space.patch(SERVICES, "s", {"spec": {"sessionAffinity": "None"}})
        eventually(lambda: answered() == 3)
        space.patch(SERVICES, "s", {"spec": {"sessionAffinity": "ClientIP"}})
        eventually(lambda: answered() == 1)


TYPES = "[sig-network] Services should be able to change the type from"


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.conformance(f"{TYPES} ExternalName to {kind} [Conformance]"))
        for kind in ("ClusterIP", "NodePort")
    ],
)
def test_an_external_name_becomes_a_service_with_addresses(space: Space, kind: str) -> None:
    backends(space, "s", 2)
    client(space)
    space.create(SERVICES, {**service("s"), "spec": {"type": "ExternalName", "externalName": "foo.example.com"}})
    found = space.get(SERVICES, "s")
    assert "clusterIP" not in found["spec"]
    found["spec"] = service("s", type=kind)["spec"]
    found = space.update(SERVICES, found)
    assert found["spec"]["clusterIP"].startswith("10.96.")
    eventually(lambda: ask_from_pod(space, "http://s").startswith("Hello from s-"))
    if kind == "NodePort":
        url = f"http://{ADDRESS}:{found['spec']['ports'][0]['nodePort']}"
        eventually(lambda: ask_from_pod(space, url).startswith("Hello from s-"))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.conformance(f"{TYPES} {kind} to ExternalName [Conformance]"))
        for kind in ("ClusterIP", "NodePort")
    ],
)
def test_a_service_becomes_an_external_name(space: Space, kind: str) -> None:
    client(space)
    space.create(SERVICES, service("target", clusterIP="None"))
    made = space.create(SERVICES, service("s", type=kind))
    target = "kubernetes.default.svc.cluster.local"
    change = {"type": "ExternalName", "externalName": target, "clusterIP": None, "clusterIPs": None}
    found = space.patch(SERVICES, "s", {"spec": change})
    assert "clusterIP" not in found["spec"] and "nodePort" not in found["spec"]["ports"][0]
    name = f"s.{space.name}.svc.cluster.local"

    def leads_there() -> bool:
        said = space.exec("client", "nslookup", name, code=None)
        return "10.96.0.1" in said and target in said

    eventually(leads_there)
    if kind == "NodePort":
        # The port is free again.
        port = made["spec"]["ports"][0]["nodePort"]
        ports = [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": port}]
        again = space.create(SERVICES, service("again", type="NodePort", ports=ports))
        assert again["spec"]["ports"][0]["nodePort"] == port


@pytest.mark.conformance("[sig-network] Services should complete a service status lifecycle [Conformance]")
def test_the_status_of_a_service(space: Space) -> None:
    space.create(SERVICES, service("s", type="LoadBalancer"))
    assert space.get(SERVICES, "s", subresource="status")["status"] == {"loadBalancer": {}}
    ingress = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
    patched = space.patch(
        SERVICES, "s", {"metadata": {"annotations": {"patched": "true"}}, "status": ingress}, subresource="status"
    )
    assert patched["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"
    assert patched["metadata"]["annotations"] == {"patched": "true"}
    condition = {
        "type": "StatusUpdate",
        "status": "True",
        "reason": "E2E",
        "message": "Set from e2e test",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }

    def update() -> Any:
        found = space.get(SERVICES, "s", subresource="status")
        found["status"]["conditions"] = [condition]
        return space.update(SERVICES, found, subresource="status")

    assert eventually(update)["status"]["conditions"] == [condition]
    space.patch(SERVICES, "s", {"metadata": {"labels": {"changed": "yes"}}})
    assert space.get(SERVICES, "s")["metadata"]["labels"]["changed"] == "yes"
    space.delete(SERVICES, "s")
    space.gone(SERVICES, "s")


@pytest.mark.conformance("[sig-network] Services should delete a collection of services [Conformance]")
def test_services_are_deleted_together(space: Space) -> None:
    for number, label in ((1, "yes"), (2, "yes"), (3, "no")):
        made = service(f"s{number}")
        made["metadata"]["labels"] = {"go": label}
        space.create(SERVICES, made)
    assert len(space.list(SERVICES)) == 3
    space.delete_collection(SERVICES, "go=yes")
    assert [name_of(it) for it in space.list(SERVICES)] == ["s3"]


@pytest.mark.conformance("[sig-network] Services should find a service from listing all namespaces [Conformance]")
@pytest.mark.conformance("[sig-network] API Server should provide secure master service [Conformance]")
def test_the_kubernetes_service(space: Space) -> None:
    found = [
        it for it in space.api.list(SERVICES)["items"] if (name_of(it), it["metadata"]["namespace"]) == ("kubernetes", "default")
    ]
    assert [(port["name"], port["port"], port["protocol"]) for port in found[0]["spec"]["ports"]] == [("https", 443, "TCP")]


@pytest.mark.conformance("[sig-network] API Server should have Endpoints and EndpointSlices pointing to API Server [Conformance]")
def test_the_kubernetes_service_points_to_the_api_server(space: Space) -> None:
    endpoints = space.api.get(ENDPOINTS, "kubernetes", "default")
    assert [it["ip"] for it in endpoints["subsets"][0]["addresses"]] == [ADDRESS]
    found = space.api.get(ENDPOINT_SLICES, "kubernetes", "default")
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "kubernetes"
    assert [it["addresses"] for it in found["endpoints"]] == [[ADDRESS]] and found["ports"][0]["port"] == 6443


@pytest.mark.conformance(
    "[sig-network] EndpointSlice should create and delete EndpointSlices for a Service with a selector that matches no pods "
    "[Conformance]"
)
@pytest.mark.conformance(
    "[sig-network] EndpointsController should create and delete Endpoints for a Service with a selector that matches no pods "
    "[Conformance]"
)
def test_a_service_without_pods_has_empty_endpoints(space: Space) -> None:
    space.create(SERVICES, service("s"))
    eventually(lambda: not space.get(ENDPOINTS, "s").get("subsets"))
    (part,) = eventually(lambda: space.list(ENDPOINT_SLICES, "kubernetes.io/service-name=s"))
    assert not part.get("endpoints") and part["metadata"]["ownerReferences"][0]["name"] == "s"
    space.delete(SERVICES, "s")
    space.gone(ENDPOINTS, "s")
    eventually(lambda: space.list(ENDPOINT_SLICES) == [])


@pytest.mark.conformance(
    "[sig-network] EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service [Conformance]"
)
@pytest.mark.conformance("[sig-network] EndpointsController should create Endpoints for Pods matching a Service [Conformance]")
def test_endpoints_and_slices_agree(space: Space) -> None:
    made = space.running(pod(SLEEP, name="pod1", labels={"app": "s"}, ports=[{"name": "example", "containerPort": 3000}]))
    space.create(SERVICES, service("s", ports=[{"name": "example", "port": 80, "targetPort": 3000}]))
    address = made["status"]["podIP"]
    ref = {"kind": "Pod", "namespace": space.name, "name": "pod1", "uid": made["metadata"]["uid"]}
    subset = {
        "addresses": [{"ip": address, "nodeName": "node-1", "targetRef": ref}],
        "ports": [{"name": "example", "port": 3000, "protocol": "TCP"}],
    }
    eventually(lambda: space.get(ENDPOINTS, "s").get("subsets") == [subset])
    endpoint = {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": "node-1",
        "targetRef": ref,
    }
    eventually(lambda: [it.get("endpoints") for it in space.list(ENDPOINT_SLICES)] == [[endpoint]])
    (part,) = space.list(ENDPOINT_SLICES)
    assert part["addressType"] == "IPv4" and part["ports"] == [{"name": "example", "port": 3000, "protocol": "TCP"}]
    labels = part["metadata"]["labels"]
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"


def made_by_hand(name: str, addresses: list[str], port: int, port_name: str) -> Obj:
    return named(
        name,
        {"kubernetes.io/service-name": "s"},
        addressType="IPv4",
        endpoints=[{"addresses": addresses}],
        ports=[{"name": port_name, "port": port, "protocol": "TCP"}],
    )


@pytest.mark.conformance(
    "[sig-network] EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices [Conformance]"
)
def test_slices_by_hand_for_one_pod_with_two_ports(space: Space) -> None:
    script = "mkdir -p /a /b; echo a > /a/index.html; echo b > /b/index.html; httpd -p 9090 -h /b; exec httpd -f -p 8080 -h /a"
    address = space.running(pod(script, name="server", **LISTENING))["status"]["podIP"]
    ports = [{"name": "portname8080", "port": 80}, {"name": "portname9090", "port": 8090}]
    cluster_ip = space.create(SERVICES, service("s", selector={}, ports=ports))["spec"]["clusterIP"]
    space.create(ENDPOINT_SLICES, made_by_hand("one", [address], 8080, "portname8080"))
    space.create(ENDPOINT_SLICES, made_by_hand("two", [address], 9090, "portname9090"))
    eventually(lambda: ask(space, f"http://{cluster_ip}:80") == "a\n")
    eventually(lambda: ask(space, f"http://{cluster_ip}:8090") == "b\n")


@pytest.mark.conformance(
    "[sig-network] EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices "
    "[Conformance]"
)
def test_slices_by_hand_for_two_pods_with_two_ports(space: Space) -> None:
    made = [
        space.running(
            pod(
                f"mkdir /www; hostname > /www/index.html; exec httpd -f -p {port} -h /www",
                name=f"server{port}",
                readinessProbe={"tcpSocket": {"port": port}, "periodSeconds": 1},
            )
        )
        for port in (8080, 9090)
    ]
    first, second = (it["status"]["podIP"] for it in made)
    cluster_ip = space.create(SERVICES, service("s", selector={}, ports=[{"port": 80}]))["spec"]["clusterIP"]
    space.create(ENDPOINT_SLICES, made_by_hand("one", [first], 8080, ""))
    space.create(ENDPOINT_SLICES, made_by_hand("two", [second], 9090, ""))
    eventually(lambda: {ask(space, f"http://{cluster_ip}").strip() for _ in range(4)} == {"server8080", "server9090"})


@pytest.mark.conformance("[sig-network] EndpointSlice should support creating EndpointSlice API operations [Conformance]")
def test_endpoint_slice_operations(space: Space) -> None:
    groups = {group["name"]: group for group in space.api.raw("GET", "/apis")["groups"]}
    assert groups["discovery.k8s.io"]["preferredVersion"]["groupVersion"] == "discovery.k8s.io/v1"
    (listed,) = [it for it in space.api.raw("GET", "/apis/discovery.k8s.io/v1")["resources"] if it["name"] == "endpointslices"]
    assert set(listed["verbs"]) == {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    with space.watching(ENDPOINT_SLICES, label_selector="special=yes") as watching:
        for number in range(3):
            made = made_by_hand(f"slice{number}", ["10.0.0.1"], 80, "http")
            made["metadata"]["labels"] = {"special": "yes"}
            space.create(ENDPOINT_SLICES, made)
        assert [event.type for event in watching.take(3)] == ["ADDED"] * 3
        space.patch(ENDPOINT_SLICES, "slice0", {"metadata": {"annotations": {"patched": "true"}}})
        found = space.get(ENDPOINT_SLICES, "slice0")
        found["metadata"]["annotations"]["updated"] = "true"
        space.update(ENDPOINT_SLICES, found)
        assert [event.type for event in watching.take(2)] == ["MODIFIED"] * 2
        space.delete(ENDPOINT_SLICES, "slice0")
        assert watching.next().type == "DELETED"
        space.delete_collection(ENDPOINT_SLICES, "special=yes")
        assert [event.type for event in watching.take(2)] == ["DELETED"] * 2
    assert space.list(ENDPOINT_SLICES, "special=yes") == []


@pytest.mark.conformance(
    "[sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete "
    "[Conformance]"
)
def test_endpoints_by_hand_are_mirrored(space: Space) -> None:
    space.create(SERVICES, service("s", selector={}))
    subsets = [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]
    space.create(ENDPOINTS, named("s", subsets=subsets))
    eventually(lambda: space.addresses("s") == {"10.1.2.3:80"})
    (part,) = space.list(ENDPOINT_SLICES, "kubernetes.io/service-name=s")
    assert part["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslicemirroring-controller.k8s.io"
    found = space.get(ENDPOINTS, "s")
    found["subsets"][0]["addresses"] = [{"ip": "10.2.3.4"}]
    space.update(ENDPOINTS, found)
    eventually(lambda: space.addresses("s") == {"10.2.3.4:80"})
    space.delete(ENDPOINTS, "s")
    eventually(lambda: space.list(ENDPOINT_SLICES) == [])


@pytest.mark.conformance("[sig-network] Endpoints should test the lifecycle of an Endpoint [Conformance]")
def test_the_life_of_endpoints(space: Space) -> None:
    with space.watching(ENDPOINTS, label_selector="static=true") as watching:
        subsets = [{"addresses": [{"ip": "10.0.0.24"}], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]
        made = space.create(ENDPOINTS, named("e", {"static": "true"}, subsets=subsets))
        assert watching.next().type == "ADDED"
        made["metadata"]["labels"]["updated"] = "true"
        space.update(ENDPOINTS, made)
        assert watching.next().object["metadata"]["labels"]["updated"] == "true"
        change = [{"addresses": [{"ip": "10.0.0.25"}], "ports": [{"name": "http-test", "port": 8080, "protocol": "TCP"}]}]
        space.patch(ENDPOINTS, "e", {"subsets": change}, kind="strategic")
        assert watching.next().object["subsets"] == change
        space.delete_collection(ENDPOINTS, "static=true")
        assert watching.next().type == "DELETED"


@pytest.mark.conformance("[sig-network] Service endpoints latency should not be very high [Conformance]")
def test_endpoints_come_quickly(space: Space) -> None:
    space.running(pod(SLEEP, labels={"app": "all"}))
    with space.watching(ENDPOINTS) as watching:
        for number in range(30):
            space.create(SERVICES, service(f"s{number}", selector={"app": "all"}))
        ready: set[str] = set()
        while len(ready) < 30:
            found = watching.next().object
            if found.get("subsets"):
                ready.add(name_of(found))


@pytest.mark.conformance(f"{GRANULAR} intra-pod communication: http [NodeConformance] [Conformance]")
@pytest.mark.conformance(f"{GRANULAR} node-pod communication: http [LinuxOnly] [NodeConformance] [Conformance]")
def test_pods_are_reached_by_http(space: Space) -> None:
    made = [space.running(pod(name=f"netserver-{number}", **LISTENING)) for number in range(2)]
    client(space)
    for each in made:
        url = f"http://{each['status']['podIP']}:8080"
        for way in (ask_from_pod, ask):
            eventually(partial(_greets, way, space, url, name_of(each)))


def _greets(way: Callable[[Space, str], str], space: Space, url: str, name: str) -> bool:
    return f"Hello from {name}," in way(space, url)


@pytest.mark.conformance(f"{GRANULAR} intra-pod communication: udp [NodeConformance] [Conformance]")
@pytest.mark.conformance(f"{GRANULAR} node-pod communication: udp [LinuxOnly] [NodeConformance] [Conformance]")
def test_pods_are_reached_by_udp(space: Space, perl_image: str) -> None:
    address = space.running(pod(command=["perl", "-e", UDP_SERVER], name="netserver", image=perl_image))["status"]["podIP"]
    space.running(pod(SLEEP, name="client", image=perl_image))
    ask = ("perl", "-e", UDP_CLIENT, f"{address}:8080")
    eventually(lambda: space.exec("client", *ask, code=None) == "netserver\n")
    eventually(lambda: space.cluster.run(*ask, code=None) == "netserver\n")


PROXY = "[sig-network] Proxy version v1"
ECHO = r"""
mkdir -p /www/cgi-bin; cat > /www/cgi-bin/echo <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo $REQUEST_METHOD
END
chmod +x /www/cgi-bin/echo; echo index > /www/index.html; exec httpd -f -p 8080 -h /www
"""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            "",
            marks=pytest.mark.conformance(
                f"{PROXY} A set of valid responses are returned for both pod and service Proxy [Conformance]"
            ),
        ),
        pytest.param(
            "cgi-bin/echo",
            marks=pytest.mark.conformance(
                f"{PROXY} A set of valid responses are returned for both pod and service ProxyWithPath [Conformance]"
            ),
        ),
    ],
)
def test_the_api_server_passes_requests_on(space: Space, path: str) -> None:
    space.running(pod(ECHO, name="agnhost", labels={"app": "s"}, **LISTENING))
    space.create(SERVICES, service("s"))
    eventually(lambda: space.addresses("s"))
    for target in (PODS.path(space.name, "agnhost:8080"), SERVICES.path(space.name, "s:http"), SERVICES.path(space.name, "s:80")):
        for method in ("GET", "POST") if path else ("GET",):
            answer = space.api.request(method, f"{target}/proxy/{path}")
            assert (answer.status, answer.body.decode()) == (200, f"{method}\n" if path else "index\n")
    if not path:
        answer = space.api.request("GET", f"{PODS.path(space.name, 'agnhost:8080')}/proxy")
        assert answer.status == 301 and answer.headers["location"].endswith("/proxy/")


@pytest.mark.conformance(f"{PROXY} should proxy through a service and a pod [Conformance]")
def test_ports_by_name_and_by_number(space: Space) -> None:
    space.running(pod(name="server", labels={"app": "s"}, ports=[{"name": "dest1", "containerPort": 8080}], **LISTENING))
    space.create(SERVICES, service("s", ports=[{"name": "portname1", "port": 80, "targetPort": "dest1"}]))
    eventually(lambda: space.addresses("s"))
    for target in (
        "services/s:portname1",
        "services/s:80",
        "services/http:s:portname1",
        "pods/server:8080",
        "pods/http:server:8080",
    ):
        said = space.api.raw("GET", f"/api/v1/namespaces/{space.name}/{target}/proxy/")
        assert said.startswith("Hello from server,"), target


@pytest.mark.conformance(
    "[sig-network] HostPort validates that there is no conflict between pods with same hostPort but different hostIP and "
    "protocol [LinuxOnly] [Conformance]"
)
def test_host_ports_of_different_addresses_and_protocols(space: Space) -> None:
    wanted = (("127.0.0.1", "TCP"), (ADDRESS, "TCP"), (ADDRESS, "UDP"))
    for number, (address, protocol) in enumerate(wanted):
        ports = [{"containerPort": 8080, "hostPort": 54323, "hostIP": address, "protocol": protocol}]
        space.create(PODS, pod("", name=f"pod{number}", ports=ports))
    for number in range(3):
        space.until(PODS, f"pod{number}", is_ready)
    eventually(lambda: "Hello from pod0," in ask(space, "http://127.0.0.1:54323"))
    eventually(lambda: "Hello from pod1," in ask(space, f"http://{ADDRESS}:54323"))
    # A pod may be told nothing but where others reach it.
    own = ("timeout", "5", "wget", "-qO-", f"http://{ADDRESS}:54323")
    eventually(lambda: "Hello from pod1," in space.exec("pod1", *own))
