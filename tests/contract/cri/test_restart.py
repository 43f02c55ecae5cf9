"""The contract of interface.Runtime: another process takes over where one was closed or killed; half-made things are swept."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.contract.cri.bench import Bench, shell

from steersman.cri.messages import ContainerState, SandboxState
from steersman.cri.native import procs

pytestmark = pytest.mark.root
Run = Callable[[Callable[[Bench], Awaitable[None]]], None]

_OWNER = """
import asyncio, sys
from pathlib import Path
from tests.contract.cri.bench import Bench, shell
from tests.fakes.containerd import Containerd

async def main() -> None:
    containerd = Containerd(Path(sys.argv[5])) if sys.argv[5] else None
    bench = Bench(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], containerd)
    async with bench.runtime() as runtime:
        script = "echo up; while [ ! -e /stop ]; do sleep 0.05; done; echo down; exit 4"
        sandbox, container = await bench.started(runtime, shell(script))
        print(sandbox, container, flush=True)
        while True:  # keep making pods, so that the kill comes in the middle of one
            for number in range(1000):
                await bench.started(runtime, shell("sleep 100"), bench.pod(f"pod{number}"))
                print(number, flush=True)

asyncio.run(main())
"""


def test_a_restart_finds_everything_and_what_happened_meanwhile(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            sandbox, living = await bench.started(runtime, shell("echo up; sleep 1000", name="living"))
            _, ending = await bench.started(runtime, shell("read go; exit 5", name="ending", stdin=True, stdin_once=True))
            created = await runtime.create_container(sandbox, shell("exit 6", name="created"), bench.pod())
            pid = (await runtime.container_status(ending)).pid
        process = procs.identify(pid)
        assert procs.send(process, signal.SIGKILL)
        await procs.gone(process)
        async with bench.runtime() as runtime:
            assert (await runtime.pod_sandbox_status(sandbox)).state is SandboxState.READY
            await bench.ended(runtime, ending)
            assert (await runtime.container_status(ending)).exit_code == 137
            assert (await runtime.container_status(living)).state is ContainerState.RUNNING
            assert (await runtime.exec_sync(living, ["echo", "x"], 60)).stdout == b"x\n"
            await runtime.start_container(created)
            await bench.ended(runtime, created)
            assert (await runtime.container_status(created)).exit_code == 6

    run(scenario)


def test_after_kill_9_pods_live_on_and_half_made_ones_can_be_removed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        daemon = str(bench.containerd.root) if bench.containerd else ""
        argv = [sys.executable, "-c", _OWNER, bench.oci, str(bench.root), str(bench.archive), bench.cgroup, daemon]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        owner = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE, env=env)  # noqa: TID251 asyncio's own loop
        assert owner.stdout is not None
        sandbox, container = (await owner.stdout.readline()).decode().split()
        await owner.stdout.readline()
        owner.send_signal(signal.SIGKILL)
        await owner.communicate()
        async with bench.runtime() as runtime:
            assert (await runtime.pod_sandbox_status(sandbox)).state is SandboxState.READY
            assert (await runtime.container_status(container)).state is ContainerState.RUNNING
            await runtime.exec_sync(container, ["touch", "/stop"], 60)
            await bench.ended(runtime, container)
            assert (await runtime.container_status(container)).exit_code == 4
            assert [text for _, _, text in bench.log()] == ["up", "down"]
            for each in await runtime.list_pod_sandboxes():
                await runtime.remove_pod_sandbox(each.id)
            assert await bench.leftovers(cut_short=True) == []

    run(scenario)


def test_after_a_reboot_nothing_counts_as_alive(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            sandbox, running = await bench.started(runtime, shell("sleep 1000", name="running"))
            created = await runtime.create_container(sandbox, shell("", name="created"), bench.pod())
        for path in (bench.root / "state").glob("*/*/record.json"):
            record = json.loads(path.read_text())
            path.write_text(json.dumps({**record, "boot_id": "an-earlier-one"}))
        async with bench.runtime() as runtime:
            assert (await runtime.pod_sandbox_status(sandbox)).state is SandboxState.NOT_READY
            for container in (running, created):
                status = await runtime.container_status(container)
                assert (status.state, status.exit_code, status.reason) == (ContainerState.EXITED, 255, "Unknown")

    run_native(scenario)


def test_what_no_record_names_is_swept(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            sandbox, running = await bench.started(runtime, shell("sleep 1000", name="running"))
            created = await runtime.create_container(sandbox, shell("", name="created"), bench.pod())
        # As if the crash had come before the records were written.
        for container in (running, created):
            (bench.root / "state" / "containers" / container / "record.json").unlink()
        async with bench.runtime() as runtime:
            assert await runtime.list_containers() == []
            await runtime.remove_pod_sandbox(sandbox)
        (bench.root / "run" / "netns" / "stray").touch()
        broken = bench.root / "state" / "sandboxes" / "broken"
        broken.mkdir()
        (broken / "record.json").write_text('{"id": "bro')
        async with bench.runtime():
            assert await bench.leftovers() == []

    run_native(scenario)
