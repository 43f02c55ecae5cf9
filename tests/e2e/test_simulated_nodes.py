"""`up --simulated-nodes` as a user types it who is not root: nodes, pods, logs, status, down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.harness import Failed, eventually
from tests.fakes.ports import reserved

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")


class User:
    """Somebody with a home directory and no rights. Tests that run as root leave it: in a user namespace of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = home / ".local" / "state" / "steersman"
        self._lead = ["unshare", "--user", "--"] if os.geteuid() == 0 else []
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in ("XDG_STATE_HOME", "STEERSMAN_STATE_DIR")},
            "HOME": str(home),
            "KUBECONFIG": str(self.state / "kubeconfig" / "admin.conf"),
            "KUBECACHEDIR": str(home / "cache"),
        }

    def run(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            [*self._lead, *command], env=self._environment, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode != code:
            raise Failed(f"{' '.join(command)} ended with {done.returncode}, not {code}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def steersman(self, *arguments: str, code: int = 0) -> str:
        return self.run(sys.executable, "-m", "steersman", *arguments, code=code)

    def kubectl(self, *arguments: str) -> str:
        return self.run("kubectl", *arguments)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))


@pytest.fixture
def user() -> Iterator[User]:
    made = User(Path(tempfile.mkdtemp(prefix="stm-user-", dir="/var/tmp")))
    try:
        yield made
    finally:
        if made.state.exists():
            made.steersman("down", "--delete")
        shutil.rmtree(made.home)


def test_a_user_without_rights_has_a_cluster_of_simulated_nodes(user: User) -> None:
    refused = user.steersman("up", code=1)
    assert "a node needs root" in refused and "--simulated-nodes" in refused
    port = str(reserved())
    assert "5 Ready" in user.steersman("up", "--simulated-nodes", "5", "--secure-port", port)
    assert user.kubectl("get", "nodes").count(" Ready ") == 5
    assert user.get("node", "sim-0001")["metadata"]["labels"]["topology.kubernetes.io/zone"] == "zone-b"
    assert "Nodes       5 of 5 Ready" in user.steersman("status")

    user.kubectl("create", "deployment", "web", "--image", "nginx", "--replicas", "10")
    user.kubectl("rollout", "status", "deployment/web", "--timeout", "240s")
    pods = user.get("pods")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {f"sim-000{number}" for number in range(1, 6)}
    assert user.kubectl("exec", pods[0]["metadata"]["name"], "--", "hostname").strip() == pods[0]["metadata"]["name"]
    user.kubectl("run", "talks", "--image", "busybox", "--restart", "Never", "--", "sh", "-c", "echo hello; exit 3")
    eventually(lambda: user.get("pod", "talks")["status"]["phase"] == "Failed")
    eventually(lambda: user.kubectl("logs", "talks") == "hello\n")

    assert "cannot change" in user.steersman("up", "--simulated-nodes", "6", code=1)
    user.steersman("down")
    assert "is down" in user.steersman("status", code=1)
    user.steersman("up")
    running = ["pods", "-l", "app=web", "--field-selector", "status.phase=Running"]
    eventually(lambda: len(user.get(*running)["items"]) == 10, what="the pods, started anew")
    user.steersman("down", "--delete")
    assert not user.state.exists()
