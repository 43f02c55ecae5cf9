"""The API server alone: start to /readyz, GET, durable POST and LIST over TLS with 16 connections, idle memory and CPU."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import orjson

from bench import servers, wrk
from bench.report import Figure, Report
from bench.usage import cpu_s
from steersman.api.resources import CLUSTER_ROLE_BINDINGS, PODS, SERVICE_ACCOUNTS
from steersman.client.rest import RestClient
from steersman.machinery.meta import Obj

_IDLE_S = 10.0
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
    bare_rate, _ = _bare_rates(server, one)
    rate, _ = wrk.rate(f"{pods_url}/one", headers=headers)
    report.add(Figure("GET one pod, TLS, 16 connections", rate, "/s", bare_rate, "aiohttp, same bytes", "4,650/s", "18,600/s"))
    script = server.paths.state / "post.lua"
    before, after = orjson.dumps(pod("@")).decode().split("@")
    script.write_text(_POST_SCRIPT % (before, after))
    rate, _ = wrk.rate(pods_url, headers=headers, script=script)
    report.add(Figure("POST pods, durable, TLS, 16 connections", rate, "/s", bare_rate, "aiohttp, GETs", "1,440/s", "2,880/s"))
    all_pods = "/api/v1/pods?resourceVersion=0"
    body = asyncio.run(_body(server, all_pods))
    _, bare_mb = _bare_rates(server, body, connections=2)
    _, mb = wrk.rate(server.url + all_pods, headers=headers, connections=2)
    what = f"LIST pods ({len(body) / 1e6:.0f} MB, resourceVersion=0)"
    report.add(Figure(what, mb, "MB/s", bare_mb, "aiohttp, same bytes", "141-171 MB/s", "10x"))


def _bare_rates(server: servers.Running, body: bytes, connections: int = 16) -> tuple[float, float]:
    with servers.bare_server(server.paths, servers.free_port(), body) as bare:
        return wrk.rate(f"{bare.url}/", headers={}, connections=connections)


async def _prepared(server: servers.Running) -> tuple[str, bytes]:
    """A token that may do everything, and a pod as the server sends it."""
    async with server.client() as client:
        token = await _admin_token(client)
        await client.create(PODS, pod("one"), "default")
    return token, await _body(server, "/api/v1/namespaces/default/pods/one")


async def _body(server: servers.Running, target: str) -> bytes:
    async with server.client() as client:
        return (await client.transport.request("GET", target)).body


async def _admin_token(client: RestClient) -> str:
    """A token of a service account that may do everything: wrk cannot present a client certificate."""
    account: Obj = {"metadata": {"name": "bench", "namespace": "default"}}
    await client.create(SERVICE_ACCOUNTS, account)
    subject = {"kind": "ServiceAccount", "name": "bench", "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding: Obj = {"metadata": {"name": "bench"}, "roleRef": role, "subjects": [subject]}
    await client.create(CLUSTER_ROLE_BINDINGS, binding)
    request: Obj = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = await client.create(SERVICE_ACCOUNTS, request, "default", name="bench", subresource="token")
    return str(answer["status"]["token"])


def pod(name: str) -> Obj:
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
        "metadata": {"name": name, "namespace": "default", "labels": labels, "annotations": {"purpose": "b" * 150}},
        "spec": {"containers": [container], "serviceAccountName": "bench", "terminationGracePeriodSeconds": 5},
    }
