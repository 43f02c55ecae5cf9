"""Pages of a scheduler and a controller manager: health for everybody, metrics for those who may, under upstream's names."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.fakes.ports import reserved
from tests.fakes.server import config, pod

from steersman.api.resources import CLUSTER_ROLE_BINDINGS, PODS, SERVICE_ACCOUNTS
from steersman.apiserver.run import APIServer
from steersman.client.http import HttpTransport
from steersman.client.rest import RestClient
from steersman.cluster import controlling, kubeconfigs, pki
from steersman.cluster.componentserver import Pages, serving
from steersman.cluster.leading import Election
from steersman.cluster.observed import Observed
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import RealClock
from steersman.machinery.meta import Obj
from steersman.store.memory import MemoryStore

CLOCK = RealClock()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = Paths(tmp_path_factory.mktemp("state"))
    pki.ensure(state, ClusterSettings(node_name="n1", advertise_address="127.0.0.1"), CLOCK)
    return state.state


@asynccontextmanager
async def running(state: Path) -> AsyncIterator[tuple[APIServer, RestClient]]:
    """An API server whose kubeconfigs are in the state directory, and an administrator."""
    certificates, store = Paths(state).pki, MemoryStore(CLOCK)
    server = APIServer(config(certificates, advertise_address="192.0.2.1"), store, CLOCK)
    await server.start()
    try:
        settings = ClusterSettings(node_name="n1", advertise_address="127.0.0.1", secure_port=server.port)
        kubeconfigs.ensure(Paths(state), settings)
        transport = HttpTransport(
            f"https://127.0.0.1:{server.port}",
            ca=certificates / "ca.crt",
            cert=certificates / "admin.crt",
            key=certificates / "admin.key",
        )
        admin = RestClient(transport)
        try:
            yield server, admin
        finally:
            await admin.close()
    finally:
        await server.stop()
        await store.close()


async def ask(
    state: Path, port: int, target: str, *, certificate: str = "", token: str = "", method: str = "GET"
) -> tuple[int, str]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        directory = Paths(state).pki
        context.load_cert_chain(directory / f"{certificate}.crt", directory / f"{certificate}.key")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split(" ")[1]), body


async def token_of(admin: RestClient, name: str) -> str:
    await admin.create(SERVICE_ACCOUNTS, {"metadata": {"name": name, "namespace": "default"}})
    review: Obj = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await admin.create(SERVICE_ACCOUNTS, review, "default", name=name, subresource="token")
    return str(answer["status"]["token"])


def test_the_pages_are_for_those_who_may_and_health_for_everybody(paths: Path) -> None:
    async def scenario() -> None:
        async with running(paths) as (_, admin):
            observed = Observed("kube-scheduler", leads=True)
            pages = Pages(bind_address="127.0.0.1", port=0, client_ca=Paths(paths).pki / "ca.crt")
            async with serving(pages, observed, admin, CLOCK) as port:
                for target in ("/healthz", "/livez", "/readyz", "/livez/ping", "/healthz/leaderElection"):
                    assert await ask(paths, port, target) == (200, "ok")
                verbose = "[+]ping ok\n[+]leaderElection ok\nhealthz check passed\n"
                assert await ask(paths, port, "/healthz?verbose") == (200, verbose)
                assert (await ask(paths, port, "/healthz/nothing"))[0] == 404
                refusal = 'forbidden: User "system:anonymous" cannot get path "/metrics"\n'
                assert await ask(paths, port, "/metrics") == (403, refusal)
                assert (await ask(paths, port, "/metrics", certificate="admin"))[0] == 200
                assert (await ask(paths, port, "/metrics", certificate="scheduler"))[0] == 403
                assert (await ask(paths, port, "/metrics", token="nonsense"))[0] == 401
                assert (await ask(paths, port, "/nowhere", certificate="admin"))[0] == 404
                assert (await ask(paths, port, "/metrics", certificate="admin", method="POST"))[0] == 405
                token = await token_of(admin, "prometheus")
                assert (await ask(paths, port, "/metrics", token=token))[0] == 403
                role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:monitoring"}
                subject = {"kind": "ServiceAccount", "name": "prometheus", "namespace": "default"}
                binding: Obj = {"metadata": {"name": "monitoring"}, "roleRef": role, "subjects": [subject]}
                await admin.create(CLUSTER_ROLE_BINDINGS, binding)
                # The refusal is remembered for some seconds, by user: another server has not heard it.
                async with serving(pages, observed, admin, CLOCK) as other:
                    assert (await ask(paths, other, "/metrics", token=token))[0] == 200

    asyncio.run(scenario())


def test_a_scheduler_and_a_controller_manager_tell_what_they_do(paths: Path) -> None:
    async def scenario() -> None:
        async with running(paths) as (_, admin), asyncio.TaskGroup() as tasks:
            ca, state = Paths(paths).pki / "ca.crt", Paths(paths)
            ports = {name: reserved() for name in ("scheduler", "manager")}
            pages = {name: Pages(bind_address="127.0.0.1", port=port, client_ca=ca) for name, port in ports.items()}
            election = Election(name="kube-scheduler")
            scheduling = controlling.scheduler(state.kubeconfigs / "scheduler.conf", CLOCK, election, pages["scheduler"])
            managing = controlling.controller_manager(
                state.kubeconfigs / "controller-manager.conf", None, "10.244.0.0/16", CLOCK, None, pages=pages["manager"]
            )
            working = [tasks.create_task(scheduling), tasks.create_task(managing)]
            await admin.create(PODS, pod("web"))
            wanted = {
                "scheduler": (
                    'scheduler_schedule_attempts_total{profile="default-scheduler",result="unschedulable"} 1.0',
                    'scheduler_pending_pods{queue="unschedulable"} 1.0',
                    'leader_election_master_status{name="kube-scheduler"} 1.0',
                    "rest_client_requests_total{code=\"201\"",
                    "process_cpu_seconds_total ",
                ),
                "manager": (
                    'workqueue_adds_total{name="namespace-controller"} ',
                    'workqueue_depth{name="replicaset-controller"} 0.0',
                    'workqueue_work_duration_seconds_count{name="serviceaccount-controller"} ',
                    'rest_client_request_duration_seconds_count{host="127.0.0.1:',
                ),
            }  # fmt: skip
            for name, samples in wanted.items():
                text = ""
                while not all(sample in text for sample in samples):
                    await CLOCK.sleep(0.05)
                    text = await metrics(paths, ports[name])
            for task in working:
                task.cancel()

    async def bounded() -> None:
        async with asyncio.timeout(120):
            await scenario()

    asyncio.run(bounded())


async def metrics(state: Path, port: int) -> str:
    """Empty while nobody listens."""
    try:
        return (await ask(state, port, "/metrics", certificate="admin"))[1]
    except OSError:
        return ""
