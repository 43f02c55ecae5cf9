"""Huge pages: what a container and a pod may have of each size, and emptyDirs made of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from steersman.kubelet.resources import huge_pages, page_size, pod_resources
from steersman.kubelet.volumes import mounts
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

_SMALL, _LARGE = "hugepages-2Mi", "hugepages-1Gi"


@pytest.mark.parametrize(
    ("resource", "size"),
    [(_SMALL, "2MB"), (_LARGE, "1GB"), ("hugepages-64Ki", "64KB"), ("hugepages-16Gi", "16GB"), ("hugepages-512Mi", "512MB")],
)
def test_sizes_are_named_as_control_groups_name_them(resource: str, size: str) -> None:
    assert page_size(resource) == size


def test_a_container_has_none_of_the_nodes_sizes_that_it_does_not_ask_for() -> None:
    node = {_SMALL: 64 << 20, _LARGE: 1 << 30, "hugepages-64Ki": 0, "memory": 1}
    assert huge_pages({_SMALL: 4 << 20, "memory": 5}, node) == (("1GB", 0), ("2MB", 4 << 20))
    assert huge_pages({"memory": 5}, {"memory": 1, _SMALL: 0}) == ()


def _container(name: str, **limits: str) -> Obj:
    listed = {key.replace("_", "-"): value for key, value in limits.items()}
    return {"name": name, "image": "web:1", "resources": {"limits": listed, "requests": listed}}


def test_a_pods_group_has_the_pages_of_all_its_containers() -> None:
    containers = [_container("a", cpu="1", hugepages_2Mi="4Mi"), _container("b", cpu="1", hugepages_2Mi="2Mi")]
    assert pod_resources({"spec": {"containers": containers}}).huge_pages == (("2MB", 6 << 20),)


@pytest.mark.parametrize(
    ("pod_level", "expected"),
    [({}, (("2MB", 4 << 20),)), ({"limits": {_SMALL: "8Mi", _LARGE: "1Gi"}}, (("1GB", 1 << 30), ("2MB", 4 << 20)))],
)
def test_the_runtime_is_told(world: World, pod_level: Obj, expected: tuple[tuple[str, int], ...]) -> None:
    world.config = replace(world.config, capacity={"cpu": "2", "memory": "4Gi", "pods": "9", _SMALL: "64Mi", _LARGE: "2Gi"})
    if not pod_level:
        expected = (("1GB", 0), *expected)

    async def scenario() -> None:
        async with world.kubelet():
            spec: dict[str, Any] = {"containers": [_container("c", cpu="1", memory="1Gi", hugepages_2Mi="4Mi")]}
            world.create(**spec, resources=pod_level)
            await world.until(lambda: bool(world.runtime.configs))
            (made,) = world.runtime.configs.values()
            assert made.resources.huge_pages == expected

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("medium", "asked", "option", "why"),
    [
        ("HugePages", {_SMALL: "4Mi"}, "pagesize=2097152", ""),
        ("HugePages-1Gi", {_SMALL: "4Mi", _LARGE: "1Gi"}, "pagesize=1073741824", ""),
        ("HugePages", {_SMALL: "4Mi", _LARGE: "1Gi"}, "", "can't be used if container requests multiple huge page sizes"),
        ("HugePages-1Gi", {_SMALL: "4Mi"}, "", "hugePages storage requested, but there is no resource request for huge pages."),
        ("HugePages", {"memory": "4Mi"}, "", "hugePages storage requested, but there is no resource request for huge pages."),
        ("Huge", {_SMALL: "4Mi"}, "", "unknown storage medium 'Huge'"),
    ],
)
def test_an_empty_dir_of_them_is_of_a_size_that_the_pod_asks_for(
    world: World, monkeypatch: pytest.MonkeyPatch, medium: str, asked: dict[str, str], option: str, why: str
) -> None:
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(mounts, "mount", lambda source, target, kind, flags, options: made.append((kind, options)))

    async def scenario() -> None:
        async with world.kubelet():
            spec = {"name": "c", "image": "web:1", "resources": {"requests": {"cpu": "1m", **asked}}}
            world.create(containers=[spec], volumes=[{"name": "v", "emptyDir": {"medium": medium}}])
            if why:
                await world.until(lambda: any(why in each for each in world.api.events() if each.startswith("FailedMount")))
            else:
                await world.until(lambda: bool(world.runtime.configs))

    world.config = replace(world.config, capacity={"cpu": "2", "memory": "4Gi", "pods": "9", _SMALL: "64Mi", _LARGE: "2Gi"})
    asyncio.run(scenario())
    assert made == ([("hugetlbfs", option)] if option else [])
