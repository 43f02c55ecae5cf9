"""A cluster of several machines, made by the commands of docs/high-availability.md, that loses some of them.

Three etcd members, two API servers, three nodes, each in a network namespace of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.harness import eventually
from tools.machines import Lan, Machine

pytestmark = pytest.mark.root

DOCUMENT = Path(__file__).parents[2] / "docs" / "high-availability.md"
ETCD = {f"etcd-{number}": 10 + number for number in (1, 2, 3)}


def documented(title: str) -> str:
    """The block of commands that begins with that line."""
    blocks: list[tuple[str, str]] = re.findall(r"^```sh\n# ([^\n]*)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return dict(blocks)[title]


class World:
    """All of them, on one network."""

    def __init__(self, name: str, files: Path) -> None:
        self.lan = Lan(name)
        self.files = files
        self.nodes = {number: Machine(self.lan, number) for number in (1, 2, 3)}
        self.etcd = {name: Machine(self.lan, number) for name, number in ETCD.items()}
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

    def remove(self) -> None:
        try:
            for number in sorted(self.nodes, reverse=True):
                self.nodes[number].remove()
        finally:
            for member in self._members:
                member.kill()
                member.wait()
            for machine in self.etcd.values():
                machine.remove()
            self.lan.delete()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(f"stm-ha-{os.getpid()}", tmp_path_factory.mktemp("etcd"))
    try:
        made.start_etcd()
        first = made.nodes[1]
        pki = made.files
        servers = ",".join(f"https://{machine.address}:2379" for machine in made.etcd.values())
        etcd = ("--etcd-cafile", f"{pki}/ca.crt", "--etcd-certfile", f"{pki}/client.crt", "--etcd-keyfile", f"{pki}/client.key")
        first.steersman("up", "--node-name", "node-1", "--etcd-servers", servers, *etcd)
        print(first.steersman("token", "create", "--control-plane"))
        made.nodes[2].join(first.steersman("token", "create", "--control-plane").strip(), "--node-name", "node-2")
        made.nodes[3].join(first.steersman("token", "create").strip(), "--node-name", "node-3")
        yield made
    finally:
        made.remove()


def test_it_is_up(world: World) -> None:
    first = world.nodes[1]
    assert "node-1" in first.kubectl("get", "nodes")
    print(first.steersman("status"))
    print(world.nodes[2].steersman("up"))
    print(first.kubectl("get", "nodes", "-o", "wide"))
    print(first.kubectl("get", "endpoints,endpointslices,leases,secrets", "-A"))
    print(world.nodes[2].steersman("status"))
    print(world.nodes[3].steersman("status"))
    import time
    time.sleep(300) if os.environ.get("STAY") else 0
    eventually(lambda: first.get("configmap", "-n", "kube-public", "cluster-info"))
