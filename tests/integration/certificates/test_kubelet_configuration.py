"""A kubelet as kubeadm starts it: its configuration in a file, a bootstrap kubeconfig, and an API server; no more."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from tests.integration.certificates.test_joining import ADDRESS, TOKEN, Cluster, cluster

from steersman.api.resources import CERTIFICATE_SIGNING_REQUESTS, NODES
from steersman.client.interface import Client
from steersman.cluster import bootstrapped, kubeletsettings
from steersman.cluster.commands import token as tokens
from steersman.cluster.signing import LONGEST
from steersman.cluster.simulated import SimulatedReach
from steersman.cri.simulated.images import SimulatedImages
from steersman.cri.simulated.runtime import SimulatedRuntime
from steersman.kubelet import run as kubelet_run
from steersman.kubelet.certificates import CLIENT_FILE, SERVING_FILE, Pair, Rotation
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.configuration import effective
from steersman.machinery.clock import Clock, RealClock
from steersman.machinery.meta import Obj, condition, dig

KUBEADM = """
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {cacheTTL: 0s, enabled: true}
  x509: {clientCAFile: %(ca)s}
authorization:
  mode: Webhook
  webhook: {cacheAuthorizedTTL: 0s, cacheUnauthorizedTTL: 0s}
cgroupDriver: systemd
clusterDNS: [10.96.0.53]
clusterDomain: cluster.example
containerRuntimeEndpoint: ""
cpuManagerReconcilePeriod: 0s
crashLoopBackOff: {}
evictionPressureTransitionPeriod: 0s
failSwapOn: false
fileCheckFrequency: 0s
healthzBindAddress: 127.0.0.1
healthzPort: 0
httpCheckFrequency: 0s
imageMaximumGCAge: 0s
imageMinimumGCAge: 0s
logging: {flushFrequency: 0, options: {json: {infoBufferSize: "0"}, text: {infoBufferSize: "0"}}, verbosity: 0}
memorySwap: {}
nodeStatusReportFrequency: 0s
nodeStatusUpdateFrequency: 0s
rotateCertificates: true
serverTLSBootstrap: true
runtimeRequestTimeout: 0s
shutdownGracePeriod: 0s
shutdownGracePeriodCriticalPods: 0s
staticPodPath: manifests
streamingConnectionIdleTimeout: 0s
syncFrequency: 0s
volumeStatsAggPeriod: 0s
"""
DROP_IN = """
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 17
authentication: {webhook: {cacheTTL: 1m}}
registerWithTaints: [{key: new, effect: NoSchedule}]
"""


def written(directory: Path, c: Cluster) -> Obj:
    """The configuration, from a file and a drop-in directory."""
    (directory / "kubelet.conf.d").mkdir()
    (directory / "config.yaml").write_text(KUBEADM % {"ca": c.paths.pki / "ca.crt"})
    (directory / "kubelet.conf.d" / "10-more.conf").write_text(DROP_IN)
    given = kubeletsettings.read(directory / "config.yaml", directory / "kubelet.conf.d")
    assert given is not None
    return given


@asynccontextmanager
async def joined(c: Cluster, given: Obj, aging: Clock | None = None) -> AsyncIterator[KubeletConfig]:
    """A kubelet over a simulated runtime that knows no more than its configuration and its bootstrap kubeconfig.

    aging: the clock of who looks after its certificates.
    """
    await tokens.create(c.admin, TOKEN)
    clock = RealClock()
    machine: dict[str, Any] = {"enforce_cgroups": False, "secrets_in_memory": False, "node_ip": ADDRESS}
    plain = KubeletConfig(node_name="n1", root_dir=c.directory / "kubelet", pod_logs_dir=c.directory / "logs", **machine)
    config = dataclasses.replace(effective.apply(plain, given), port=0, address="127.0.0.1")
    images = SimulatedImages(clock)
    async with SimulatedRuntime(clock, images) as runtime, asyncio.TaskGroup() as group:

        async def kubelet(client: Client, config: KubeletConfig, rotation: Rotation | None) -> None:
            await kubelet_run.run(config, client, runtime, images, clock, reach=SimulatedReach(runtime), rotation=rotation)

        running = group.create_task(bootstrapped.run(c.files(), config, aging or clock, kubelet, kubeletsettings.keeping(given)))
        yield config
        running.cancel()


async def ready(c: Cluster) -> Obj:
    found: list[Obj] = []

    async def registered() -> bool:
        return bool((await c.admin.list(NODES))["items"])

    await c.until(registered)
    await c.admin.patch(NODES, "n1", {"spec": {"podCIDR": "10.244.0.0/24"}})

    async def shown() -> bool:
        found[:] = [
            node for node in (await c.admin.list(NODES))["items"] if (condition(node, "Ready") or {}).get("status") == "True"
        ]
        return bool(found)

    await c.until(shown)
    return found[0]


async def asked(c: Cluster, port: int, path: str) -> Any:
    """What the kubelet answers the cluster's administrator, who trusts the cluster's CA."""
    tls = ssl.create_default_context(cafile=str(c.paths.pki / "ca.crt"))
    tls.load_cert_chain(c.paths.pki / "admin.crt", c.paths.pki / "admin.key")
    connector = aiohttp.TCPConnector(ssl=tls, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get(f"https://127.0.0.1:{port}{path}", server_hostname="n1") as answer:
            return await answer.json()


def test_a_kubelet_joins_with_what_kubeadm_writes_and_shows_what_is_in_force(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as c:
            async with joined(c, written(tmp_path, c)) as config:
                assert config.static_pod_path == tmp_path / "manifests"
                node = await ready(c)
                assert node["status"]["capacity"]["pods"] == "17"
                assert {"key": "new", "effect": "NoSchedule"} in node["spec"]["taints"]
                port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
                shown: Obj = {}

                async def trusted() -> bool:
                    try:
                        shown.update((await asked(c, port, "/configz"))["kubeletconfig"])
                    except aiohttp.ClientError:
                        return False
                    return True

                # Until its certificate is approved, nobody trusts it.
                await c.until(trusted)
                assert shown["clusterDNS"] == ["10.96.0.53"] and shown["clusterDomain"] == "cluster.example"
                assert shown["maxPods"] == 17 and shown["syncFrequency"] == "1m0s"
                assert dig(shown, "authentication", "webhook", "cacheTTL") == "1m0s"
                assert dig(shown, "authentication", "x509", "clientCAFile") == str(c.paths.pki / "ca.crt")

    asyncio.run(scenario())


class Aging(RealClock):
    """Of who looks after the certificates: it looks often, and when told sees that they are late in their life."""

    late = False

    def now(self) -> datetime:
        return super().now() + LONGEST * 0.95 * self.late

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.1))


def test_certificates_late_in_their_life_are_replaced_and_nothing_stops(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as c:
            aging = Aging()
            async with joined(c, written(tmp_path, c), aging):
                files = [c.directory / "pki" / name for name in (CLIENT_FILE, SERVING_FILE)]
                port = (await ready(c))["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
                first: dict[Path, int] = {}

                async def of_the_cluster() -> bool:
                    for path in files:
                        made = Pair(path).certificate
                        if "placeholder" not in made.subject.rfc4514_string():
                            first.setdefault(path, made.serial_number)
                    return len(first) == 2

                await c.until(of_the_cluster)

                async def replaced() -> bool:
                    assert (condition(await c.admin.get(NODES, "n1"), "Ready") or {})["status"] == "True"
                    return all(Pair(path).certificate.serial_number != first[path] for path in files)

                aging.late = True
                await c.until(replaced)
                aging.late = False
                assert (await asked(c, port, "/configz"))["kubeletconfig"]["maxPods"] == 17
                requests = (await c.admin.list(CERTIFICATE_SIGNING_REQUESTS))["items"]
                assert {item["spec"]["username"] for item in requests} == {"system:bootstrap:abcdef", "system:node:n1"}
                issued = x509.load_pem_x509_certificate((c.paths.pki / "ca.crt").read_bytes())
                for path in files:
                    Pair(path).certificate.verify_directly_issued_by(issued)

    asyncio.run(scenario())


def test_without_bootstrap_of_its_serving_certificate_the_node_makes_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as c:
            given = {**written(tmp_path, c), "serverTLSBootstrap": False}
            async with joined(c, given):
                await ready(c)
                made = Pair(c.directory / "pki" / "kubelet.pem").certificate
                assert made.subject == made.issuer and (made.not_valid_after_utc - made.not_valid_before_utc).days == 365
                requests = (await c.admin.list(CERTIFICATE_SIGNING_REQUESTS))["items"]
                assert [item["spec"]["signerName"] for item in requests] == ["kubernetes.io/kube-apiserver-client-kubelet"]

    asyncio.run(scenario())
