"""5,000 pods onto 5,000 nodes through the API: API server and scheduler as processes of their own, and this client.

The baseline is the same client creating the same pods while no scheduler runs. All share the machine's processors.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import servers
from bench.report import Figure, Report
from bench.scheduling import node, pod
from bench.usage import cpu_s
from steersman.api.resources import NODES, PODS, SERVICE_ACCOUNTS
from steersman.client.rest import RestClient
from steersman.machinery.meta import name_of

_NODES, _PODS = 5000, 5000
_CONNECTIONS = 16
_PATIENCE_S = 180.0


def measure(report: Report) -> None:
    port = servers.free_port()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory, servers.api_server(Path(directory), port) as server:
        asyncio.run(_measure(server, report))


async def _measure(server: servers.Running, report: Report) -> None:
    async with server.client() as client:
        await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
        await _each(_NODES, lambda number: _make_node(client, number))
        begin = time.perf_counter()
        await _each(_PODS, lambda number: _make_pod(client, f"early-{number}", number))
        alone = _PODS / (time.perf_counter() - begin)
        with _scheduler(server) as scheduler:
            # From the first binding on: what comes before is the scheduler's start and its first list.
            first, last = await _bound(client, "early-", None)
            rate = (_PODS - 1) / (last - first)
            report.add(Figure("scheduler: 5,000 waiting pods bound", rate, "/s", alone, "creating pods, no scheduler", "430/s"))
            before = cpu_s(server.pid) + cpu_s(scheduler.pid)
            begin = time.perf_counter()

            async def create() -> None:
                await _each(_PODS, lambda number: _make_pod(client, f"late-{number}", number))

            _, last = await _bound(client, "late-", create)
            used = cpu_s(server.pid) + cpu_s(scheduler.pid) - before
    took = last - begin
    report.add(Figure("scheduler: 5,000 pods created and bound", took, "s", _PODS / alone, "creating only", "12.8 s", "6.4 s"))
    report.add(Figure("... processor time, server and scheduler", used, "s", upstream="11.3 s"))


async def _each(count: int, act: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await act(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(work())


async def _make_node(client: RestClient, number: int) -> None:
    """Ready: the taint that new nodes get is taken off, as the node lifecycle controller would do."""
    made = await client.create(NODES, node(number))
    if made["spec"].pop("taints", None):
        await client.update(NODES, made)


async def _make_pod(client: RestClient, name: str, number: int) -> None:
    obj = pod(number, 1, {})
    obj["metadata"] = {"name": name, "namespace": "default", "labels": obj["metadata"]["labels"]}
    await client.create(PODS, obj)


async def _bound(client: RestClient, lead: str, act: Callable[[], Awaitable[None]] | None) -> tuple[float, float]:
    """When the first and the last of the pods got its node, seen by a watch that begins before `act`."""
    version = str((await client.list(PODS, "default", limit=1))["metadata"]["resourceVersion"])
    selector = "spec.nodeName!="
    seen: set[str] = set()
    first = 0.0
    metadata = client.metadata_only()
    async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as group:
        if act is not None:
            group.create_task(_awaited(act))
        async for event in metadata.watch(PODS, "default", resource_version=version, field_selector=selector):
            name = name_of(event.object) if event.type != "BOOKMARK" else ""
            if name.startswith(lead) and name not in seen:
                first = first or time.perf_counter()
                seen.add(name)
            if len(seen) == _PODS:
                return first, time.perf_counter()
    raise RuntimeError(f"only {len(seen)} of {_PODS} pods were bound")


async def _awaited(act: Callable[[], Awaitable[None]]) -> None:
    await act()


@contextmanager
def _scheduler(server: servers.Running) -> Iterator[subprocess.Popen[bytes]]:
    config = server.paths.kubeconfigs / "scheduler.conf"
    command = [sys.executable, "-m", "steersman", "scheduler", f"--kubeconfig={config}"]
    with (server.paths.state / "scheduler.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
