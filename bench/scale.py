"""The API server with much to hold: one write that 1,000 watchers want to hear of, and the memory of 30,000 pods."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import orjson

from bench import fanout, servers
from bench.api import admin_token, body_of, fill
from bench.report import Figure, Report

_PODS = 30_000
_WATCHERS = 1_000
_WRITES = 20


def measure(report: Report) -> None:
    port = servers.free_port()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory, servers.api_server(Path(directory), port) as server:
        _measure_fan_out(report, server, asyncio.run(_token(server)))
        before = server.pss_mb()
        asyncio.run(fill(server, _PODS))
        weight = len(asyncio.run(body_of(server, "/api/v1/pods?resourceVersion=0"))) / 1e6
        held = server.pss_mb()
        report.add(Figure(f"{_PODS:,} pods held: memory (PSS)", held, "MB", weight, "the pods' JSON", goal="400 MB"))
        report.add(Figure("... for each pod", (held - before) * 1000 / _PODS, "KB", weight * 1000 / _PODS, "a pod's JSON"))


async def _token(server: servers.Running) -> str:
    async with server.client() as client:
        return await admin_token(client)


def _measure_fan_out(report: Report, server: servers.Running, token: str) -> None:
    """The median of some writes; the write itself is in it."""
    ca = server.paths.pki / "ca.crt"
    target = "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0"
    create = _creating(server, ca, token)
    with fanout.watchers(_WATCHERS, server.port, ca, target, token) as made:
        alone: list[float] = []
        heard: list[float] = []
        for number in range(_WRITES):
            name = f"heard-{number:04d}"
            begin = time.perf_counter()
            create("kube-public", name)
            alone.append(time.perf_counter() - begin)
            heard.append(fanout.all_reached_s(made, partial(create, "default", name), name.encode()))
    what = f"one write reaches {_WATCHERS:,} watchers"
    report.add(
        Figure(what, statistics.median(heard), "s", statistics.median(alone), "a write that nobody watches", goal="0.05 s")
    )


def _creating(server: servers.Running, ca: Path, token: str) -> Callable[[str, str], None]:
    """Creates an empty ConfigMap, given namespace and name, over one connection."""
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=ssl.create_default_context(cafile=str(ca)))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def create(namespace: str, name: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        connection.request("POST", path, orjson.dumps({"metadata": {"name": name}}), headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 201:
            raise RuntimeError(f"{answer.status}: {said!r}")

    return create
