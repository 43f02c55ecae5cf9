"""Static pods in a kubelet on fakes: files come, change and go; the API shows them, or is away."""

from __future__ import annotations

import asyncio
import copy
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from steersman.cri.messages import SandboxState
from steersman.kubelet.run import run
from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


def manifest(name: str = "web", image: str = "busybox:1", **spec: Any) -> str:
    containers = [{"name": "app", "image": image}]
    pod: Obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}
    return yamlio.dump(pod)


def with_manifests(world: World, tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    world.config = replace(world.config, static_pod_path=folder)
    return folder


def mirror(world: World, name: str = "web-n1") -> Obj | None:
    return world.api.objects.get("pods", {}).get(("default", name))


def phase(world: World, name: str = "web-n1") -> str:
    return str(((mirror(world, name) or {}).get("status") or {}).get("phase"))


def running(world: World) -> list[str]:
    """Images of what runs."""
    return sorted(item.image_ref for item in world.runtime.containers.values() if item.state.name == "RUNNING")


def test_a_file_becomes_a_running_pod_that_the_api_shows(world: World, tmp_path: Path) -> None:
    folder = with_manifests(world, tmp_path)
    (folder / "web.yaml").write_text(manifest())
    (folder / ".hidden.yaml").write_text(manifest("hidden"))
    (folder / "deeper").mkdir()

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: phase(world) == "Running")
            shown = mirror(world)
            assert shown is not None
            notes = shown["metadata"]["annotations"]
            assert notes["kubernetes.io/config.mirror"] == notes["kubernetes.io/config.hash"]
            node = world.api.objects["nodes"]["", "n1"]
            owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": node["metadata"]["uid"], "controller": True}
            assert shown["metadata"]["ownerReferences"] == [owner]
            assert shown["status"]["containerStatuses"][0]["ready"] is True
            (sandbox,) = world.runtime.sandboxes.values()
            assert sandbox.uid == notes["kubernetes.io/config.hash"]
            assert list(world.api.objects["pods"]) == [("default", "web-n1")]

    asyncio.run(scenario())


def test_a_changed_file_replaces_the_pod_after_the_old_one_has_ended(world: World, tmp_path: Path) -> None:
    folder = with_manifests(world, tmp_path)
    world.images.present.add("nginx:1")
    world.runtime.stop_s = 3.0

    async def scenario() -> None:
        (folder / "web.yaml").write_text(manifest(terminationGracePeriodSeconds=20))
        async with world.kubelet():
            await world.until(lambda: phase(world) == "Running")
            before = mirror(world)
            (folder / "web.yaml").write_text(manifest(image="nginx:1"))
            await world.settle()
            assert running(world) == ["sha256:busybox:1"] or running(world) == ["busybox:1"]
            await world.until(lambda: any("nginx" in image for image in running(world)))
            assert "stop app 20" in world.runtime.log
            assert len([each for each in world.runtime.sandboxes.values() if each.state is SandboxState.READY]) == 1
            await world.until(lambda: mirror(world) != before and phase(world) == "Running")
            shown = mirror(world)
            assert shown is not None and shown["spec"]["containers"][0]["image"] == "nginx:1"

    asyncio.run(scenario())


def test_a_removed_file_ends_the_pod_and_then_its_mirror(world: World, tmp_path: Path) -> None:
    folder = with_manifests(world, tmp_path)
    (folder / "web.yaml").write_text(manifest())
    world.runtime.stop_s = 3.0

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: phase(world) == "Running")
            (folder / "web.yaml").unlink()
            await world.settle()
            assert mirror(world) is not None, "it is shown as long as it runs"
            await world.until(lambda: mirror(world) is None)
            assert running(world) == [] and not world.runtime.sandboxes

    asyncio.run(scenario())


def test_a_deleted_mirror_comes_back_and_the_pod_runs_on(world: World, tmp_path: Path) -> None:
    folder = with_manifests(world, tmp_path)
    (folder / "web.yaml").write_text(manifest())

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: phase(world) == "Running")
            marked = copy.deepcopy(mirror(world) or {})
            marked["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30}
            world.api.put("pods", marked)
            await world.until(lambda: "deletionTimestamp" not in (mirror(world) or marked)["metadata"])
            await world.until(lambda: phase(world) == "Running")
            # Gone without a word: by force, or with its namespace.
            world.api.drop("pods", "default", "web-n1")
            await world.until(lambda: phase(world) == "Running")
            assert not any(line.startswith("stop") for line in world.runtime.log)

    asyncio.run(scenario())


def test_a_mirror_of_nothing_is_removed(world: World, tmp_path: Path) -> None:
    with_manifests(world, tmp_path)
    left: Obj = {
        "metadata": {"name": "old-n1", "namespace": "default", "annotations": {"kubernetes.io/config.mirror": "x"}},
        "spec": {"nodeName": "n1", "containers": []},
    }

    async def scenario() -> None:
        world.api.put("pods", left)
        async with world.kubelet():
            await world.until(lambda: mirror(world, "old-n1") is None)
            assert not world.runtime.log

    asyncio.run(scenario())


def test_a_manifest_that_became_bad_is_named_and_changes_nothing(world: World, tmp_path: Path) -> None:
    folder = with_manifests(world, tmp_path)
    (folder / "web.yaml").write_text(manifest())

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: phase(world) == "Running")
            (folder / "web.yaml").write_text("kind: Pod\napiVersion: v1\nspec: {containers: []}\n")
            (folder / "other.yaml").write_text(manifest("other"))
            await world.until(lambda: phase(world, "other-n1") == "Running")
            assert len(running(world)) == 2
            (told,) = [line for line in world.api.events() if line.startswith("FailedValidation")]
            assert f"{folder}/web.yaml" in told and "spec.containers: Required value" in told

    asyncio.run(scenario())


def test_two_manifests_of_one_name_are_one_pod(world: World, tmp_path: Path) -> None:
    folder = with_manifests(world, tmp_path)
    (folder / "a.yaml").write_text(manifest())
    (folder / "b.yaml").write_text(manifest(image="nginx:1"))

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: phase(world) == "Running")
            await world.settle()
            assert [image for image in running(world) if "nginx" in image] == []
            text = "FailedValidation: Error validating pod web-n1.default, ignoring: duplicate pod name"
            await world.until(lambda: text in world.api.events())
            # The other takes its place when the first is gone.
            (folder / "a.yaml").unlink()
            await world.until(lambda: any("nginx" in image for image in running(world)))

    asyncio.run(scenario())


def test_static_pods_run_while_the_api_server_is_away(world: World, tmp_path: Path) -> None:
    folder = with_manifests(world, tmp_path)
    (folder / "web.yaml").write_text(manifest(hostNetwork=True))

    async def scenario() -> None:
        world.api.away = True
        async with asyncio.TaskGroup() as group:
            work = run(world.config, world.api, world.runtime, world.images, world.clock, rng=random.Random(1))
            task = group.create_task(work)
            await world.until(lambda: len(running(world)) == 1)
            assert mirror(world) is None
            # It is looked after, too.
            world.runtime.exit("app", 1)
            await world.until(lambda: len(running(world)) == 1)
            world.api.away = False
            await world.until(lambda: phase(world) == "Running")
            shown = mirror(world)
            assert shown is not None and shown["status"]["containerStatuses"][0]["restartCount"] == 1
            task.cancel()

    asyncio.run(scenario())


def test_a_restarted_kubelet_leaves_static_pods_alone(world: World, tmp_path: Path) -> None:
    folder = with_manifests(world, tmp_path)
    (folder / "web.yaml").write_text(manifest())

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: phase(world) == "Running")
        before = list(world.runtime.log), copy.deepcopy(mirror(world))
        async with world.kubelet():
            await world.clock.advance(30)
            await world.settle()
            assert world.runtime.log == before[0]
            shown = mirror(world)
            assert shown is not None and before[1] is not None
            assert shown["metadata"]["uid"] == before[1]["metadata"]["uid"]
            assert ("delete", "pods", "web-n1") not in world.api.calls

    asyncio.run(scenario())


def test_a_file_that_comes_back_while_what_is_left_of_its_pod_is_stopped_begins_after_that(world: World, tmp_path: Path) -> None:
    """Moved away, the kubelet restarted, moved back: the two of one UID stopped each other, and the API was told of neither."""
    folder = with_manifests(world, tmp_path)
    (folder / "web.yaml").write_text(manifest())

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: phase(world) == "Running")
        (folder / "web.yaml").unlink()
        world.runtime.stop_s, first = 60.0, world.runtime.named("app").id
        async with world.kubelet():
            await world.until(lambda: any(line.startswith("stop app") for line in world.runtime.log))
            (folder / "web.yaml").write_text(manifest())
            await world.until(lambda: first not in world.runtime.containers)
            await world.until(lambda: running(world) == ["sha256:busybox:1"], limit_s=5)
            second = world.runtime.named("app").id
            await world.until(lambda: phase(world) == "Running", limit_s=5)
            await world.clock.advance(60)
            assert (running(world), world.runtime.named("app").id) == (["sha256:busybox:1"], second)
            (folder / "web.yaml").unlink()
            await world.until(lambda: not world.runtime.sandboxes and mirror(world) is None)

    asyncio.run(scenario())


def test_a_directory_may_come_later_and_be_replaced(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    world.config = replace(world.config, static_pod_path=folder)

    async def scenario() -> None:
        async with world.kubelet():
            folder.mkdir()
            (folder / "web.yaml").write_text(manifest())
            # No longer than it takes to start it.
            await world.until(lambda: phase(world) == "Running", limit_s=2)
            folder.rename(tmp_path / "aside")
            folder.mkdir()
            (folder / "other.yaml").write_text(manifest("other"))
            await world.until(lambda: phase(world, "other-n1") == "Running" and mirror(world) is None)

    asyncio.run(scenario())


def test_pods_may_come_from_a_url(world: World) -> None:
    answers: list[tuple[int, str]] = [(503, "not now")]

    async def answer(request: web.BaseRequest) -> web.Response:
        assert request.headers["X-Key"] == "1"
        status, text = answers[0]
        return web.Response(status=status, text=text)

    async def scenario() -> None:
        server = web.Server(answer)
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/pods"
        world.config = replace(world.config, static_pod_url=url, static_pod_url_headers={"X-Key": ("1",)})
        async with world.kubelet():
            await world.until(lambda: any("503" in line for line in world.api.events() if "FailedValidation" in line))
            answers[0] = (200, manifest())
            await world.until(lambda: phase(world) == "Running")
            answers[0] = (500, "")
            await world.clock.advance(60)
            await world.settle()
            assert len(running(world)) == 1, "nobody knows that it is gone"
            answers[0] = (200, "{apiVersion: v1, kind: PodList, items: []}")
            await world.until(lambda: mirror(world) is None)
        listener.close()
        await server.shutdown(1)

    asyncio.run(scenario())
