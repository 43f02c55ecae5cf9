"""Which program a container gets, and what scripts do."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steersman.cri.messages import ContainerConfig, Mount, SandboxConfig
from steersman.cri.simulated.images import SimulatedImages, full_name
from steersman.cri.simulated.program import Exit, Process, runs, serve
from steersman.cri.simulated.script import INIT_ANNOTATION, Programs, execute
from steersman.machinery.clock import VirtualClock

IMAGE = "registry.example/team/app:1.2"


def process(config: ContainerConfig, said: list[str] | None = None, sandbox: SandboxConfig | None = None) -> Process:
    heard = said if said is not None else []
    return Process(config, sandbox or pod(), IMAGE, VirtualClock(), lambda text, stream: heard.append(f"{stream}: {text}"))


def pod(**annotations: str) -> SandboxConfig:
    return SandboxConfig(name="web", uid="u", namespace="default", hostname="web", annotations=annotations)


def container(*command: str, **more: Any) -> ContainerConfig:
    return replace(ContainerConfig(name="c", image=IMAGE, command=command, envs=(("NAME", "value"),)), **more)


async def outcome(config: ContainerConfig, sandbox: SandboxConfig | None = None, limit_s: float = 100) -> tuple[int | None, str]:
    """(exit code, None if it still runs; what it said)."""
    said: list[str] = []
    made = process(config, said, sandbox)
    running = Programs().of(config, made.sandbox, IMAGE)(made)
    if running is None:
        return None, ""
    clock = made.clock
    assert isinstance(clock, VirtualClock)
    task = asyncio.gather(running, return_exceptions=True)
    await clock.advance(limit_s)
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return None, "".join(said)
    (code,) = task.result()
    if isinstance(code, Exit):
        code = code.code
    assert isinstance(code, int)
    return code, "".join(said)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("sh", "-c", "echo $NAME ${NAME}; exit 3"), 3, "stdout: value value\n"),
        (("/bin/sh", "-ec", "false || echo a && echo b; true"), 0, "stdout: a\nstdout: b\n"),
        (("sh", "-c", "false && echo never"), 1, ""),
        (("sh", "-c", "echo one\necho two >&2"), 0, "stdout: one\nstderr: two\n"),
        (("sleep", "1m"), 0, ""),
        (("sleep", "1h"), None, ""),
        (("nginx", "-g", "daemon off;"), None, ""),
        (("sh", "-c", "while :; do sleep 1; done"), None, ""),
        (("sh", "-c", "cat /nowhere | wc -l"), None, ""),
        (("sh", "-c", "echo 'not closed"), None, ""),
        ((), None, ""),
    ],
)
def test_commands_do_what_they_look_like(command: tuple[str, ...], code: int | None, said: str) -> None:
    assert asyncio.run(outcome(container(*command))) == (code, said)


def test_what_has_to_end_ends_well_whatever_it_is() -> None:
    init = {INIT_ANNOTATION: "true"}
    assert asyncio.run(outcome(container("sh", "-c", "until nslookup db; do echo; done", annotations=init))) == (0, "")
    assert asyncio.run(outcome(container(annotations=init))) == (0, "")
    job = SandboxConfig(name="j", uid="u", namespace="default", labels={"batch.kubernetes.io/job-name": "j"})
    assert asyncio.run(outcome(container("perl", "-e", "1"), job)) == (0, "")


def test_an_annotation_comes_before_the_image_and_the_image_before_the_command() -> None:
    crash, finish = runs(1, 1), runs(1, 0)
    programs = Programs(by_image={"app": finish}, by_name={"crash": crash})
    config = container("sleep", "5")
    assert programs.of(config, pod(**{"simulated.steersman.dev/program": "crash"}), IMAGE) is crash
    assert programs.of(config, pod(**{"program.simulated.steersman.dev/c": "crash"}), IMAGE) is crash
    assert programs.of(config, pod(**{"program.simulated.steersman.dev/other": "crash"}), IMAGE) is finish
    assert programs.of(config, pod(), "docker.io/library/app@sha256:0") is finish
    assert programs.of(container(), pod(), "other:1") is serve
    noted = pod(**{"simulated.steersman.dev/program": "sleep 2; exit 9"})
    assert asyncio.run(outcome(container("nginx"), noted)) == (9, "")


def test_a_trap_decides_what_a_stop_does() -> None:
    async def scenario() -> None:
        made = process(container("sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done"))
        running = Programs().of(made.config, pod(), IMAGE)(made)
        assert running is not None
        task = asyncio.gather(running, return_exceptions=True)
        clock = made.clock
        assert isinstance(clock, VirtualClock)
        await clock.advance(60)
        assert not task.done()
        made.trap().set()
        (end,) = await task
        assert isinstance(end, Exit) and end.code == 9

    asyncio.run(scenario())


def test_mounted_files_are_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("colour=blue\n")
    (tmp_path / "message").touch()
    mounts = (Mount("/etc/app", str(tmp_path)), Mount("/dev/termination-log", str(tmp_path / "message")))
    made = process(container(mounts=mounts))
    done = asyncio.run(execute(made, ["sh", "-c", "cat /etc/app/settings; echo farewell > /dev/termination-log"]))
    assert (done.stdout, done.exit_code) == (b"colour=blue\n", 0)
    assert (tmp_path / "message").read_text() == "farewell\n"
    assert asyncio.run(execute(made, ["cat", "/etc/app/missing"])).exit_code == 1


def test_images_have_full_names_and_the_same_id_everywhere() -> None:
    assert full_name("nginx") == "docker.io/library/nginx:latest"
    assert full_name("team/app:1") == "docker.io/team/app:1"
    assert full_name("localhost:5000/app") == "localhost:5000/app:latest"

    async def scenario() -> None:
        one, other = SimulatedImages(VirtualClock()), SimulatedImages(VirtualClock())
        assert await one.image_status("nginx") is None
        assert await one.pull_image("nginx") == await other.pull_image("docker.io/library/nginx:latest")
        found = await one.image_status("nginx")
        assert found is not None and await one.image_status(found.id) is found
        await one.remove_image("nginx")
        assert await one.image_status(found.id) is None and await one.list_images() == []

    asyncio.run(scenario())
