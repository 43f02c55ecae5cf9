"""The API server for a while under a load that changes much and adds nothing: does its memory stay? `python -m bench soak`.

Not among the parts that run unasked: it takes ten minutes. The figure is the slope of a line through the second half, as the
first fills what is bounded (events to resume from, caches by key).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench import servers
from bench.api import admin_token, pod
from bench.report import Figure, Report
from steersman.api.resources import PODS
from steersman.client.rest import RestClient

_SECONDS = float(os.environ.get("SOAK_S", "600"))
_SAMPLE_EVERY_S = 2.0
_WRITERS = 8
_KEPT = 50
"""Pods that each writer has at a time."""
_WATCH_S = 5


def measure(report: Report) -> None:
    port = servers.free_port()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory, servers.api_server(Path(directory), port) as server:
        samples, writes = asyncio.run(_soaked(server))
    half = samples[len(samples) // 2 :]
    slope = statistics.linear_regression([at for at, _ in half], [mb for _, mb in half]).slope * 60
    report.add(Figure(f"soak of {_SECONDS / 60:.0f} minutes: memory grows by", slope, "MB/min", goal="flat"))
    report.add(Figure("... memory halfway (PSS)", half[0][1], "MB"))
    report.add(Figure("... memory at the end (PSS)", half[-1][1], "MB"))
    report.add(Figure("... writes meanwhile", writes / _SECONDS, "/s"))


async def _soaked(server: servers.Running) -> tuple[list[tuple[float, float]], int]:
    """Memory in MB at seconds since the start, and how much was written."""
    samples: list[tuple[float, float]] = []
    begin = time.perf_counter()
    end = begin + _SECONDS
    async with _client(server) as client:
        await admin_token(client)
        async with asyncio.TaskGroup() as group:
            works = [group.create_task(_write(server, number, end)) for number in range(_WRITERS)]
            group.create_task(_watch(client, end))
            group.create_task(_list(client, end))
            while time.perf_counter() < end:
                await asyncio.sleep(_SAMPLE_EVERY_S)
                samples.append((time.perf_counter() - begin, server.pss_mb()))
    return samples, sum(work.result() for work in works)


@asynccontextmanager
async def _client(server: servers.Running) -> AsyncIterator[RestClient]:
    async with server.client() as client:
        yield client


async def _write(server: servers.Running, number: int, end: float) -> int:
    """Pods with names of their own come, are labelled, and go, on connections that come and go too."""
    made = 0
    while time.perf_counter() < end:
        async with _client(server) as client:
            for _ in range(_KEPT):
                name = f"soak-{number}-{made}"
                await client.create(PODS, pod(name), "default")
                patch = {"metadata": {"labels": {"round": str(made)}}}
                await client.patch(PODS, name, patch, "default")
                made += 1
            for gone in range(made - _KEPT, made):
                await client.delete(PODS, f"soak-{number}-{gone}", "default", grace_period_s=0)
    return made * 3


async def _watch(client: RestClient, end: float) -> None:
    """One watch after the other."""
    while time.perf_counter() < end:
        async with asyncio.timeout(_WATCH_S + 1):
            try:
                async for _ in client.watch(PODS, "default", resource_version="", timeout_s=_WATCH_S):
                    pass
            except TimeoutError:
                pass


async def _list(client: RestClient, end: float) -> None:
    while time.perf_counter() < end:
        await client.list(PODS, "default")
        await asyncio.sleep(0.2)
