"""A node whose pods are wired by CNI plugins, as a configuration says that somebody else wrote; what happens when it is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.harness import ADDRESS, eventually
from tools.throwaway import Cluster

pytestmark = [pytest.mark.root, pytest.mark.skipif(not Path("/usr/lib/cni/bridge").exists(), reason="needs CNI's plugins")]

_PODS = "10.22.0."
_POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: "steersman.example/hello:1", ports: [{containerPort: 8080, hostPort: PORT}]}
"""


class Machine(Cluster):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.conf = self.state / "net.d"
        self.conf.mkdir()

    def configure(self) -> None:
        ipam = {"type": "host-local", "ranges": [[{"subnet": f"{_PODS}0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
        bridge = {"type": "bridge", "bridge": "cni-test", "isGateway": True, "hairpinMode": True}
        bridge["ipam"] = {**ipam, "dataDir": str(self.state / "addresses")}
        plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
        text = json.dumps({"cniVersion": "0.4.0", "name": "test", "plugins": plugins})
        (self.conf / "10-test.conflist").write_text(text)

    def misconfigure(self) -> None:
        plugins = [{"type": "no-such-plugin"}]
        text = json.dumps({"cniVersion": "0.4.0", "name": "wrong", "plugins": plugins})
        (self.conf / "00-wrong.conflist").write_text(text)

    def pod(self, name: str, host_port: int) -> None:
        self.apply(_POD.replace("NAME", name).replace("PORT", str(host_port)))

    def ready(self) -> Any:
        return next(item for item in self.get("node", "node-1")["status"]["conditions"] if item["type"] == "Ready")

    def messages(self, reason: str) -> list[str]:
        found = self.get("events", "--field-selector", f"reason={reason}")["items"]
        return [item["message"] for item in found]


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine(f"stm-cni-{os.getpid()}")
    try:
        yield made
    finally:
        made.remove()


def test_pods_are_wired_as_the_configuration_says_and_its_faults_are_told(machine: Machine) -> None:
    machine.configure()
    machine.steersman("up", "--node-name", "node-1", "--cni-conf-dir", str(machine.conf))
    machine.steersman("example", "--image-only", "1")
    machine.pod("first", 18080)
    machine.kubectl("wait", "pod/first", "--for=condition=Ready", "--timeout=240s")
    address = machine.get("pod", "first")["status"]["podIP"]
    assert address.startswith(_PODS) and (machine.state / "addresses" / "test" / address).exists()
    machine.kubectl("expose", "pod", "first", "--port=80", "--target-port=8080", "--name=web")
    service = machine.get("service", "web")["spec"]["clusterIP"]
    for place in (f"{address}:8080", f"{ADDRESS}:18080", service):
        assert "first" in eventually(partial(machine.curl, f"http://{place}"))
    eventually(lambda: "first" in machine.kubectl("exec", "first", "--", "wget", "-qO-", "http://web"), what="the name is known")

    machine.misconfigure()
    machine.pod("second", 18081)
    text = 'failed to find plugin "no-such-plugin" in path [/opt/cni/bin /usr/lib/cni]'
    told = eventually(lambda: machine.messages("FailedCreatePodSandBox"))
    assert told[0].startswith('Failed to create pod sandbox: failed to setup network for sandbox "') and told[0].endswith(text)
    (machine.conf / "00-wrong.conflist").unlink()
    machine.kubectl("wait", "pod/second", "--for=condition=Ready", "--timeout=240s")

    (machine.conf / "10-test.conflist").unlink()
    eventually(lambda: machine.ready()["status"] == "False")
    start = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns"
    assert machine.ready()["message"].startswith(f"{start} error: cni plugin not initialized")
    # What is there can still go, by the plugins that made it.
    machine.kubectl("delete", "pod", "first", "--timeout=240s")
    eventually(lambda: not (machine.state / "addresses" / "test" / address).exists(), what="the address given back")
    machine.configure()
    eventually(lambda: machine.ready()["status"] == "True")

    machine.steersman("down")
    assert [each.name for each in (machine.state / "addresses" / "test").glob(f"{_PODS}*")] == []
