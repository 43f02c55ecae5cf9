"""The kubelet's CPU manager over a real runtime: a container with a CPU of its own, and another that has to give it up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest
from tests.contract.cri.bench import Bench, shell

from steersman.cri.interface import Runtime
from steersman.cri.messages import Resources
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.configuration.effective import apply
from steersman.kubelet.cpumanager import manager
from steersman.kubelet.cpumanager.cpusets import parse
from steersman.kubelet.cpumanager.topology import Topology, Where
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root
Run = Callable[[Callable[[Bench], Awaitable[None]]], None]
_CPUS = sorted(os.sched_getaffinity(0))


def pod(uid: str, cpu: str) -> Obj:
    amounts = {"cpu": cpu, "memory": "1Mi"}
    containers = [{"name": uid, "resources": {"requests": amounts, "limits": amounts}}]
    return {"metadata": {"name": uid, "uid": uid}, "spec": {"containers": containers}, "status": {"qosClass": "Guaranteed"}}


async def allowed(runtime: Runtime, container: str) -> frozenset[int]:
    """What the container's first process may run on."""
    done = await runtime.exec_sync(container, ["grep", "Cpus_allowed_list", "/proc/1/status"], 60)
    return parse(done.stdout.decode().split()[1])


@pytest.mark.skipif(len(_CPUS) < 2, reason="needs two CPUs")
def test_a_guaranteed_container_has_its_cpu_alone_and_it_comes_back(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        given = {"cpuManagerPolicy": "static", "reservedSystemCPUs": str(_CPUS[0])}
        config = apply(KubeletConfig(node_name="n", root_dir=bench.root / "kubelet"), given)
        made = manager.start(config, lambda: Topology({cpu: Where(cpu, 0, 0) for cpu in _CPUS}))
        everything, own = frozenset(_CPUS), frozenset(_CPUS[1:2])
        async with bench.runtime() as runtime, asyncio.TaskGroup() as group:
            wanted = made.confine(pod("shared", "500m"), "shared", Resources(cpu_quota=50_000, memory_limit=32 << 20))
            _, shared = await bench.started(runtime, shell("sleep 1000", name="shared", resources=wanted))
            assert await allowed(runtime, shared) == everything

            assert made.admit(pod("own", "1")) is None
            wanted = made.confine(pod("own", "1"), "own", Resources(cpu_quota=100_000, memory_limit=32 << 20))
            _, exclusive = await bench.started(runtime, shell("sleep 1000", name="own", resources=wanted))
            assert await allowed(runtime, exclusive) == own

            views = [("shared", await runtime.container_status(shared)), ("own", await runtime.container_status(exclusive))]
            work = group.create_task(made.run(runtime, bench.clock, lambda: views, lambda: {"shared", "own"}))
            await _until(bench, runtime, shared, everything - own)
            assert await allowed(runtime, exclusive) == own

            made.release("own")
            await _until(bench, runtime, shared, everything)
            work.cancel()

    run(scenario)


async def _until(bench: Bench, runtime: Runtime, container: str, expected: frozenset[int]) -> None:
    """The manager works beside us; the scenario's own time limit ends a wait in vain."""
    while await allowed(runtime, container) != expected:
        await bench.clock.sleep(0.02)
