"""A whole cluster in a network namespace of its own, driven by the commands a person would type (tests, benchmarks).

Nothing of it touches the machine's own network: the namespace has an interface to nowhere, with a documentation address (RFC
5737), and every command runs inside. The mount namespace stays the machine's, as on a real node.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ADDRESS = "198.51.100.1"


class Failed(AssertionError):
    """A command ended with another code than expected; says which, and what it printed."""


class Namespace:
    """A network namespace, made by subclasses."""

    def __init__(self, name: str) -> None:
        self.name = name

    def wrap(self, command: list[str]) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]

    def delete(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False)


class NetNS(Namespace):
    """A network namespace with an address and a default route that leads nowhere."""

    def __init__(self, name: str, address: str = ADDRESS) -> None:
        super().__init__(name)
        for command in (
            f"ip netns add {name}",
            f"ip -n {name} link set lo up",
            f"ip -n {name} link add eth0 type veth peer name peer0",
            f"ip -n {name} addr add {address}/24 dev eth0",
            f"ip -n {name} link set peer0 up",
            f"ip -n {name} link set eth0 up",
            f"ip -n {name} route add default dev eth0",
        ):
            subprocess.run(command.split(), check=True)


class Cluster:
    """A cluster made by `steersman up` in a namespace and a state directory of its own."""

    def __init__(self, name: str, netns: Namespace | None = None) -> None:
        self.netns = netns or NetNS(name)
        self.state = Path(tempfile.mkdtemp(prefix="stm-", dir="/var/tmp"))
        self.kubeconfig = self.state / "kubeconfig" / "admin.conf"

    def environment(self) -> dict[str, str]:
        """kubectl's discovery cache is by address, and every throw-away cluster has the same one: it gets its own."""
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.state / "kubectl-cache"),
            "STEERSMAN_STATE_DIR": str(self.state),
        }

    def run(self, *command: str, stdin: str = "", code: int | None = 0, timeout_s: float = 300) -> str:
        """Run a command inside; its output (stdout, then stderr). `code` None = any exit code."""
        environment = self.environment()
        done = subprocess.run(
            self.netns.wrap(list(command)),
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
            timeout=timeout_s,
            check=False,
        )
        if code is not None and done.returncode != code:
            raise Failed(f"{' '.join(command)} ended with {done.returncode}, not {code}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def popen(self, *command: str, **more: Any) -> subprocess.Popen[str]:
        """Start a command inside and leave it running: the caller ends it."""
        environment = self.environment()
        return subprocess.Popen(
            self.netns.wrap(list(command)), env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
        )

    def steersman(self, *arguments: str, code: int | None = 0, timeout_s: float = 300) -> str:
        return self.run(sys.executable, "-m", "steersman", *arguments, code=code, timeout_s=timeout_s)

    def kubectl(self, *arguments: str, stdin: str = "", code: int | None = 0, timeout_s: float = 300) -> str:
        return self.run("kubectl", *arguments, stdin=stdin, code=code, timeout_s=timeout_s)

    def apply(self, manifest: str, *, namespace: str = "default") -> str:
        return self.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest)

    def get(self, *arguments: str) -> Any:
        """An object, or a list, decoded."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def curl(self, url: str, *more: str) -> str:
        return self.run("curl", "-sS", "--connect-timeout", "15", "--max-time", "60", *more, url)

    def pid(self, part: str) -> int:
        """The process of a part: supervisor, apiserver, control or node."""
        return int((self.state / "run" / f"{part}.pid").read_text() or 0)

    def kill(self, part: str) -> int:
        """kill -9; the pid it had."""
        # For a moment the file is empty, when a part has just been started; and 0 would be whoever asks.
        while not (pid := self.pid(part)):
            os.sched_yield()
        os.kill(pid, signal.SIGKILL)
        return pid

    def condition(self) -> str:
        """For who must find out why a test failed: pods and Services, the node's network, the ends of the logs."""
        commands = (
            "kubectl get pods,services,endpointslices -A -o wide",
            "nft list table ip kube-proxy",
            "ip neigh",
            "bridge fdb show",
            "cat /proc/net/nf_conntrack",
        )
        seen = [f"# {command}\n{self._said(*command.split())}" for command in commands]
        logs = sorted((self.state / "logs").glob("*.log"))
        seen += [f"# {log.name}\n{''.join(log.read_text(errors='replace').splitlines(True)[-40:])}" for log in logs]
        return "\n".join(seen)

    def _said(self, *command: str) -> str:
        """What hangs is told, and does not hide the failure."""
        try:
            return self.run(*command, code=None, timeout_s=30)
        except subprocess.TimeoutExpired as late:
            return str(late)

    def up(self) -> str:
        return self.steersman("up", "--node-name", "node-1")

    def remove(self) -> None:
        """`down --delete`, and whatever else is needed so that nothing is left."""
        try:
            if (self.state / "cluster.json").exists():
                self.steersman("down", "--delete")
        finally:
            shutil.rmtree(self.state, ignore_errors=True)
            self.netns.delete()
