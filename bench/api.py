"""The API server alone: start to /readyz, GET, durable POST and LIST over TLS with 16 connections, idle memory and CPU."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from bench import servers, wrk
from bench.report import Figure, Report
from steersman.api.resources import CLUSTER_ROLE_BINDINGS, PODS, SERVICE_ACCOUNTS
from steersman.client.rest import RestClient
from steersman.cluster.components import client_for
from steersman.machinery.meta import Obj

_PORT, _BARE_PORT = 17443, 17444
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
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory, servers.api_server(Path(directory), _PORT) as server:
        report.add(Figure("API server: start to /readyz", server.started_s, "s", upstream="2.2 s", goal="0.8 s"))
        _measure_idle(report, server)
        try:
            asyncio.run(_measure_load(report, server))
        except wrk.NoWrk as lack:
            report.skip("API server under load", str(lack))


def _measure_idle(report: Report, server: servers.Running) -> None:
    time.sleep(2)
    before = server.cpu_s()
    time.sleep(_IDLE_S)
    share = 100 * (server.cpu_s() - before) / _IDLE_S
    report.add(Figure("API server idle: memory (PSS)", server.pss_mb(), "MB", upstream="271+49 MB"))
    report.add(Figure("API server idle: CPU", share, "%", upstream="2.8 % (whole)", goal="0.5 % (whole)"))


async def _measure_load(report: Report, server: servers.Running) -> None:
    async with client_for(server.paths.admin_kubeconfig, "bench") as client:
        token = await _admin_token(client)
        await client.create(PODS, pod("one"), "default")
        one = await client.raw("GET", "/api/v1/namespaces/default/pods/one")
    headers = {"Authorization": f"Bearer {token}"}
    rate = await asyncio.to_thread(wrk.rate, f"{server.url}/api/v1/namespaces/default/pods/one", headers=headers)
    import orjson

    with servers.bare_server(server.paths, _BARE_PORT, orjson.dumps(one)) as bare:
        bare_rate = await asyncio.to_thread(wrk.rate, f"{bare.url}/", headers={})
    report.add(
        Figure("GET one pod, TLS, 16 connections", rate[0], "/s", bare_rate[0], "aiohttp, same bytes", "4,650/s", "18,600/s")
    )
    script = server.paths.state / "post.lua"
    before, after = orjson.dumps(pod("@")).decode().split("@")
    script.write_text(_POST_SCRIPT % (before, after))
    pods_url = f"{server.url}/api/v1/namespaces/default/pods"
    posted = await asyncio.to_thread(wrk.rate, pods_url, headers=headers, script=script)
    report.add(
        Figure("POST pods, durable, TLS, 16 connections", posted[0], "/s", bare_rate[0], "aiohttp, GETs", "1,440/s", "2,880/s")
    )
    async with client_for(server.paths.admin_kubeconfig, "bench") as client:
        listed = await client.transport.request("GET", "/api/v1/pods?resourceVersion=0")
    rates = await asyncio.to_thread(wrk.rate, f"{server.url}/api/v1/pods?resourceVersion=0", headers=headers, connections=2)
    with servers.bare_server(server.paths, _BARE_PORT, listed.body) as bare:
        bare_rates = await asyncio.to_thread(wrk.rate, f"{bare.url}/", headers={}, connections=2)
    what = f"LIST pods ({len(listed.body) / 1e6:.0f} MB, resourceVersion=0)"
    report.add(Figure(what, rates[1], "MB/s", bare_rates[1], "aiohttp, same bytes", "141-171 MB/s", "10x"))


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
