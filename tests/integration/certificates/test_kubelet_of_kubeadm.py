"""`steersman kubelet` in the place of upstream's binary on a machine that kubeadm has prepared: its files, its command line.

A process of its own over a containerd; of the cluster it knows the address and a bootstrap token.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml
from tests.fakes import containerd as containerds
from tests.fakes.ports import reserved
from tests.integration.certificates.test_joining import ADDRESS, TOKEN, Cluster, cluster
from tests.integration.certificates.test_kubelet_configuration import KUBEADM, asked

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS, NODES, PODS
from steersman.cluster.commands import token as tokens
from steersman.cluster.settings import Paths
from steersman.cluster.up import cgroup_root
from steersman.cri.native import build
from steersman.cri.native.cgroups import Cgroups
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, condition, dig, is_condition_true, name_of

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(containerds.lacking()), reason=f"needs {containerds.lacking()}")]

STATIC = """
apiVersion: v1
kind: Pod
metadata: {name: static, namespace: kube-system}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, imagePullPolicy: Never, command: [sleep, "1000"]}]
"""
POD: Obj = {
    "metadata": {"name": "pod", "namespace": "default"},
    "spec": {
        "nodeName": "n1",
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {"name": "c", "image": "busybox", "imagePullPolicy": "Never", "command": ["sh", "-c", "echo out; sleep 1000"]}
        ],
    },
}


@dataclass
class Machine:
    """What kubeadm leaves on one, in a directory: /var/lib/kubelet/config.yaml, /etc/kubernetes."""

    root: Path
    runtime: str
    port: int

    def prepare(self, c: Cluster) -> None:
        assert c.files().bootstrap.exists()
        manifests = self.root / "manifests"
        manifests.mkdir()
        (manifests / "static.yaml").write_text(STATIC)
        given = yaml.safe_load(KUBEADM % {"ca": c.paths.pki / "ca.crt"})
        given |= {"staticPodPath": str(manifests), "address": "127.0.0.1", "port": self.port}
        # How full this machine's disk is is its own business.
        given |= {"evictionHard": {"memory.available": "100Mi"}, "imageGCHighThresholdPercent": 100}
        (self.root / "config.yaml").write_text(yaml.safe_dump(given))

    def command(self, c: Cluster) -> list[str]:
        """As kubeadm's drop-in for systemd and its kubeadm-flags.env have it."""
        flags = {
            "bootstrap-kubeconfig": c.directory / "bootstrap.conf",
            "kubeconfig": self.root / "kubelet.conf",
            "config": self.root / "config.yaml",
            "cert-dir": self.root / "pki",
            "container-runtime-endpoint": f"unix://{self.runtime}",
            "pod-infra-container-image": "registry.k8s.io/pause:3.10.1",
            "hostname-override": "n1",
            "node-ip": ADDRESS,
            "node-labels": "tier=edge,example.com/disk=",
            "register-with-taints": "dedicated=edge:NoSchedule,fresh:PreferNoSchedule",
            "v": "2",
        }
        return [sys.executable, "-m", "steersman", "kubelet", *(f"--{name}={value}" for name, value in flags.items())]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "STEERSMAN_STATE_DIR": str(self.root / "state"), "CONTAINER_RUNTIME_ENDPOINT": self.runtime}

    @contextmanager
    def kubelet(self, c: Cluster) -> Iterator[Path]:
        """Its log, while it runs. It ends in good order when told to."""
        log = self.root / "log"
        with log.open("ab") as out:
            process = subprocess.Popen(self.command(c), env=self.environment(), stdout=out, stderr=out)
        try:
            yield log
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()[-3000:]
        finally:
            process.kill()
            process.wait()

    def crictl(self, *words: str) -> str:
        command = [sys.executable, "-m", "steersman", "crictl", *words]
        return subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=True).stdout


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    archive = tmp_path / "busybox.tar"
    build.build_busybox(str(archive))
    # Not below pytest's folder: the path of a socket has 104 characters at most.
    with tempfile.TemporaryDirectory(prefix="stm-cri-") as folder, containerds.running(Path(folder), [archive]) as daemon:
        made = Machine(tmp_path, daemon.socket, reserved())
        try:
            yield made
        finally:
            made.crictl("rmp", "-af")
            Cgroups().remove(f"/{cgroup_root(Paths(tmp_path / 'state'))}")


async def running(c: Cluster, namespace: str, name: str) -> Obj:
    found: list[Obj] = []

    async def ready() -> bool:
        try:
            found[:] = [await c.admin.get(PODS, name, namespace)]
        except NotFound:
            return False
        return is_condition_true(found[0], "Ready")

    await c.until(ready)
    return found[0]


async def joined(c: Cluster) -> Obj:
    """The Node once it is ready; its range is given here, as no controller does it."""
    found: list[Obj] = []

    async def registered() -> bool:
        found[:] = (await c.admin.list(NODES))["items"]
        return bool(found)

    async def ready() -> bool:
        return await registered() and is_condition_true(found[0], "Ready")

    await c.until(registered)
    await c.admin.patch(NODES, "n1", {"spec": {"podCIDR": "10.244.0.0/24"}})
    await c.until(ready)
    return found[0]


def test_it_joins_by_kubeadms_command_line_and_runs_pods_over_containerd(machine: Machine, tmp_path: Path) -> None:
    async def scenario(c: Cluster) -> None:
        async def answers() -> bool:
            try:
                return bool(await asked(c, machine.port, "/configz"))
            except aiohttp.ClientError:
                return False

        await tokens.create(c.admin, TOKEN)
        machine.prepare(c)
        with machine.kubelet(c) as log:
            node = await joined(c)
            labels = node["metadata"]["labels"]
            assert (labels["tier"], labels["example.com/disk"], labels["kubernetes.io/hostname"]) == ("edge", "", "n1")
            taints = [(each["key"], each.get("value"), each["effect"]) for each in node["spec"]["taints"]]
            assert ("dedicated", "edge", "NoSchedule") in taints and ("fresh", None, "PreferNoSchedule") in taints
            assert {"type": "InternalIP", "address": ADDRESS} in node["status"]["addresses"]
            assert dig(node, "status", "nodeInfo", "containerRuntimeVersion").startswith("containerd://")
            assert dig(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port") == machine.port
            (user,) = yaml.safe_load((tmp_path / "kubelet.conf").read_text())["users"]
            assert user["user"]["client-certificate"] == str(tmp_path / "pki" / "kubelet-client-current.pem")

            mirror = await running(c, "kube-system", "static-n1")
            assert mirror["metadata"]["annotations"]["kubernetes.io/config.source"] == "file"
            await c.admin.create(PODS, POD, namespace="default")
            pod = await running(c, "default", "pod")
            assert pod["status"]["containerStatuses"][0]["containerID"].startswith("containerd://")
            shown = [re.split(" {3,}", line) for line in machine.crictl("pods").splitlines()]
            assert sorted(cells[3] for cells in shown) == ["NAME", "pod", "static-n1"], shown

            await c.until(answers)  # its certificate may still be on its way
            told = (await asked(c, machine.port, "/configz"))["kubeletconfig"]
            assert (told["clusterDNS"], told["rotateCertificates"]) == (["10.96.0.53"], True)
            asking = (await c.admin.list(CERTIFICATE_SIGNING_REQUESTS))["items"]
            assert {item["spec"]["username"] for item in asking} == {"system:bootstrap:abcdef", "system:node:n1"}
            assert all((condition(item, "Approved") or {}).get("status") == "True" for item in asking)
            assert " ERROR " not in log.read_text()

        # Started again without the token, as after a reboot: it has credentials of its own now, and its pods run on.
        (c.directory / "bootstrap.conf").unlink()
        with machine.kubelet(c):
            await c.until(answers)
            again = await running(c, "default", "pod")
            assert again["status"]["containerStatuses"][0]["restartCount"] == 0
            # With a grace period the API server waits for the kubelet's word.
            await c.admin.delete(PODS, "pod", namespace="default")

            async def gone() -> bool:
                return "pod" not in [name_of(each) for each in (await c.admin.list(PODS))["items"]]

            await c.until(gone)

    async def main() -> None:
        async with cluster(tmp_path / "cluster") as c:
            await scenario(c)

    asyncio.run(main())
