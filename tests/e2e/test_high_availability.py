"""A cluster of several machines, made by the commands of docs/high-availability.md, that loses some of them.

Three etcd members, two API servers, three nodes, and somebody who asks from outside, each in a network namespace of its own.
One cluster for all, so the order counts: machines are cut off last.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import workloads
from tests.e2e.harness import Failed, eventually
from tests.e2e.traffic import asking
from tests.e2e.writers import NAMESPACE, Writers
from tools.machines import Lan, Machine

pytestmark = pytest.mark.root

DOCUMENT = Path(__file__).parents[2] / "docs" / "high-availability.md"
ETCD = {f"etcd-{number}": 10 + number for number in (1, 2, 3)}
OUTSIDE = 9
SPACE = "work"
SPREAD: dict[str, Any] = {
    "replicas": 3,
    "template": {
        "spec": {
            "tolerations": [
                {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
                for key in ("unreachable", "not-ready")
            ],
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"app": "front"}},
                    "matchLabelKeys": ["pod-template-hash"],
                }
            ],
        }
    },
}
"""The Deployment `front` of workloads.py, on every node, and moved as soon as one is given up."""


def documented(title: str) -> str:
    """The block of commands that begins with that line."""
    blocks: list[tuple[str, str]] = re.findall(r"^```sh\n# ([^\n]*)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return dict(blocks)[title]


def at_once(*calls: Callable[[], object]) -> None:
    with ThreadPoolExecutor() as pool:
        for made in [pool.submit(call) for call in calls]:
            made.result()


class World:
    """All of them, on one network."""

    def __init__(self, name: str, files: Path) -> None:
        self.lan = Lan(name)
        self.files = files
        self.nodes = {number: Machine(self.lan, number) for number in (1, 2, 3)}
        self.etcd = {name: Machine(self.lan, number) for name, number in ETCD.items()}
        self.outside = Machine(self.lan, OUTSIDE)
        self._members: list[subprocess.Popen[bytes]] = []

    def start_etcd(self) -> None:
        """As documented."""
        subprocess.run(["sh", "-ec", documented("etcd: certificates")], cwd=self.files, check=True, capture_output=True)
        for name, machine in self.etcd.items():
            place = {"NAME": name, "ADDRESS": machine.address, "PKI": str(self.files), "DATA": str(machine.state / "data")}
            script = documented("etcd: a member") + documented("etcd: start by hand")
            with open(self.files / f"{name}.log", "wb") as log:
                command = machine.netns.wrap(["sh", "-ec", script])
                environment = {**os.environ, **place}
                made = subprocess.Popen(command, cwd=machine.state, env=environment, stdout=log, stderr=log)
            self._members.append(made)

    def make_cluster(self) -> None:
        """Two machines with an API server, one that is a node only, and an image on each."""
        first = self.nodes[1]
        servers = ",".join(f"https://{machine.address}:2379" for machine in self.etcd.values())
        pki = self.files
        etcd = ("--etcd-cafile", f"{pki}/ca.crt", "--etcd-certfile", f"{pki}/client.crt", "--etcd-keyfile", f"{pki}/client.key")
        first.steersman("up", "--node-name", "node-1", "--node-monitor-grace-period", "30s", "--etcd-servers", servers, *etcd)
        also_control = first.steersman("token", "create", "--control-plane").strip()
        node_only = first.steersman("token", "create").strip()
        at_once(
            lambda: self.nodes[2].join(also_control, "--node-name", "node-2"),
            lambda: self.nodes[3].join(node_only, "--node-name", "node-3"),
        )
        at_once(*(lambda it=it: it.steersman("example", "--image-only", "1") for it in self.nodes.values()))

    def ask_etcd(self, name: str, target: str, *more: str) -> Any:
        """A member's answer, asked on its own machine."""
        files = ("--cacert", f"{self.files}/ca.crt", "--cert", f"{self.files}/client.crt", "--key", f"{self.files}/client.key")
        return json.loads(self.etcd[name].curl(f"https://127.0.0.1:2379{target}", *files, *more))

    def etcd_leader(self) -> str:
        """The member that leads."""
        for name in self.etcd:
            status = self.ask_etcd(name, "/v3/maintenance/status", "-XPOST", "-d{}")
            if status["leader"] == status["header"]["member_id"]:
                return name
        raise Failed("no member leads")

    def remove(self) -> None:
        try:
            at_once(*(machine.remove for machine in self.nodes.values()))
        finally:
            for member in self._members:
                member.kill()
                member.wait()
            for machine in (*self.etcd.values(), self.outside):
                machine.remove()
            self.lan.delete()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(f"stm-ha-{os.getpid()}", tmp_path_factory.mktemp("etcd"))
    try:
        made.start_etcd()
        made.make_cluster()
        workloads.begin(made.nodes[1], SPACE)
        yield made
    finally:
        made.remove()


def conditions(machine: Machine) -> dict[str, str]:
    """Node -> status, as `kubectl get nodes` has it."""
    lines = machine.kubectl("get", "nodes", "--no-headers").splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def api_servers(machine: Machine) -> set[str]:
    """Where the Service `kubernetes` leads."""
    slices = machine.get("endpointslice", "kubernetes")
    return {address for endpoint in slices["endpoints"] for address in endpoint["addresses"]}


def fronts(machine: Machine) -> list[str]:
    """The nodes of the pods of `front` that are there to stay."""
    items = machine.get("pods", "-n", SPACE, "-l", "app=front")["items"]
    return sorted(pod["spec"]["nodeName"] for pod in items if "deletionTimestamp" not in pod["metadata"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--certificate-key": "f" * 64}, "--certificate-key does not belong to the token"),
        ({"--certificate-key": "short"}, "--certificate-key must be 64 hexadecimal digits"),
        ({"--token": "abcdef.0123456789abcdef"}, "knows no valid token abcdef"),
        ({"--node-name": "node-3"}, "a node named node-3 is there already, and Ready"),
    ],
)
def test_a_control_plane_that_cannot_join_is_told_why_and_leaves_nothing(world: World, change: dict[str, str], said: str) -> None:
    words = {"--node-name": "other"}
    command = world.nodes[1].steersman("token", "create", "--control-plane").split()[3:]
    flags = [word for word in command if word != "--control-plane"]
    words |= dict(zip(flags[::2], flags[1::2], strict=True)) | change
    told = world.outside.steersman(
        "join", f"{world.nodes[2].address}:6443", "--control-plane", *(part for pair in words.items() for part in pair), code=1
    )
    assert said in told.splitlines()[-1]
    assert not list(world.outside.state.glob("pki/*")) and not (world.outside.state / "cluster.json").exists()


def test_keys_that_lie_ready_go_with_their_token_and_nodes_tokens_do_not_open_them(world: World) -> None:
    second = world.nodes[2]
    command = second.steersman("token", "create", "--control-plane").strip()
    token = command.split()[command.split().index("--token") + 1]
    name = f"steersman-certs-{token[:6]}"
    shown = second.kubectl("get", "secret", "-n", "kube-system", name, "-o", "jsonpath={.data}")
    assert "ca.key" in shown and "PRIVATE KEY" not in shown
    node_only = second.steersman("token", "create").strip()
    refused = world.outside.join(node_only, "--control-plane", "--certificate-key", command.split()[-1], code=1)
    assert "nodes can join, but no control plane" in refused
    second.steersman("token", "delete", token)
    eventually(lambda: "NotFound" in second.kubectl("get", "secret", "-n", "kube-system", name, code=None))
    eventually(lambda: "NotFound" in second.kubectl("get", "role", "-n", "kube-system", name, code=None))
    # Who joins asks what is published, which another controller takes back.
    published = ("get", "configmap", "cluster-info", "-n", "kube-public", "-o", "jsonpath={.data}")
    eventually(lambda: token[:6] not in second.kubectl(*published))
    refused = world.outside.join(command, code=1)
    assert f"knows no valid token {token[:6]}" in refused


def test_a_new_cluster_is_not_begun_in_an_etcd_that_holds_one(world: World) -> None:
    pki, member = world.files, world.etcd["etcd-1"]
    etcd = ("--etcd-cafile", f"{pki}/ca.crt", "--etcd-certfile", f"{pki}/client.crt", "--etcd-keyfile", f"{pki}/client.key")
    told = world.outside.steersman("up", "--etcd-servers", f"https://{member.address}:2379", *etcd, code=1)
    assert "holds the objects of another cluster" in told.splitlines()[-1]
    told = world.outside.steersman("up", "--etcd-servers", f"https://{member.address}:2379", code=1)
    assert "shows a certificate that is not trusted" in told.splitlines()[-1]
    assert not (world.outside.state / "cluster.json").exists()


def test_each_sort_of_workload_does_its_job(world: World) -> None:
    first, second = world.nodes[1], world.nodes[2]
    with told_of(world):
        workloads.indexed_job(second, SPACE)
        workloads.stateful_set(first, SPACE)
        workloads.daemon_set(second, SPACE)
        workloads.load_balancer(first, SPACE)
        workloads.autoscaler_up(second, SPACE)
        workloads.autoscaler_down(first, SPACE)
        workloads.drain(first, SPACE, "node-3")


def test_losing_machines_one_after_the_other_loses_nothing_else(world: World) -> None:
    first, second, third = (world.nodes[number] for number in (1, 2, 3))
    second.kubectl("patch", "deployment", "front", "-n", SPACE, "--type=strategic", "-p", json.dumps({"spec": SPREAD}))
    second.kubectl("rollout", "status", "-n", SPACE, "deployment/front", "--timeout=240s")
    assert fronts(second) == ["node-1", "node-2", "node-3"]
    eventually(lambda: api_servers(second) == {first.address, second.address})
    servers = {"node-1": first.kubeconfig, "node-2": second.kubeconfig}
    writers = Writers(world.outside.netns.name, servers, each=4, watched="node-2")
    url = f"{second.address}:8090"
    with writers.at_work(), asking(world.outside, url) as all_the_time:
        writing_goes_on(writers, "node-1", "node-2")
        member = eventually(world.etcd_leader)
        world.lan.cut(world.etcd[member])
        writing_goes_on(writers, "node-1", "node-2")

        world.lan.cut(first)
        writing_goes_on(writers, "node-2")
        beats(second, "node-3")
        eventually(lambda: api_servers(second) == {second.address}, what="the dead API server is out of the Service")
        service = second.get("service", "kubernetes")["spec"]["clusterIP"]
        for machine in (second, third):
            asks_the_living(machine, service)
        # A node that starts now knows where the other API server is.
        third.kill("node")
        beats(second, "node-3")
        assert f"{second.address}:6443" in (third.state / "api-servers.json").read_text()

        world.lan.cut(third)
        eventually(lambda: conditions(second) == {"node-1": "NotReady", "node-2": "Ready", "node-3": "NotReady"})
        eventually(lambda: fronts(second) == ["node-2"] * 3, what="the pods have moved")
        second.kubectl("rollout", "status", "-n", SPACE, "deployment/front", "--timeout=240s")
        # The rules follow; with as many answers in turn as there may be pods, old and new, none of them is dead.
        eventually(
            lambda: all("Hello" in world.outside.curl(f"http://{url}") for _ in range(6)), what="only the living are asked"
        )
        with asking(world.outside, url) as afterwards:
            writing_goes_on(writers, "node-2")
        assert afterwards.good > 0 and afterwards.bad == 0

        for machine in (world.etcd[member], first, third):
            world.lan.mend(machine)
        with told_of(world):
            eventually(lambda: set(conditions(second).values()) == {"Ready"}, what="all nodes are Ready")
        writing_goes_on(writers, "node-1", "node-2")
    assert all_the_time.good > all_the_time.bad
    workloads.cron_job(second, SPACE)
    assert_clean(world, writers)


@contextmanager
def told_of(world: World) -> Iterator[None]:
    """A failure within comes with what every machine was like."""
    try:
        yield
    except AssertionError:
        for machine in world.nodes.values():
            print(f"## {machine.name}\n{machine.condition()}\n{machine.run('ss', '-tnpoi', code=None)}")
        print(world.nodes[2].kubectl("get", "nodes,leases", "-A", "-o", "yaml", code=None))
        raise


def writing_goes_on(writers: Writers, *servers: str) -> None:
    before = {server: writers.acknowledged(server) for server in servers}
    eventually(
        lambda: all(writers.acknowledged(server) >= before[server] + 10 for server in servers),
        what=f"writes through {servers}",
    )


def asks_the_living(machine: Machine, service: str) -> None:
    """As pods do, by the Service's address."""
    eventually(lambda: {machine.curl(f"https://{service}/readyz", "-k") for _ in range(4)} == {"ok"})


def beats(machine: Machine, node: str) -> None:
    """The node's lease is renewed."""

    def renewed() -> str:
        return str(machine.get("lease", "-n", "kube-node-lease", node)["spec"]["renewTime"])

    before = renewed()
    eventually(lambda: renewed() > before, what=f"a heartbeat of {node}")


def assert_clean(world: World, writers: Writers) -> None:
    """What was cut off is a part of the whole again, and nothing is left of what moved."""
    first, second = world.nodes[1], world.nodes[2]
    eventually(lambda: api_servers(first) == {first.address, second.address} == api_servers(second))
    for machine in (first, second):
        writers.ledger.compare(machine.get("configmaps", "-n", NAMESPACE)["items"][:])
    eventually(lambda: all(world.ask_etcd(name, "/health") == {"health": "true"} for name in world.etcd), what="etcd is well")

    def settled() -> bool:
        """Each machine runs the pods that are bound to it, and no others."""
        for number, machine in world.nodes.items():
            pods = first.get("pods", "-A", "--field-selector", f"spec.nodeName=node-{number},status.phase=Running")["items"]
            links = machine.run("ip", "-o", "link", "show", "master", "steersman0").splitlines()
            if len(links) != len(pods):
                raise Failed(f"node-{number} has {len(links)} links for {[pod['metadata']['name'] for pod in pods]}")
        return True

    eventually(settled)
    for name in ("statefulset/db", "deployment/front", "daemonset/agent"):
        second.kubectl("rollout", "status", "-n", SPACE, name, "--timeout=240s")
    for pod in first.get("pods", "-n", SPACE, "-l", "app in (front, agent, db)")["items"]:
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0, pod["metadata"]["name"]
