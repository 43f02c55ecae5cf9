"""A start that was cut short by kill -9 of the runtime's process goes on: the program is run once, not twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.contract.cri.bench import Bench, shell
from tests.contract.cri.conftest import Scenario

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerState
from steersman.cri.native import procs, strays
from steersman.cri.native.oci import OciRuntime, Started

pytestmark = pytest.mark.root

_SCRIPT = "echo up; while [ ! -e /stop ]; do sleep 0.05; done; exit 4"


async def _nothing(_oci: OciRuntime, _container_id: str) -> None:
    """In place of `crun start`: as far as it came."""


@pytest.mark.parametrize("made_only", [True, False], ids=["made", "started"])
def test_a_start_cut_short_goes_on(
    run_native: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch, made_only: bool
) -> None:
    async def scenario(bench: Bench) -> None:
        with monkeypatch.context() as killed:
            if made_only:
                killed.setattr(OciRuntime, "start", _nothing)
            async with bench.runtime() as runtime:
                _, container = await bench.started(runtime, shell(_SCRIPT, name="once"))
        [path] = (bench.root / "state").glob(f"containers/{container}/record.json")
        record = json.loads(path.read_text())
        unnoted = {"state": ContainerState.CREATED.value, "starting": True, "process": None, "conmon": None, "started_at": None}
        path.write_text(json.dumps({**record, **unnoted}))
        async with bench.runtime() as runtime:
            assert (await runtime.container_status(container)).state is ContainerState.RUNNING
            await runtime.exec_sync(container, ["touch", "/stop"], 60)
            await bench.ended(runtime, container)
            assert (await runtime.container_status(container)).exit_code == 4

    run_native(scenario)


class _Killed(Exception):
    """Stands for kill -9 of the runtime's process: nobody handles it."""


def _slowly(monkeypatch: pytest.MonkeyPatch, root: Path, oci: str) -> str:
    """Have the OCI runtime be asked for a container and never get to making it; the path of the program that does."""
    program = root / "slow"
    real = shutil.which(oci, path=f"{os.environ['PATH']}:/usr/sbin")
    program.write_text(f'#!/bin/sh\ncase "$*" in *create*) read never < {root}/fifo;; esac\nexec {real} "$@"\n')
    program.chmod(0o755)
    os.mkfifo(root / "fifo")
    create = OciRuntime.create

    async def slow(self: OciRuntime, *args: Any, **kwargs: Any) -> Started:
        usual, self.program = self.program, str(program)
        try:
            return await create(self, *args, **kwargs)
        finally:
            self.program = usual

    monkeypatch.setattr(OciRuntime, "create", slow)
    return str(program)


async def _until_at_work(bench: Bench, container: str, program: str) -> procs.ProcessId:
    """Until the OCI runtime has been asked; the monitor."""
    while True:
        for process in strays.at_work(container, program):
            with contextlib.suppress(OSError):  # others come and go
                command = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
                if b"create" in command:
                    parent = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])
                    monitor = procs.identify(parent)
                    assert monitor is not None
                    return monitor
        await bench.clock.sleep(0.01)


def test_what_was_still_making_a_container_when_the_runtime_was_killed_makes_none(
    run_native: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had neither pid file nor state on disk yet, so nothing was ended, and it became a container that nobody knew."""

    async def scenario(bench: Bench) -> None:
        with monkeypatch.context() as killed:
            program = _slowly(killed, bench.root, bench.oci)
            slow = OciRuntime.create

            async def cut_short(self: OciRuntime, container: str, *args: Any, **kwargs: Any) -> Started:
                async with asyncio.TaskGroup() as group:
                    making = group.create_task(slow(self, container, *args, **kwargs))
                    await _until_at_work(bench, container, program)
                    making.cancel()
                raise _Killed

            killed.setattr(OciRuntime, "create", cut_short)
            async with bench.runtime() as runtime:
                with pytest.raises(_Killed):
                    await bench.started(runtime, shell(_SCRIPT, name="once"))
        async with bench.runtime() as runtime:
            [container] = await runtime.list_containers()
            assert container.state is ContainerState.EXITED
            assert strays.at_work(container.id, program) == []

    run_native(scenario)


def test_a_monitor_killed_while_it_has_a_container_made_leaves_nobody_at_it(
    run_native: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(bench: Bench) -> None:
        program = _slowly(monkeypatch, bench.root, bench.oci)

        async def kill_monitor(container: str) -> None:
            assert procs.send(await _until_at_work(bench, container, program), signal.SIGKILL)

        async with bench.runtime() as runtime, asyncio.TaskGroup() as group:
            sandbox = await runtime.run_pod_sandbox(bench.pod())
            container = await runtime.create_container(sandbox, shell(_SCRIPT, name="once"), bench.pod())
            group.create_task(kill_monitor(container))
            with pytest.raises(RuntimeFault, match="conmon failed to start"):
                await runtime.start_container(container)
            assert strays.at_work(container, program) == []
            assert (await runtime.container_status(container)).state is ContainerState.EXITED

    run_native(scenario)
