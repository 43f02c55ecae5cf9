"""Image volumes on a node: pulled for the containers that mount them, handed to the runtime as images."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Mount
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

DATA = {"name": "data", "image": {"reference": "lost:1", "pullPolicy": "IfNotPresent"}}


def container(name: str, **mount: str) -> Obj:
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/v", **mount}]} if mount else {}
    return {"name": name, "image": "busybox:1", "imagePullPolicy": "IfNotPresent", **mounts}


def play(world: World, scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with world.kubelet():
            await scenario()

    asyncio.run(whole())


def state(world: World, name: str) -> Obj:
    entries = world.api.pod()["status"].get("containerStatuses") or ()
    found: Obj = next((each["state"] for each in entries if each["name"] == name), {})
    return found


def reason(world: World, name: str) -> str:
    return str((state(world, name).get("waiting") or {}).get("reason"))


def test_only_containers_that_mount_an_image_wait_for_it_and_it_is_tried_again_later(world: World) -> None:
    async def scenario() -> None:
        world.images.fault = RuntimeFault("manifest unknown", reason="ErrImagePull")
        world.create(containers=[container("with", mountPath="/v"), container("without")], volumes=[DATA])
        await world.until(lambda: reason(world, "with") == "ErrImagePull")
        await world.until(lambda: "running" in state(world, "without"))
        await world.until(lambda: reason(world, "with") == "ImagePullBackOff")
        text = 'Back-off pulling image "lost:1": ErrImagePull: manifest unknown'
        assert state(world, "with")["waiting"]["message"] == text
        assert len(world.images.pulled) == 1
        world.images.fault = None
        await world.until(lambda: "running" in state(world, "with"))
        assert 9 < world.clock.monotonic() < 16
        events = world.api.events()
        assert {'Pulling: Pulling image "lost:1"', 'Failed: Failed to pull image "lost:1": manifest unknown'} <= set(events)
        assert "Failed: Error: ErrImagePull" in events

    play(world, scenario)


def test_the_runtime_gets_the_image_by_its_id_with_the_part_that_is_mounted(world: World) -> None:
    async def scenario() -> None:
        spec = {**container("app", subPathExpr="$(PART)/x"), "env": [{"name": "PART", "value": "etc"}]}
        world.create(containers=[spec], volumes=[DATA])
        await world.until(lambda: "running" in state(world, "app"))
        mounts = world.runtime.configs[world.runtime.named("app").id].mounts
        assert mounts[0] == Mount("/v", "", readonly=True, image="sha256:lost:1", image_sub_path="etc/x")

    play(world, scenario)


def test_events_call_an_image_as_the_pod_does(world: World) -> None:
    async def scenario() -> None:
        spec = {"name": "app", "image": "busybox", "imagePullPolicy": "Always"}
        world.create(containers=[spec])
        await world.until(lambda: "running" in state(world, "app"))
        assert world.images.pulled == ["busybox:latest"]
        events = world.api.events()
        assert 'Pulling: Pulling image "busybox"' in events
        assert any(text.startswith('Pulled: Successfully pulled image "busybox" in ') for text in events)

    play(world, scenario)
