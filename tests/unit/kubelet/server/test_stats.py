"""What the kubelet tells of CPU: rates over whole stretches, counters to the last digit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from steersman.cri.messages import Container, ContainerState, Usage
from steersman.kubelet.counts import Counts
from steersman.kubelet.probes.manager import ProbeManager
from steersman.kubelet.server.exposition import Exposition
from steersman.kubelet.server.metrics import PAGES, MetricsPages
from steersman.kubelet.server.stats import Stats
from steersman.kubelet.worker import PodWorker
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

CORE = 10**9


@pytest.fixture
def stats(world: World, monkeypatch: pytest.MonkeyPatch) -> Stats:
    """Of a node with one container that uses half a core, after years of use."""

    async def usage(_: str) -> Usage:
        return Usage(world.clock.now(), 123456789 * CORE + int(world.clock.monotonic() * CORE / 2), 8192, 4096)

    monkeypatch.setattr(world.runtime, "container_stats", usage)
    return Stats(world.config, world.runtime, world.clock)


def worker(world: World, container: str = "c1") -> PodWorker:
    now = world.clock.now()
    made = Container(container, "s1", "app", 0, ContainerState.RUNNING, "i", "i", now, now, None, 0, "", "", {}, {}, "")
    view = SimpleNamespace(sandbox=object(), running=[made])
    pod = {"metadata": {"name": "web", "namespace": "shop"}}
    return cast(PodWorker, SimpleNamespace(view=view, pod=pod, uid="u1", status={}))


def test_the_rate_is_of_a_whole_stretch_whoever_asks_in_between(world: World, stats: Stats) -> None:
    async def scenario() -> None:
        async def rate(container: str = "c1") -> int | None:
            found = await stats.summary([worker(world, container)], only_cpu_and_memory=True)
            seen: int | None = found["pods"][0]["containers"][0]["cpu"].get("usageNanoCores")
            return seen

        assert await rate() is None
        for passed, expected in ((0.1, None), (1, 0.5), (0.001, 0.5), (10, 0.5)):
            await world.clock.advance(passed)
            assert await rate() == (expected and pytest.approx(expected * CORE))
        assert await rate("c2") is None and await rate("c1") is None  # c1 had ended, its samples with it

    asyncio.run(scenario())


class Claimed:
    """One claim's volume, on the disk of this test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def paths(self, pod_uid: str) -> Mapping[str, Path]:
        return {"d": self.path}

    async def measure(self, path: Path) -> Obj | None:
        return None


def test_metrics_say_how_full_a_claims_volume_is(world: World, tmp_path: Path) -> None:
    async def scenario() -> None:
        stats = Stats(world.config, world.runtime, world.clock, volumes=Claimed(tmp_path))
        found = worker(world)
        found.pod["spec"] = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}
        page = Exposition({name: each for name, each in PAGES["/metrics"].items() if "volume_stats" in name})
        await MetricsPages(world.config, world.clock, stats, cast(ProbeManager, None), Counts())._claims(page, [found])
        lines = [line for line in page.text().splitlines() if not line.startswith("#")]
        labels = '{namespace="shop",persistentvolumeclaim="data"}'
        disk = os.statvfs(tmp_path)
        assert f"kubelet_volume_stats_capacity_bytes{labels} {disk.f_blocks * disk.f_frsize}" in lines
        assert [line.split("{")[0].removeprefix("kubelet_volume_stats_") for line in lines] == [
            "available_bytes", "capacity_bytes", "inodes", "inodes_free", "inodes_used", "used_bytes",
        ]  # fmt: skip

    asyncio.run(scenario())


def test_counters_keep_their_digits_and_carry_the_time_they_were_read(world: World, stats: Stats) -> None:
    async def scenario() -> None:
        await world.clock.advance(0.25)
        lines = (
            await MetricsPages(world.config, world.clock, stats, cast(ProbeManager, None), Counts()).resource([worker(world)])
        ).splitlines()
        at = int(world.clock.now().timestamp() * 1000)
        label = '{container="app",namespace="shop",pod="web"}'
        assert f"container_cpu_usage_seconds_total{label} 123456789.125 {at}" in lines
        assert f"container_memory_working_set_bytes{label} 4096 {at}" in lines
        assert f'pod_cpu_usage_seconds_total{{namespace="shop",pod="web"}} 123456789.125 {at}' in lines

    asyncio.run(scenario())
