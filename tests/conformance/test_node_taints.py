"""[sig-node] NoExecuteTaintManager, in virtual time on a simulated node."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conformance.objects import pod
from tests.integration.simulated.world import World, play

from steersman.api.resources import NODES, PODS
from steersman.machinery.meta import dig, is_deleting, name_of, uid_of

TAINTS = "[sig-node] NoExecuteTaintManager"
TAINT = {"key": "kubernetes.io/e2e-evict-taint-key", "value": "evictTaintVal", "effect": "NoExecute"}


async def tolerating(w: World, name: str, seconds: int) -> None:
    """A running pod that stays that long beside the taint."""
    made = pod(name=name, spec={"tolerations": [{**TAINT, "operator": "Equal", "tolerationSeconds": seconds}]})
    await w.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", **made}, "default")

    async def running() -> bool:
        return bool(dig(await w.client.get(PODS, name, "default"), "status", "phase") == "Running")

    await w.until(f"pod {name} runs", running)


async def there(w: World) -> list[str]:
    return sorted(name_of(it) for it in await w.pods())


@pytest.mark.conformance(f"{TAINTS} Single Pod [Serial] removing taint cancels eviction [Disruptive] [Conformance]")
def test_a_taint_that_goes_in_time_evicts_nobody(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await tolerating(w, "pod", 60)
        before = await w.client.get(PODS, "pod", "default")
        await w.client.patch(NODES, "sim-0001", {"spec": {"taints": [TAINT]}})
        await w.here.clock.advance(50)
        assert await there(w) == ["pod"]
        await w.client.patch(NODES, "sim-0001", {"spec": {"taints": None}})
        await w.here.clock.advance(120)
        after = await w.client.get(PODS, "pod", "default")
        assert uid_of(after) == uid_of(before) and not is_deleting(after)

    play(tmp_path, 1, scenario)


@pytest.mark.conformance(f"{TAINTS} Multiple Pods [Serial] evicts pods with minTolerationSeconds [Disruptive] [Conformance]")
def test_each_pod_is_evicted_when_its_time_is_up(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        for name, seconds in (("first", 5), ("second", 65)):
            await tolerating(w, name, seconds)
        await w.client.patch(NODES, "sim-0001", {"spec": {"taints": [TAINT]}})
        for after_s, left in ((4, ["first", "second"]), (2, ["second"]), (58, ["second"]), (2, [])):
            await w.here.clock.advance(after_s)
            assert await there(w) == left

    play(tmp_path, 1, scenario)
