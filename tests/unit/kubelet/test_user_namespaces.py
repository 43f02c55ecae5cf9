"""Which ids pods with a user namespace of their own get, and what is told when they can't."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.kubelet.conftest import pod

from steersman.cri.messages import IdMapping
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.configuration.fields import with_defaults
from steersman.kubelet.configuration.validation import problems
from steersman.kubelet.usernamespaces import UNSUPPORTED, UserNamespaces

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

_UNIT = 65536


def ranges(
    root: Path, ids_per_pod: int = _UNIT, subuid: str = "", subgid: str | None = None, max_pods: int = 2
) -> UserNamespaces:
    accounts = root / "etc"
    accounts.mkdir(exist_ok=True)
    (accounts / "subuid").write_text(subuid)
    (accounts / "subgid").write_text(subuid if subgid is None else subgid)
    configuration = with_defaults({"userNamespaces": {"idsPerPod": ids_per_pod}})
    config = KubeletConfig(node_name="n1", root_dir=root / "kubelet", max_pods=max_pods, configuration=configuration)
    return UserNamespaces(config, accounts)


def first(found: UserNamespaces, uid: str) -> int:
    (mapping,) = found.of(pod(uid=uid, hostUsers=False), supported=True)
    assert mapping.container_id == 0
    return mapping.host_id


def test_every_pod_has_a_range_of_its_own_and_keeps_it_over_a_restart(tmp_path: Path) -> None:
    node = ranges(tmp_path)
    assert (first(node, "a"), first(node, "b"), first(node, "a")) == (_UNIT, 2 * _UNIT, _UNIT)
    written = json.loads((tmp_path / "kubelet/pods/b/userns").read_text())
    mapping = [{"hostId": 2 * _UNIT, "containerId": 0, "length": _UNIT}]
    assert written == {"uidMappings": mapping, "gidMappings": mapping}
    again = ranges(tmp_path)
    with pytest.raises(ValueError, match="could not find an empty slot"):
        first(again, "c")
    again.release("a")
    assert (first(again, "c"), first(again, "b")) == (_UNIT, 2 * _UNIT)
    assert not (tmp_path / "kubelet/pods/a/userns").exists()


def test_pods_with_the_nodes_users_get_none(tmp_path: Path) -> None:
    node = ranges(tmp_path)
    assert node.of(pod(), supported=False) == node.of(pod(hostUsers=True), supported=True) == ()


def test_larger_ranges_begin_at_their_own_multiple(tmp_path: Path) -> None:
    assert ranges(tmp_path, 2 * _UNIT).of(pod(hostUsers=False), supported=True) == (IdMapping(0, 2 * _UNIT, 2 * _UNIT),)


@pytest.mark.parametrize(
    ("subuid", "subgid", "expected"),
    [
        ("root:1:5\nkubelet:655360:131072\n", None, 655360),
        ("somebody:655360:131072\n", None, _UNIT),
        ("kubelet:100000:131072\n", None, "is not a multiple of 65536"),
        ("kubelet:0:131072\n", None, "must be greater or equal to 65536"),
        ("kubelet:65536:131073\n", None, "IDs length 131073 is not a multiple of 65536"),
        ("kubelet:65536:65536\n", None, "are not enough to support 2 pods"),
        ("kubelet:65536:131072\n", "kubelet:131072:131072\n", "needs one range, the same"),
    ],
)
def test_the_nodes_ranges_come_from_subuid_and_subgid(
    tmp_path: Path, subuid: str, subgid: str | None, expected: int | str
) -> None:
    node = ranges(tmp_path, subuid=subuid, subgid=subgid)
    if isinstance(expected, int):
        assert first(node, "a") == expected
    else:
        with pytest.raises(ValueError, match=expected):
            first(node, "a")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (b"nonsense", "invalid user namespace mappings file"),
        (b"{}", "invalid user namespace mappings file"),
        (b'{"uidMappings":[],"gidMappings":[]}', "single mapping"),
        ((65536, 1, 65536), "UID 0 must be mapped"),
        ((65536, 0, 1), "wrong user namespace length 1"),
        ((65537, 0, 65536), "wrong user namespace offset specified 65537"),
        ((65536 * 9, 0, 65536), "out of range"),
    ],
)
def test_a_file_that_cannot_be_ours_is_not_overwritten(tmp_path: Path, written: bytes | tuple[int, int, int], why: str) -> None:
    folder = tmp_path / "kubelet/pods/a"
    folder.mkdir(parents=True)
    if isinstance(written, tuple):
        mapping = [dict(zip(("hostId", "containerId", "length"), written))]
        written = json.dumps({"uidMappings": mapping, "gidMappings": mapping}).encode()
    (folder / "userns").write_bytes(written)
    with pytest.raises(ValueError, match=why):
        first(ranges(tmp_path), "a")
    assert (folder / "userns").read_bytes() == written
    assert first(ranges(tmp_path), "b") == _UNIT


@pytest.mark.parametrize("ids", [0, -65536, 1000, 65536 * 65536])
def test_a_configuration_with_ranges_that_cannot_be_is_refused(ids: int) -> None:
    assert any("userNamespaces.idsPerPod" in text for text in problems(with_defaults({"userNamespaces": {"idsPerPod": ids}})))


def test_the_runtime_is_told_and_the_range_comes_back_when_the_pod_has_ended(world: World) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create(hostUsers=False)
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            (made,) = world.runtime.pods.values()
            assert made.id_mappings == (IdMapping(0, _UNIT, _UNIT),)
            file = world.config.pod_dir("u1") / "userns"
            assert file.exists()
            world.delete(1)
            await world.until(lambda: not file.exists())
            node = world.api.objects["nodes"]["", "n1"]
            assert node["status"]["runtimeHandlers"][0]["features"]["userNamespaces"] is True

    asyncio.run(scenario())


def test_a_runtime_that_cannot_is_never_asked_for_such_a_pod(world: World) -> None:
    world.runtime.maps_users = False
    world.config = dataclasses.replace(world.config)

    async def scenario() -> None:
        async with world.kubelet():
            world.create(hostUsers=False)
            text = f"Failed to create pod sandbox: {UNSUPPORTED}"
            await world.until(lambda: any(text in str(event) for event in world.api.objects.get("events", {}).values()))
            assert not world.runtime.sandboxes
            node = world.api.objects["nodes"]["", "n1"]
            assert node["status"]["runtimeHandlers"][0]["features"]["userNamespaces"] is False

    asyncio.run(scenario())
