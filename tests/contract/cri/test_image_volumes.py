"""Image volumes: what is in an image, mounted into a container read-only; who cannot do it says so."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.contract.cri.bench import Bench, shell

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.cri.messages import ContainerConfig, Mount
from steersman.cri.native import build
from steersman.cri.native.images import NativeImages

pytestmark = pytest.mark.root

Run = Callable[[Callable[[Bench], Awaitable[None]]], None]
NAME = "example.com/data:1"
LOWER = build.Contents(
    text={"etc/os-release": "old\n", "gone": "x", "dir/file": "below\n"}, links={"out": "/../../etc", "in": "dir/file"}
)
UPPER = build.Contents(text={"etc/os-release": "new\n", ".wh.gone": "", "run.sh": "#!/bin/sh\necho ran"})


async def _load(bench: Bench, *layers: build.Contents) -> str:
    """The id of an image of these layers."""
    archive = bench.root / "data.tar"
    build.write_image(str(archive), NAME, [build.layer_tar(each) for each in layers], {})
    images = NativeImages(str(bench.root / "state"), bench.clock)
    await images.load(str(archive))
    found = await images.image_status(NAME)
    assert found is not None
    return found.id


async def _said(bench: Bench, runtime: Runtime, config: ContainerConfig) -> list[str]:
    """Its lines, whole: busybox may write one in two pieces."""
    await bench.output(runtime, config)
    pieces = [text + ("" if tag == "P" else "\n") for _, tag, text in bench.log(config.name)]
    return "".join(pieces).splitlines()


@pytest.mark.parametrize(
    ("layers", "names", "content"),
    [
        pytest.param((LOWER, UPPER), "dir etc in out run.sh", "new", id="two layers"),
        pytest.param((LOWER,), "dir etc gone in out", "old", id="the lower"),
        pytest.param((UPPER,), "etc run.sh", "new", id="the upper"),
    ],
)
def test_the_layers_are_seen_merged_and_cannot_be_written(
    run_native: Run, layers: tuple[build.Contents, ...], names: str, content: str
) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            mount = Mount("/v", "", image=await _load(bench, *layers))
            script = "echo $(ls /v); cat /v/etc/os-release; for f in new etc/os-release; do echo x > /v/$f; done; rm -r /v/etc"
            said = await _said(bench, runtime, shell(script, mounts=(mount,)))
            assert said[:2] == [names, content]
            assert len(said) == 5 and all("Read-only file system" in line for line in said[2:]), said

    run_native(scenario)


def test_a_program_in_the_image_can_be_run(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            mount = Mount("/v", "", image=await _load(bench, UPPER))
            assert await bench.output(runtime, shell("/v/run.sh", mounts=(mount,))) == ["ran"]

    run_native(scenario)


def test_an_image_without_layers_is_an_empty_folder_that_cannot_be_written(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            mount = Mount("/v", "", image=await _load(bench))
            said = await _said(bench, runtime, shell("exec 2>&1; ls -A /v | wc -l; echo x > /v/new", mounts=(mount,)))
            assert said[0] == "0" and "Read-only file system" in said[1]

    run_native(scenario)


def test_a_part_is_mounted_by_its_path_inside_the_image(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            image = await _load(bench, LOWER, UPPER)
            parts = {"/dir": "dir", "/file": "dir/file", "/linked": "in", "/etc2": "out"}
            mounts = tuple(Mount(path, "", image=image, image_sub_path=part) for path, part in parts.items())
            script = "exec 2>&1; cat /dir/file /file /linked; ls /etc2; echo x > /dir/file"
            said = await _said(bench, runtime, shell(script, mounts=mounts))
            # A link that leads out of the image ends at its top.
            assert said[:4] == ["below", "below", "below", "os-release"]
            assert "Read-only file system" in said[4]

    run_native(scenario)


@pytest.mark.parametrize(("image", "part", "says"), [("", "none/such", "subpath 'none/such'"), ("sha256:none", "", "not found")])
def test_what_is_not_there_fails_the_container_and_leaves_nothing(run_native: Run, image: str, part: str, says: str) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            found = await _load(bench, LOWER)
            pod = bench.pod()
            sandbox = await runtime.run_pod_sandbox(pod)
            wanted = shell("true", mounts=(Mount("/v", "", image=image or found, image_sub_path=part),))
            with pytest.raises(RuntimeFault, match=f"ImageVolumeMountFailed: .*{says}"):
                await runtime.create_container(sandbox, wanted, pod)
            assert [path for place in ("state/snapshots", "run/bundles") for path in (bench.root / place).glob("*")] == []

    run_native(scenario)


def test_an_image_in_use_can_be_removed_and_its_layers_stay_until_the_container_goes(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        layers = bench.root / "state" / "layers"
        async with bench.runtime() as runtime:
            mount = Mount("/v", "", image=await _load(bench, LOWER, UPPER))
            _, container = await bench.started(runtime, shell("sleep 100", mounts=(mount,)))
            images = NativeImages(str(bench.root / "state"), bench.clock)
            await images.remove_image(NAME)
            assert (await runtime.exec_sync(container, ["cat", "/v/dir/file"], 60)).stdout == b"below\n"
            before = len(os.listdir(layers))
        # The mounts of a container that lives are taken over by the next life of the runtime.
        async with bench.runtime() as runtime:
            assert (await runtime.exec_sync(container, ["cat", "/v/dir/file"], 60)).stdout == b"below\n"
            await runtime.remove_container(container)
            assert not [
                line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{bench.root}/run/bundles" in line
            ]
            await images.sweep()
            assert len(os.listdir(layers)) == before - 4  # two folders, and their sizes
            assert json.loads((bench.root / "state" / "index.json").read_text())

    run_native(scenario)


def test_a_containerd_that_is_too_old_is_named(run_containerd: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            pod = bench.pod()
            sandbox = await runtime.run_pod_sandbox(pod)
            with pytest.raises(
                RuntimeFault, match=r"ImageVolumeMountFailed: containerd \S+ does not support image volumes"
            ) as caught:
                await runtime.create_container(sandbox, shell("true", mounts=(Mount("/v", "", image="busybox"),)), pod)
            assert caught.value.reason == "CreateContainerError"

    run_containerd(scenario)
