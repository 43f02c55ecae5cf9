"""[sig-network] Services, Conntrack, Networking: what the suite asks of a service proxy beside its conformance tests."""

from __future__ import annotations

import json

import pytest
from tests.conformance.objects import pod, service
from tests.conformance.space import Space, eventually
from tests.conformance.test_network import LISTENING, UDP_SERVER, ask
from tests.e2e.harness import ADDRESS, Failed

from steersman.api.resources import PODS, SERVICES

pytestmark = pytest.mark.root

HEADLESS = "service.kubernetes.io/headless"
ONE_SOURCE_PORT = """
use IO::Socket::INET; $| = 1;
while (1) {
    $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], LocalPort => 12345, Proto => "udp");
    $s->send("x"); $b = ""; eval { local $SIG{ALRM} = sub { die }; alarm 1; $s->recv($b, 99); alarm 0; }; print $b;
    close $s; select undef, undef, undef, 0.2;
}
"""


def test_a_client_that_never_pauses_follows_a_udp_service_to_its_next_pod(space: Space, perl_image: str) -> None:
    """It sends from one port: were its flow not ended, it would send to the pod that is gone for ever."""
    ports = [{"name": "udp", "port": 80, "targetPort": 8080, "protocol": "UDP"}]
    address = space.create(SERVICES, service("s", ports=ports))["spec"]["clusterIP"]

    def serve(name: str) -> None:
        space.running(pod(command=["perl", "-e", UDP_SERVER], name=name, image=perl_image, labels={"app": "s"}))

    serve("first")
    space.running(pod(command=["perl", "-e", ONE_SOURCE_PORT, f"{address}:80"], name="client", image=perl_image))
    eventually(lambda: "first" in space.logs("client"))
    serve("second")
    assert "second" not in space.logs("client")
    space.delete(PODS, "first")
    eventually(lambda: "second" in space.logs("client"))


def test_a_service_that_says_it_is_headless_is_not_served(space: Space) -> None:
    space.running(pod(name="server", labels={"app": "s"}, **LISTENING))
    url = f"http://{space.create(SERVICES, service('s'))['spec']['clusterIP']}"

    def served() -> bool:
        try:
            # Where nobody serves it nobody refuses either: the later one of two --connect-timeout counts.
            return "Hello from server" in space.cluster.curl(url, "--connect-timeout", "3")
        except Failed:
            return False

    eventually(served)
    space.patch(SERVICES, "s", {"metadata": {"labels": {HEADLESS: ""}}})
    eventually(lambda: not served())
    space.patch(SERVICES, "s", {"metadata": {"labels": {HEADLESS: None}}})
    eventually(served)


def test_a_load_balancer_is_told_of_a_nodes_ready_endpoints_and_clients_of_ending_ones_too(space: Space) -> None:
    slow = "trap 'sleep 600' TERM; httpd -p 8080 -h /; while :; do sleep 1; done"
    space.running(pod(slow, name="server", labels={"app": "s"}, spec={"terminationGracePeriodSeconds": 600}, **LISTENING))
    made = space.create(SERVICES, service("s", type="LoadBalancer", externalTrafficPolicy="Local"))["spec"]
    health = f"http://{ADDRESS}:{made['healthCheckNodePort']}/healthz"

    def status() -> str:
        return space.cluster.curl(health, "-o", "/dev/null", "-w", "%{http_code}")

    eventually(lambda: status() == "200")
    eventually(lambda: json.loads(ask(space, health))["localEndpoints"] == 1)
    space.delete(PODS, "server")
    eventually(lambda: status() == "503")
    # Not what it answers: that it does.
    node_port = made["ports"][0]["nodePort"]
    eventually(lambda: space.cluster.curl(f"http://{ADDRESS}:{node_port}/none", "-w", "%{http_code}").endswith("404"))
    space.delete(PODS, "server", grace_period_s=0)


def test_a_proxy_says_how_it_is(space: Space) -> None:
    assert "lastUpdated" in ask(space, "http://localhost:10256/healthz")
    assert ask(space, "http://localhost:10249/proxyMode") == "nftables"
