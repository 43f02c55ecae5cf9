"""What the kubelet counts of its own work, and how it is shown."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from tests.unit.kubelet.conftest import World

from steersman.cri.interface import RuntimeFault
from steersman.kubelet import run
from steersman.kubelet.counts import FAMILIES, Counts, size_label
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.measured import measured
from steersman.kubelet.server.exposition import Exposition
from steersman.machinery.clock import VirtualClock


class Service:
    """Two calls of a runtime: one takes three seconds, the other fails."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.plain = clock, "as it is"

    async def version(self) -> str:
        await self.clock.sleep(3)
        return "1"

    async def status(self) -> None:
        raise RuntimeFault("away")


def test_calls_of_the_runtime_are_counted_timed_and_passed_on() -> None:
    async def scenario() -> None:
        clock, counts = VirtualClock(), Counts()
        service = measured(Service(clock), counts, clock)
        async with asyncio.TaskGroup() as group:
            call = group.create_task(service.version())
            await clock.advance(3)
        assert (call.result(), service.plain) == ("1", "as it is")
        with pytest.raises(RuntimeFault):
            await service.status()
        version, status = (("operation_type", "version"),), (("operation_type", "status"),)
        assert counts.numbers["kubelet_runtime_operations_total", version] == 1
        assert counts.numbers["kubelet_runtime_operations_errors_total", version] == 0
        assert counts.numbers["kubelet_runtime_operations_errors_total", status] == 1
        assert counts.histograms["kubelet_runtime_operations_duration_seconds", version].sum == 3

    asyncio.run(scenario())


def test_a_histogram_is_shown_with_its_buckets() -> None:
    counts, page = Counts(), Exposition(FAMILIES)
    counts.observe("kubelet_pleg_relist_duration_seconds", 0.3)
    counts.observe("kubelet_pleg_relist_duration_seconds", 30)
    for (name, labels), histogram in counts.histograms.items():
        page.add_histogram(name, histogram, dict(labels))
    lines = page.text().splitlines()
    assert lines[1] == "# TYPE kubelet_pleg_relist_duration_seconds histogram"
    assert 'kubelet_pleg_relist_duration_seconds_bucket{le="0.25"} 0' in lines
    assert 'kubelet_pleg_relist_duration_seconds_bucket{le="0.5"} 1' in lines
    assert 'kubelet_pleg_relist_duration_seconds_bucket{le="+Inf"} 2' in lines
    assert lines[-2:] == ["kubelet_pleg_relist_duration_seconds_sum 30.3", "kubelet_pleg_relist_duration_seconds_count 2"]


@pytest.mark.parametrize(
    ("size", "label"), [(0, "0-10MB"), (11 << 20, "10MB-100MB"), (2 << 30, "1GB-10GB"), (1 << 40, "GT100GB")]
)
def test_images_are_told_apart_by_size(size: int, label: str) -> None:
    assert size_label(size) == label


def test_pods_and_containers_are_counted_as_they_start_and_their_turns_timed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Counts()
    monkeypatch.setattr(run, "NodeFacts", partial(NodeFacts, counts=counts))

    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            assert counts.numbers["kubelet_started_pods_total", ()] == 1
            assert counts.numbers["kubelet_started_containers_total", (("container_type", "container"),)] == 1
            assert counts.histograms["kubelet_pod_start_duration_seconds", ()].count == 1
            assert counts.histograms["kubelet_pod_worker_duration_seconds", (("operation_type", "create"),)].count == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("refused", "mapped", "errors"),
    [("", True, (0, 0)), ("sandbox", True, (1, 1)), ("create", True, (0, 1)), ("create", False, (0, 0))],
    ids=["runs", "no sandbox", "no container", "no user namespace"],
)
def test_pods_with_users_of_their_own_are_counted_apart(
    world: World, monkeypatch: pytest.MonkeyPatch, refused: str, mapped: bool, errors: tuple[int, int]
) -> None:
    counts = Counts()
    monkeypatch.setattr(run, "NodeFacts", partial(NodeFacts, counts=counts))
    if refused:
        world.runtime.refuse[refused] = RuntimeFault("no")
    names = ("kubelet_started_pods_errors_total", "kubelet_started_user_namespaced_pods_errors_total")

    async def scenario() -> None:
        async with world.kubelet():
            world.create(hostUsers=not mapped)
            await world.until(lambda: bool(world.runtime.log) and (not refused or "Failed" in str(world.api.events())))
            await world.clock.advance(1)
            assert counts.numbers["kubelet_started_user_namespaced_pods_total", ()] == mapped
            assert tuple(counts.numbers[name, ()] for name in names) == errors

    asyncio.run(scenario())


def test_each_end_of_a_container_counts_once_with_its_exit_code(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts()
    monkeypatch.setattr(run, "NodeFacts", partial(NodeFacts, counts=counts))

    def ended(kind: str, code: int, reason: str) -> int:
        labels = (("container_type", kind), ("exit_code", str(code)), ("reason", reason))
        return counts.numbers["kubelet_terminated_containers_total", labels]

    async def scenario() -> None:
        async with world.kubelet():
            first = {"name": "first", "image": "busybox:1"}
            world.create(initContainers=[first])
            await world.until(lambda: "start first" in world.runtime.log)
            world.runtime.exit("first", 0)
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            world.runtime.exit("app", 139)
            await world.until(lambda: world.runtime.log.count("start app") == 2)
            await world.clock.advance(60)
        assert (ended("init_container", 0, "Completed"), ended("container", 139, "Error")) == (1, 1)
        async with world.kubelet():
            await world.clock.advance(60)
        assert (ended("init_container", 0, "Completed"), ended("container", 139, "Error")) == (1, 1)

    asyncio.run(scenario())
