"""A cluster without a supervisor: every part a process of its own, started by its own command."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.harness import ADDRESS, Cluster, eventually

from steersman.cluster import kubeconfigs, pki
from steersman.cluster import settings as state
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.cluster.up import cgroup_root
from steersman.machinery.clock import RealClock
from steersman.machinery.meta import dig

NODE = "node-1"
LEASE_S = 20
_ELECTION = (
    f"--leader-elect-lease-duration={LEASE_S}s",
    "--leader-elect-renew-deadline=15s",
    "--leader-elect-retry-period=500ms",
)
"""Who leads goes on leading on a machine that stands still for ten seconds; who waits looks often."""
LEASES = {
    "scheduler": "kube-scheduler",
    "controller-manager": "kube-controller-manager",
    "cloud-controller-manager": "cloud-controller-manager",
}


@dataclass
class Part:
    """A process in the namespace, and what it wrote."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def says(self, text: str) -> None:
        """Wait until it does."""
        eventually(lambda: text in self.said, what=f"{self.log.stem} says: {text}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit code. nsenter becomes the command itself, so the pid is the part's own."""
        self.process.send_signal(number)
        return self.process.wait(120)


class Alone(Cluster):
    """`parts` by name; a second one of a kind is `scheduler-2`. settings_of_kubelet: more of its configuration,
    where max_pods and pids_limit (of a pod) are already."""

    settings_of_kubelet = ""
    max_pods, pids_limit = 23, 97

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.parts: dict[str, Part] = {}
        self.paths = Paths(self.state)
        self.settings = ClusterSettings(
            node_name=NODE, advertise_address=ADDRESS, store="etcd", cgroup_root=cgroup_root(self.paths)
        )
        pki.ensure(self.paths, self.settings, RealClock())
        kubeconfigs.ensure(self.paths, self.settings)

    def start(self, name: str, *command: str) -> Part:
        log = self.state / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(self.netns.wrap(list(command)), env=self.environment(), stdout=out, stderr=out)
        self.parts[name] = Part(process, log)
        return self.parts[name]

    def component(self, name: str, *flags: str, number: int = 1) -> Part:
        """One of those that need a kubeconfig."""
        config = self.paths.kubeconfigs / f"{name}.conf"
        stem = name if number == 1 else f"{name}-{number}"
        return self.start(stem, sys.executable, "-m", "steersman", name, "--kubeconfig", str(config), *flags)

    def etcd(self) -> None:
        own = self.paths.pki / "etcd"
        tls = (
            "--client-cert-auth",
            f"--trusted-ca-file={own}/ca.crt",
            f"--cert-file={own}/server.crt",
            f"--key-file={own}/server.key",
        )
        urls = ("--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379")
        self.start("etcd", "etcd", f"--data-dir={self.state}/etcd", *urls, *tls, "--enable-grpc-gateway=false")

    def apiserver(self) -> None:
        own = self.paths.pki
        flags = {
            "etcd-servers": "https://127.0.0.1:2379",
            "etcd-cafile": own / "etcd" / "ca.crt",
            "etcd-certfile": own / "apiserver-etcd-client.crt",
            "etcd-keyfile": own / "apiserver-etcd-client.key",
            "tls-cert-file": own / "apiserver.crt",
            "tls-private-key-file": own / "apiserver.key",
            "client-ca-file": own / "ca.crt",
            "service-account-signing-key-file": own / "sa.key",
            "kubelet-client-certificate": own / "apiserver-kubelet-client.crt",
            "kubelet-client-key": own / "apiserver-kubelet-client.key",
            "kubelet-certificate-authority": own / "ca.crt",
        }
        words = [f"--{name}={value}" for name, value in flags.items()]
        self.start("apiserver", sys.executable, "-m", "steersman", "apiserver", *words)

    def kubelet(self) -> None:
        """With a configuration file; one path in it is relative to it."""
        config = self.state / "kubelet.yaml"
        config.write_text(f"""
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {{x509: {{clientCAFile: {self.paths.pki}/ca.crt}}}}
clusterDNS: [{self.settings.dns_address}]
clusterDomain: {self.settings.cluster_domain}
failSwapOn: false
maxPods: {self.max_pods}
podPidsLimit: {self.pids_limit}
seccompDefault: true
tlsCertFile: {(self.paths.pki / "kubelet-serving.crt").relative_to(self.state)}
tlsPrivateKeyFile: {self.paths.pki}/kubelet-serving.key
{self.settings_of_kubelet}""")
        self.component("kubelet", f"--hostname-override={NODE}", f"--config={config}")

    def controllers(self, number: int = 1) -> None:
        own = self.paths.pki
        signing = (f"--cluster-signing-cert-file={own}/ca.crt", f"--cluster-signing-key-file={own}/ca.key")
        self.component("controller-manager", *signing, *_ELECTION, number=number)

    def elected(self, name: str, number: int = 1) -> None:
        """Each of the cloud controllers writes as its own account, whose rights are the cluster's own."""
        if name == "controller-manager":
            self.controllers(number)
        else:
            more = ("--use-service-account-credentials",) if name.startswith("cloud") else ()
            self.component(name, *_ELECTION, *more, number=number)

    def holder(self, name: str) -> str:
        found = self.get("lease", LEASES[name], "-n", "kube-system")
        return str(dig(found, "spec", "holderIdentity", default=""))

    def leader(self, name: str) -> str:
        """Which of the two, by what they say: "" if neither has said that it leads what the lease says."""
        identity = self.holder(name)
        for stem in (name, f"{name}-2"):
            part = self.parts.get(stem)
            alive = part is not None and part.process.poll() is None
            if (
                alive
                and identity
                and f"became leader lease=kube-system/{LEASES[name]} identity={identity}" in self.parts[stem].said
            ):
                return stem
        return ""

    def led_by(self, name: str, stem: str, within_s: float = 180) -> None:
        """Wait until it is."""
        eventually(lambda: self.leader(name) == stem, within_s=within_s, what=f"{stem} leads")

    def answers(self, address: str) -> None:
        """Wait until the example does, there."""
        eventually(lambda: "Hello from hello-" in self.curl(f"http://{address}/"), what=f"{address} answers")

    def remove(self) -> None:
        """The parts, then what a node leaves in the kernel, which is `down`'s business."""
        for part in reversed(list(self.parts.values())):
            if part.process.poll() is None:
                part.process.kill()
                part.process.wait()
        state.save(self.paths, self.settings)
        super().remove()
