"""The API server alone: start to /readyz, GET, durable POST and LIST over TLS with 16 connections, idle memory and CPU.

Beside the rates stands the processor time that a request costs: it says the same on a busy machine.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import orjson

from bench import servers, storage, wrk
from bench.report import Figure, Report
from bench.usage import cpu_s
from steersman.api.resources import CLUSTER_ROLE_BINDINGS, NAMESPACES, PODS, SERVICE_ACCOUNTS
from steersman.client.rest import RestClient
from steersman.machinery.meta import Obj

_IDLE_S = 10.0
_PODS = 10_000
_CONNECTIONS = 16
_ROWS = 16_000
FILLED, ACCOUNT = "filled", "bench"
_POST_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n = 0
local before, after = %r, %r
function request()
  n = n + 1
  return wrk.format(nil, nil, nil, before .. string.format("%%08d", n) .. after)
end
"""


def measure(report: Report) -> None:
    port = servers.free_port()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory, servers.api_server(Path(directory), port) as server:
        report.add(Figure("API server: start to /readyz", server.started_s, "s", upstream="2.2 s", goal="0.8 s"))
        _measure_idle(report, server)
        try:
            _measure_load(report, server)
        except wrk.NoWrk as lack:
            report.skip("API server under load", str(lack))


def _measure_idle(report: Report, server: servers.Running) -> None:
    time.sleep(2)
    before = cpu_s(server.pid)
    time.sleep(_IDLE_S)
    share = 100 * (cpu_s(server.pid) - before) / _IDLE_S
    report.add(Figure("API server idle: memory (PSS)", server.pss_mb(), "MB", upstream="271+49 MB"))
    report.add(Figure("API server idle: CPU", share, "%", upstream="2.8 % (whole)", goal="0.5 % (whole)"))


def _measure_load(report: Report, server: servers.Running) -> None:
    token, one = asyncio.run(_prepared(server))
    headers = {"Authorization": f"Bearer {token}"}
    pods_url = f"{server.url}/api/v1/namespaces/default/pods"
    bare = _loaded_bare(server, one)
    got = wrk.load(f"{pods_url}/one", server.pid, headers=headers)
    report.add(
        Figure("GET one pod, TLS, 16 connections", got.rate, "/s", bare.rate, "aiohttp, same bytes", "4,650/s", "18,600/s")
    )
    report.add(Figure("... processor time each", got.each_us, "us", bare.each_us, "aiohttp, same bytes"))
    script = server.paths.state / "post.lua"
    before, after = orjson.dumps(pod("@")).decode().split("@")
    script.write_text(_POST_SCRIPT % (before, after))
    rows = storage.bare(server.paths.state / "bare.db", rows=_ROWS, per_transaction=_CONNECTIONS, value=one)
    got = wrk.load(pods_url, server.pid, headers=headers, script=script)
    report.add(
        Figure("POST pods, durable, TLS, 16 connections", got.rate, "/s", bare.rate, "aiohttp, GETs", "1,440/s", "2,880/s")
    )
    report.add(Figure("... beside a bare store", got.rate, "/s", rows, "apsw, WAL FULL, the same rows, 16 a transaction"))
    report.add(Figure("... processor time each", got.each_us, "us"))
    _measure_list(report, server, headers)


def _measure_list(report: Report, server: servers.Running, headers: dict[str, str]) -> None:
    asyncio.run(fill(server, _PODS))
    target = f"/api/v1/namespaces/{FILLED}/pods?resourceVersion=0"
    body = asyncio.run(body_of(server, target))
    bare = _loaded_bare(server, body, connections=2)
    got = wrk.load(server.url + target, server.pid, headers=headers, connections=2)
    what = f"LIST {_PODS:,} pods ({len(body) / 1e6:.0f} MB, resourceVersion=0)"
    report.add(Figure(what, got.mb_rate, "MB/s", bare.mb_rate, "aiohttp, same bytes", "141-171 MB/s", "1,400 MB/s"))
    # What it would be if the client took no time: a loaded machine gives the server only a share of a core.
    report.add(
        Figure("... for each second of processor time", len(body) / got.each_us, "MB", len(body) / bare.each_us, "aiohttp")
    )


def _loaded_bare(server: servers.Running, body: bytes, connections: int = _CONNECTIONS) -> wrk.Load:
    with servers.bare_server(server.paths, servers.free_port(), body) as bare:
        return wrk.load(f"{bare.url}/", bare.pid, headers={}, connections=connections)


async def _prepared(server: servers.Running) -> tuple[str, bytes]:
    """A token that may do everything, and a pod as the server sends it."""
    async with server.client() as client:
        token = await admin_token(client)
        await client.create(PODS, pod("one"), "default")
    return token, await body_of(server, "/api/v1/namespaces/default/pods/one")


async def fill(server: servers.Running, count: int) -> None:
    """That many pods, in a namespace of their own."""
    numbers = iter(range(count))
    async with server.client() as client:
        await client.create(NAMESPACES, {"metadata": {"name": FILLED}})
        await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": ACCOUNT, "namespace": FILLED}})

        async def work() -> None:
            for number in numbers:
                await client.create(PODS, pod(f"pod-{number:06d}", FILLED), FILLED)

        async with asyncio.TaskGroup() as group:
            for _ in range(_CONNECTIONS):
                group.create_task(work())


async def body_of(server: servers.Running, target: str) -> bytes:
    """The answer to a GET."""
    async with server.client() as client:
        return (await client.transport.request("GET", target)).body


async def admin_token(client: RestClient) -> str:
    """A token of a service account that may do everything: wrk cannot present a client certificate."""
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": ACCOUNT, "namespace": "default"}})
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding: Obj = {"metadata": {"name": "bench"}, "roleRef": role, "subjects": [subject]}
    await client.create(CLUSTER_ROLE_BINDINGS, binding)
    request: Obj = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    answer = await client.create(SERVICE_ACCOUNTS, request, "default", name=ACCOUNT, subresource="token")
    return str(answer["status"]["token"])


def pod(name: str, namespace: str = "default") -> Obj:
    """About 1.1 KB as sent."""
    container = {
        "name": "app",
        "image": "registry.example/team/app:1.2.3",
        "args": ["--listen=:8080", "--metrics=:9090", "--log-level=info"],
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
        "env": [{"name": f"SETTING_{number}", "value": f"value number {number}"} for number in range(6)],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5},
    }
    labels = {"app": "bench", "team": "measurements", "version": "1.2.3"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": {"purpose": "b" * 150}},
        "spec": {"containers": [container], "serviceAccountName": ACCOUNT, "terminationGracePeriodSeconds": 5},
    }
