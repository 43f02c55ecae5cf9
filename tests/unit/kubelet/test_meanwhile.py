"""What changes while the kubelet is in the middle of something that looks at it."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

import pytest

from steersman.api.resources import CONFIG_MAPS
from steersman.cri.interface import RuntimeFault
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.objects import SETTLE_S, ObjectCache
from steersman.kubelet.volumes.csi.driver import Driver
from steersman.kubelet.volumes.csi.messages import NodeInfo
from steersman.kubelet.volumes.csi.registration import Drivers
from steersman.kubelet.volumes.manager import VolumeManager
from steersman.machinery.meta import Obj, condition, labels_of

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


def settings(value: str) -> Obj:
    return {"metadata": {"name": "settings", "namespace": "default", "uid": "settings"}, "data": {"value": value}}


def test_a_config_map_that_changes_while_volumes_are_set_up_is_in_the_pod_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn that was under way noted its volumes as fresh when it was done: for up to 90 s nobody looked again."""
    shown = world.config.pod_dir("u1") / "volumes" / "kubernetes.io~configmap" / "settings" / "value"
    set_up, left = VolumeManager.set_up, ["third"]

    async def slow(self: VolumeManager, pod: Obj) -> Any:
        ready = await set_up(self, pod)
        if left and shown.read_text() == "second":
            # Another volume of the pod takes its time.
            world.api.put("configmaps", settings(left.pop()))
            await world.settle()
        return ready

    async def scenario() -> None:
        world.api.put("configmaps", settings("first"))
        async with world.kubelet():
            world.create(volumes=[{"name": "settings", "configMap": {"name": "settings"}}])
            await world.until(lambda: world.api.pod()["status"].get("phase") == "Running")
            await world.clock.advance(SETTLE_S + 1)
            monkeypatch.setattr(VolumeManager, "set_up", slow)
            world.api.put("configmaps", settings("second"))
            await world.until(lambda: shown.read_text() == "third", limit_s=5)

    asyncio.run(scenario())


def test_an_answer_that_is_overtaken_by_the_watch_does_not_take_its_news_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept then was the older of the two, and, as the object was watched, for as long as it did not change again."""

    async def scenario() -> None:
        world.api.put("configmaps", settings("first"))
        async with asyncio.TaskGroup() as group:
            cache = ObjectCache(world.api, world.clock)
            cache.follow(group, lambda _: None)
            cache.register("u1")
            await cache.get(CONFIG_MAPS, "default", "settings", "u1")
            await world.clock.advance(SETTLE_S + 1)
            get = world.api.get

            async def slow(*args: Any, **named: Any) -> Obj:
                answer = await get(*args, **named)
                world.api.put("configmaps", settings("second"))
                await world.settle()
                return answer

            monkeypatch.setattr(world.api, "get", slow)
            cache.register("u2")
            await cache.get(CONFIG_MAPS, "default", "settings", "u2")
            found = await cache.get(CONFIG_MAPS, "default", "settings", "u1")
            assert found is not None and found["data"] == {"value": "second"}
            for uid in ("u1", "u2"):
                cache.release(uid)

    asyncio.run(scenario())


def test_a_range_that_the_runtime_would_not_take_is_forgotten_when_the_node_gets_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node made anew while its runtime was in trouble: the old range was tried again and again, and won in the end."""
    refused: list[str] = []
    take = world.runtime.update_runtime_config

    async def busy(pod_cidr: str) -> None:
        if pod_cidr == "10.244.7.0/24" and len(refused) < 3:
            refused.append(pod_cidr)
            raise RuntimeFault("not now")
        await take(pod_cidr)

    async def scenario() -> None:
        async with world.kubelet():
            monkeypatch.setattr(world.runtime, "update_runtime_config", busy)
            for cidr in ("10.244.7.0/24", "10.244.8.0/24"):
                node = copy.deepcopy(world.api.objects["nodes"]["", "n1"])
                world.api.put("nodes", {**node, "spec": {"podCIDR": cidr}})
                await world.clock.advance(0.5)
            assert (refused, world.runtime.pod_cidr) == (["10.244.7.0/24"], "10.244.8.0/24")
            await world.clock.advance(10)
            assert world.runtime.pod_cidr == "10.244.8.0/24"

    asyncio.run(scenario())


def test_a_report_that_took_long_does_not_take_a_newer_one_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node was called NotReady by a report begun before it had its network again, sent after one that knew of it."""

    def ready() -> str:
        found = condition(world.api.objects["nodes"]["", "n1"], "Ready")
        return str(found and found["status"])

    async def scenario() -> None:
        async with world.kubelet():
            list_images, status, overtaken = world.images.list_images, world.runtime.status, asyncio.Event()

            async def lost() -> tuple[str, str]:
                monkeypatch.setattr(world.images, "list_images", slow)
                monkeypatch.setattr(world.runtime, "status", status)
                return "", "no network"

            async def slow() -> Any:
                monkeypatch.setattr(world.images, "list_images", list_images)
                node = copy.deepcopy(world.api.objects["nodes"]["", "n1"])
                world.api.put("nodes", {**node, "spec": {"podCIDR": "10.244.7.0/24"}})
                await world.settle()
                overtaken.set()
                return await list_images()

            await world.clock.advance(6)
            monkeypatch.setattr(world.runtime, "status", lost)
            await world.until(overtaken.is_set)
            assert world.runtime.pod_cidr == "10.244.7.0/24"
            await world.settle()
            assert ready() == "True"

    asyncio.run(scenario())


def test_a_node_that_changes_while_a_driver_is_noted_on_it_is_known_as_it_is_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the note was taken for the newest, though the watch had told of a later change before it came."""

    async def scenario() -> None:
        facts, patch = NodeFacts(), world.api.patch
        world.api.put("nodes", {"metadata": {"name": "n1", "namespace": ""}})
        drivers = Drivers(world.api, world.clock, "n1", facts)

        async def slow(*args: Any, **named: Any) -> Obj:
            answer = await patch(*args, **named)
            facts.node = world.api.put("nodes", {"metadata": {"name": "n1", "namespace": "", "labels": {"new": "yes"}}})
            return answer

        monkeypatch.setattr(world.api, "patch", slow)
        monkeypatch.setattr(Driver, "node_info", info)
        await drivers.register("d", "/nowhere", ["1.0.0"])
        assert labels_of(facts.node or {}) == {"new": "yes"}

    async def info(_: Driver) -> NodeInfo:
        return NodeInfo("n1", 0)

    asyncio.run(scenario())
