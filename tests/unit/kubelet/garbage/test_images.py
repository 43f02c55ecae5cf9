"""Which images go when their disk is nearly full, which when they are old, and what is told when that is not enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.kubelet.conftest import FakeImages, FakeRuntime

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerConfig, Image, RegistryAuth, SandboxConfig
from steersman.kubelet.configuration.fields import with_defaults
from steersman.kubelet.garbage import images as garbage
from steersman.kubelet.garbage.images import EVERY_S, CollectionFailed, ImageCollector, Policy, disk_of, policy
from steersman.kubelet.kit import NodeFacts
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj


class Images(FakeImages):
    """On a disk of 1000 bytes, of which `other` are not theirs."""

    def __init__(self, sizes: Mapping[str, int], other: int = 0) -> None:
        super().__init__()
        self.sizes, self.other, self.capacity = dict(sizes), other, 1000
        self.pinned: set[str] = set()
        self.stuck: set[str] = set()

    async def list_images(self) -> list[Image]:
        return [Image(name, (f"{name}:1",), (), size, None, "", name in self.pinned) for name, size in self.sizes.items()]

    async def image_status(self, image: str) -> Image | None:
        return next((each for each in await self.list_images() if image in (each.id, *each.repo_tags)), None)

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        raise NotImplementedError

    async def remove_image(self, image: str) -> None:
        if image in self.stuck:
            raise RuntimeFault(f"{image} is stuck")
        del self.sizes[image]

    def disk(self, path: str) -> tuple[int, int]:
        return self.capacity, self.capacity - self.other - sum(self.sizes.values())


@dataclass
class Bench:
    """A collector and all around it."""

    images: Images
    clock: VirtualClock
    policy: Policy = field(default_factory=Policy)
    pods: list[Obj] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runtime = FakeRuntime(self.clock)
        facts = NodeFacts(node={"metadata": {"name": "n1"}})
        self.collector = ImageCollector(
            self.policy, self.runtime, self.images, self.clock, self, facts, lambda: self.pods, self.images.disk
        )

    def event(self, about: Obj, type: str, reason: str, message: str) -> None:
        assert (about["metadata"]["name"], type) == ("n1", "Warning")
        self.events.append((reason, message))

    async def container(self, image: str) -> str:
        """Made from that image; its id."""
        sandbox = await self.runtime.run_pod_sandbox(SandboxConfig(name="p", uid="u", namespace="ns", attempt=0, hostname="h"))
        config = ContainerConfig(name="c", attempt=0, image=image, image_user_spec=f"{image}:1", labels={
            "io.kubernetes.container.name": "c", "io.kubernetes.pod.uid": "u"})  # fmt: skip
        return await self.runtime.create_container(
            sandbox, config, SandboxConfig(name="p", uid="u", namespace="ns", attempt=0, hostname="h")
        )

    async def aged(self, seconds: float = 300) -> None:
        """Everything there now has been there for so long."""
        await self.collector._unused()
        await self.clock.advance(seconds)


def play(images: Images, scenario: Callable[[Bench], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        await scenario(Bench(images, VirtualClock(), Policy(**settings)))

    asyncio.run(whole())


def test_below_the_high_threshold_everything_stays() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.aged()
        await bench.collector.collect()
        assert len(bench.images.sizes) == 2 and bench.events == []

    play(Images({"a": 400, "b": 440}), scenario)  # 84 %


def test_above_it_images_go_until_the_low_one_the_least_recently_used_first() -> None:
    async def scenario(bench: Bench) -> None:
        container = await bench.container("never")
        used = await bench.container("recent")
        await bench.aged()
        await bench.runtime.remove_container(used)
        await bench.runtime.remove_container(container)
        running = await bench.container("running")
        await bench.aged()
        bench.images.sizes["new"] = 50  # too young
        await bench.runtime.remove_container(running)
        await bench.container("running")
        await bench.collector.collect()
        # 900 of 1000: 100 must go, and "old" was used by nobody; "never" and "recent" both were, long ago.
        assert set(bench.images.sizes) == {"never", "recent", "running", "new"}

    play(Images({"never": 100, "recent": 100, "old": 150, "running": 500}), scenario)


def test_images_in_use_pinned_young_or_mounted_stay() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.container("dead")
        bench.images.pinned.add("pinned")
        bench.pods.append(
            {"spec": {"volumes": [{"name": "v", "image": {"reference": "volume:1"}}, {"name": "e", "emptyDir": {}}]}}
        )
        await bench.aged()
        bench.images.sizes["young"] = 100
        await bench.collector.delete_unused()
        assert set(bench.images.sizes) == {"dead", "pinned", "volume", "young"}
        await bench.clock.advance(120)
        bench.pods.clear()
        await bench.collector.delete_unused()
        assert set(bench.images.sizes) == {"dead", "pinned"}

    play(Images({"dead": 10, "pinned": 10, "volume": 10, "unused": 10}), scenario)


def test_what_was_there_before_the_kubelet_may_go_at_once() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.collector.collect()
        assert bench.images.sizes == {}

    play(Images({"a": 900}), scenario)


def test_too_little_to_remove_is_an_event_and_the_second_time_in_a_row_another() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.collector.turn()
        text = (
            "Insufficient free disk space on the node's image filesystem (95% of 1000 bytes used). Failed to free sufficient "
            "space by deleting unused images (freed 10 bytes). Investigate disk usage, as it could be used by active images, "
            "logs, volumes, or other data."
        )
        assert bench.events == [("FreeDiskSpaceFailed", text)]
        bench.events.clear()
        await bench.collector.turn()
        assert [reason for reason, _ in bench.events] == ["FreeDiskSpaceFailed", "ImageGCFailed"]
        bench.images.other = 0
        bench.events.clear()
        await bench.collector.turn()
        bench.images.other = 950
        await bench.collector.turn()
        assert [reason for reason, _ in bench.events] == ["FreeDiskSpaceFailed"]  # a success lies between

    play(Images({"a": 10}, other=940), scenario)


def test_a_disk_without_capacity_is_told() -> None:
    async def scenario(bench: Bench) -> None:
        bench.images.capacity = 0
        await bench.collector.turn()
        assert bench.events == [("InvalidDiskCapacity", "invalid capacity 0 on image filesystem")]

    play(Images({}), scenario)


def test_an_image_that_cannot_be_removed_does_not_save_the_others() -> None:
    async def scenario(bench: Bench) -> None:
        bench.images.stuck.add("a")
        with pytest.raises(CollectionFailed, match="with errors in image deletion: a: a is stuck"):
            await bench.collector.collect()
        assert set(bench.images.sizes) == {"a"}

    play(Images({"a": 500, "b": 450}), scenario)


def test_images_unused_for_long_go_whatever_the_disk() -> None:
    async def scenario(bench: Bench) -> None:
        used = await bench.container("used")
        await bench.aged(3000)
        await bench.collector.collect()
        assert set(bench.images.sizes) == {"used", "old"}  # the kubelet has not looked for an hour yet
        await bench.runtime.remove_container(used)
        bench.images.sizes["young"] = 1
        await bench.aged(601)
        await bench.collector.collect()
        assert set(bench.images.sizes) == {"used", "young"}
        await bench.clock.advance(3600)
        await bench.collector.collect()
        assert bench.images.sizes == {}

    play(Images({"used": 1, "old": 1}), scenario, max_age_s=3600.0)


def test_it_looks_every_five_minutes_and_not_at_all_when_it_is_off() -> None:
    async def scenario(bench: Bench) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bench.collector.run())
            await bench.clock.advance(1)
            bench.images.other = 990
            await bench.clock.advance(EVERY_S - 2)
            assert bench.events == []
            await bench.clock.advance(1)
            assert [reason for reason, _ in bench.events] == ["FreeDiskSpaceFailed"]
            task.cancel()
        off = Bench(Images({"a": 1}, other=990), bench.clock, Policy(high=100))
        await off.collector.run()
        assert off.events == []

    play(Images({"a": 1}), scenario)


def test_the_configuration_says_what_holds() -> None:
    assert policy(with_defaults({})) == Policy(85, 80, 120.0, 0.0)
    given = {
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 50,
        "imageMinimumGCAge": "5m", "imageMaximumGCAge": "1h",
    }  # fmt: skip
    assert policy(with_defaults(given)) == Policy(100, 50, 300.0, 3600.0)
    assert Policy(high=100).off and not Policy(high=100, max_age_s=1.0).off


@pytest.mark.parametrize(("count", "text"), [(5, "5 bytes"), (2048, "2.0 KiB"), (3 << 29, "1.5 GiB"), (5 << 40, "5120.0 GiB")])
def test_sizes_are_said_as_upstream_says_them(count: int, text: str) -> None:
    assert garbage._size(count) == text


def test_a_real_disk_can_be_asked() -> None:
    capacity, available = disk_of("/")
    assert 0 < available < capacity
