"""A cluster of processes on the loopback interface, without root: `steersman apiserver`, and the control plane with two nodes.

The nodes are simulated: real kubelets whose containers are scripts. What is not here: the clients; each has its own module.

Run as a program (`python -m tests.integration.clients.served DIRECTORY PORT`) it is the second of the two processes.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.harness import eventually

from steersman.cluster import controlling, kubeconfigs, nodeparts, pki
from steersman.cluster.process import run_part
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import Clock, RealClock

NODES = 2
PATIENCE_S = 60
"""So that a wait in vain ends; nothing here is about how fast anything is."""
_READY = re.compile(r"api server ready: address=\S+ port=(\d+)")


def settings_for(port: int) -> ClusterSettings:
    return ClusterSettings(node_name="machine", advertise_address="127.0.0.1", secure_port=port, simulated_nodes=NODES)


class Served:
    """Two processes; `end` stops them. `kubeconfig` is the administrator's."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths(directory)
        self._processes: list[subprocess.Popen[str]] = []
        pki.ensure(self.paths, settings_for(0), RealClock())
        try:
            self.port = self._apiserver()
            kubeconfigs.ensure(self.paths, settings_for(self.port))
            here = ("-m", "tests.integration.clients.served", str(directory), str(self.port))
            self._start("control", *here)
        except BaseException:
            self.end()
            raise

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.paths.admin_kubeconfig

    @property
    def ca(self) -> Path:
        return self.paths.pki / "ca.crt"

    def log(self, name: str) -> Path:
        return self.paths.state / f"{name}.log"

    @property
    def is_running(self) -> bool:
        return all(process.poll() is None for process in self._processes)

    def _start(self, name: str, *words: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "STEERSMAN_STATE_DIR": str(self.paths.state)}
        with self.log(name).open("w") as out:
            process = subprocess.Popen([sys.executable, *words], stdout=out, stderr=out, env=environment, text=True)
        self._processes.append(process)
        return process

    def _apiserver(self) -> int:
        own = self.paths.pki
        flags = {
            "store": self.paths.state / "store.db",
            "secure-port": 0,
            "bind-address": "127.0.0.1",
            "advertise-address": "192.0.2.1",
            "tls-cert-file": own / "apiserver.crt",
            "tls-private-key-file": own / "apiserver.key",
            "client-ca-file": own / "ca.crt",
            "service-account-signing-key-file": own / "sa.key",
            "kubelet-client-certificate": own / "apiserver-kubelet-client.crt",
            "kubelet-client-key": own / "apiserver-kubelet-client.key",
            "kubelet-certificate-authority": own / "ca.crt",
        }
        process = self._start(
            "apiserver", "-m", "steersman", "apiserver", *(f"--{name}={value}" for name, value in flags.items())
        )

        def ready() -> re.Match[str] | None:
            if process.poll() is not None:
                raise AssertionError(self.log("apiserver").read_text())
            return _READY.search(self.log("apiserver").read_text())

        return int(eventually(ready, what="the API server is ready")[1])

    def end(self) -> None:
        """The second process first: what it holds it gives back to the API server."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def control_and_nodes(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    scheduler, manager = (paths.kubeconfigs / f"{name}.conf" for name in ("scheduler", "controller-manager"))
    async with asyncio.TaskGroup() as group:
        group.create_task(controlling.scheduler(scheduler, clock, None))
        group.create_task(controlling.controller_manager(manager, None, settings.cluster_cidr, clock, None))
        group.create_task(nodeparts.simulated_nodes(paths, settings, clock))


if __name__ == "__main__":
    run_part(control_and_nodes, Paths(Path(sys.argv[1])), settings_for(int(sys.argv[2])))
