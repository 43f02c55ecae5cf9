"""The simulated runtime: containers' lives, programs in Python, logs, addresses, events."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from steersman.cri.interface import NotThere, RuntimeFault
from steersman.cri.messages import (
    Container,
    ContainerConfig,
    ContainerState,
    EventKind,
    ExecResult,
    NamespaceMode,
    RuntimeEvent,
    SandboxConfig,
    SandboxState,
)
from steersman.cri.simulated.images import SimulatedImages
from steersman.cri.simulated.program import CannotStart, Exit, Process, Program, ignores_stop, ready_after, runs
from steersman.cri.simulated.runtime import SimulatedRuntime
from steersman.cri.simulated.script import Programs
from steersman.machinery.clock import VirtualClock


@dataclass
class Bench:
    runtime: SimulatedRuntime
    clock: VirtualClock
    root: Path
    events: list[RuntimeEvent] = field(default_factory=list)

    def pod(self, name: str = "pod", **more: Any) -> SandboxConfig:
        config = SandboxConfig(name=name, uid=f"uid-{name}", namespace="default", hostname=name)
        return replace(config, log_directory=str(self.root / name), **more)

    async def started(self, pod: SandboxConfig | None = None, **more: Any) -> str:
        """A running container."""
        pod = pod or self.pod()
        config = replace(ContainerConfig(name="c", image="app", log_path="c/0.log"), **more)
        container = await self.runtime.create_container(await self.runtime.run_pod_sandbox(pod), config, pod)
        await self.runtime.start_container(container)
        return container

    async def seen(self, container: str, after_s: float = 0) -> Container:
        await self.clock.advance(after_s)
        return await self.runtime.container_status(container)


def play(tmp_path: Path, scenario: Callable[[Bench], Awaitable[None]], programs: dict[str, Program] | None = None) -> None:
    async def whole() -> None:
        async with bench(tmp_path, programs or {}) as made:
            await scenario(made)

    asyncio.run(whole())


@asynccontextmanager
async def bench(root: Path, programs: dict[str, Program]) -> AsyncIterator[Bench]:
    clock = VirtualClock()
    images = SimulatedImages(clock, present=("app", *programs))
    runtime = SimulatedRuntime(clock, images, Programs(by_image=programs, by_name=programs), log_files=True)
    async with runtime, asyncio.TaskGroup() as group:
        await runtime.update_runtime_config("10.1.0.0/29")
        made = Bench(runtime, clock, root)

        async def listen(events: AsyncIterator[RuntimeEvent]) -> None:
            async for event in events:
                made.events.append(event)

        listening = group.create_task(listen(runtime.events()))
        yield made
        listening.cancel()


def test_a_program_runs_its_time_and_leaves_its_exit_code(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        container = await b.started(image="job")
        assert (await b.seen(container, 4.9)).state is ContainerState.RUNNING
        ended = await b.seen(container, 0.2)
        assert (ended.state, ended.exit_code, ended.reason) == (ContainerState.EXITED, 7, "Error")
        assert ended.started_at and ended.finished_at
        assert (ended.finished_at - ended.started_at).total_seconds() == 5
        assert ended.image == "docker.io/library/job:latest"

    play(tmp_path, scenario, {"job": runs(5, 7)})


def test_programs_crash_name_their_end_and_refuse_to_start(tmp_path: Path) -> None:
    async def greedy(process: Process) -> int:
        raise Exit(137, "OOMKilled")

    async def broken(process: Process) -> int:
        raise KeyError("wanted")

    def absent(process: Process) -> None:
        raise CannotStart("no such file")

    async def scenario(b: Bench) -> None:
        ended = await b.seen(await b.started(image="greedy"), 0.1)
        assert (ended.exit_code, ended.reason) == (137, "OOMKilled")
        ended = await b.seen(await b.started(b.pod("other"), image="broken"), 0.1)
        assert (ended.exit_code, ended.reason) == (1, "Error")
        assert "stderr F KeyError: 'wanted'" in (tmp_path / "other" / "c" / "0.log").read_text()
        with pytest.raises(RuntimeFault, match="no such file"):
            await b.started(b.pod("third"), image="absent")
        (third,) = await b.runtime.list_containers(pod_uid="uid-third")
        assert (third.state, third.exit_code, third.reason) == (ContainerState.EXITED, 128, "StartError")

    play(tmp_path, scenario, {"greedy": greedy, "broken": broken, "absent": absent})


def test_a_stop_ends_what_listens_at_once_and_what_does_not_after_the_grace_period(tmp_path: Path) -> None:
    async def tidy(process: Process) -> int:
        await process.trap().wait()
        await process.sleep(2)
        return 0

    async def scenario(b: Bench) -> None:
        plain, deaf, clean = [await b.started(b.pod(image), image=image) for image in ("app", "deaf", "tidy")]
        await b.clock.advance(0)
        async with asyncio.TaskGroup() as group:
            for container in (plain, deaf, clean):
                group.create_task(b.runtime.stop_container(container, 10))
            await b.clock.advance(0)
            assert (await b.seen(plain)).exit_code == 143
            assert (await b.seen(clean, 3)).exit_code == 0
            assert (await b.seen(deaf)).state is ContainerState.RUNNING
            assert (await b.seen(deaf, 8)).exit_code == 137

    play(tmp_path, scenario, {"deaf": ignores_stop, "tidy": tidy})


def test_logs_are_in_cri_format_and_nothing_is_written_without_log_files(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        container = await b.started(command=("sh", "-c", "echo out; echo err >&2; printf partial; exit 3"))
        ended = await b.seen(container, 0.1)
        assert ended.exit_code == 3
        with open(ended.log_path) as file:
            lines = [line.rstrip("\n").split(" ", 3) for line in file]
        assert [line[1:] for line in lines] == [["stdout", "F", "out"], ["stderr", "F", "err"], ["stdout", "P", "partial"]]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", lines[0][0])

    async def silent() -> None:
        clock = VirtualClock()
        async with SimulatedRuntime(clock, SimulatedImages(clock, present=("app",))) as runtime:
            quiet = Bench(runtime, clock, tmp_path / "nowhere")
            await quiet.started(quiet.pod(network=NamespaceMode.NODE), command=("echo", "unheard"))
            await clock.advance(1)
        assert not (tmp_path / "nowhere").exists()

    play(tmp_path, scenario)
    asyncio.run(silent())


def test_calls_can_be_repeated_and_what_is_gone_is_not_there(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        pod, config = b.pod(), ContainerConfig(name="c", image="app", log_path="c/0.log")
        sandbox = await b.runtime.run_pod_sandbox(pod)
        assert await b.runtime.run_pod_sandbox(pod) == sandbox
        container = await b.runtime.create_container(sandbox, config, pod)
        assert await b.runtime.create_container(sandbox, config, pod) == container
        for _ in range(2):
            await b.runtime.start_container(container)
        with pytest.raises(RuntimeFault, match="already exists"):
            await b.runtime.create_container(sandbox, config, pod)
        for _ in range(2):
            await b.runtime.stop_pod_sandbox(sandbox)
        assert (await b.runtime.container_status(container)).exit_code == 137
        assert (await b.runtime.pod_sandbox_status(sandbox)).state is SandboxState.NOT_READY
        with pytest.raises(RuntimeFault, match="not ready"):
            await b.runtime.create_container(sandbox, replace(config, name="late"), pod)
        with pytest.raises(RuntimeFault, match="not found"):
            await b.runtime.create_container(sandbox, replace(config, name="late", image="nothing:here"), pod)
        for _ in range(2):
            await b.runtime.remove_pod_sandbox(sandbox)
        with pytest.raises(NotThere):
            await b.runtime.pod_sandbox_status(sandbox)
        with pytest.raises(NotThere):
            await b.runtime.container_status(container)
        assert await b.runtime.list_containers() == [] and await b.runtime.list_pod_sandboxes() == []

    play(tmp_path, scenario)


def test_events_tell_of_every_step(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        container = await b.started(command=("true",))
        sandbox = (await b.seen(container, 0.1)).sandbox_id
        await b.runtime.remove_pod_sandbox(sandbox)
        await b.clock.advance(0)
        assert {event.pod_uid for event in b.events} == {"uid-pod"}
        of_container = [event.kind for event in b.events if event.container_id == container]
        assert of_container == [EventKind.CREATED, EventKind.STARTED, EventKind.STOPPED, EventKind.DELETED]
        of_sandbox = [event.kind for event in b.events if event.container_id == sandbox]
        assert of_sandbox == [EventKind.STARTED, EventKind.STOPPED, EventKind.DELETED]

    play(tmp_path, scenario)


def test_addresses_come_from_the_nodes_range_and_are_given_back(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        sandboxes = [await b.runtime.run_pod_sandbox(b.pod(f"p{number}")) for number in range(5)]
        ips = [(await b.runtime.pod_sandbox_status(sandbox)).ips for sandbox in sandboxes]
        assert ips == [(f"10.1.0.{number}",) for number in range(2, 7)]
        with pytest.raises(RuntimeFault, match="no address is free in 10.1.0.0/29"):
            await b.runtime.run_pod_sandbox(b.pod("one-too-many"))
        await b.runtime.stop_pod_sandbox(sandboxes[3])
        again = await b.runtime.run_pod_sandbox(b.pod("again"))
        assert (await b.runtime.pod_sandbox_status(again)).ips == ("10.1.0.5",)
        host = await b.runtime.run_pod_sandbox(b.pod("host", network=NamespaceMode.NODE))
        assert (await b.runtime.pod_sandbox_status(host)).ips == ()

    play(tmp_path, scenario)


def test_commands_are_answered_by_the_program_or_show_whether_it_is_ready(tmp_path: Path) -> None:
    def helpful(process: Process) -> None:
        async def version() -> ExecResult:
            return ExecResult(b"2.0\n", b"", 0)

        def answer(command: Sequence[str]) -> Awaitable[ExecResult] | None:
            return version() if list(command) == ["app", "--version"] else None

        process.on_exec = answer

    async def scenario(b: Bench) -> None:
        container = await b.started(image="helpful")
        assert (await b.runtime.exec_sync(container, ["app", "--version"], 1)).stdout == b"2.0\n"
        assert (await b.runtime.exec_sync(container, ["hostname"], 1)).stdout == b"pod\n"
        assert (await b.runtime.exec_sync(container, ["sh", "-c", "echo no >&2; exit 4"], 1)) == ExecResult(b"", b"no\n", 4)
        slow = await b.started(b.pod("slow"), image="slow")
        await b.clock.advance(0)
        assert (await b.runtime.exec_sync(slow, ["pg_isready"], 1)).exit_code == 1
        await b.clock.advance(31)
        assert (await b.runtime.exec_sync(slow, ["pg_isready"], 1)).exit_code == 0
        waiting = asyncio.gather(b.runtime.exec_sync(slow, ["sleep", "60"], 2), return_exceptions=True)
        await b.clock.advance(3)
        (fault,) = await waiting
        assert isinstance(fault, RuntimeFault) and fault.reason == "DeadlineExceeded"

    play(tmp_path, scenario, {"helpful": helpful, "slow": ready_after(30)})


def test_what_is_attached_sees_the_log_from_then_on(tmp_path: Path) -> None:
    async def talks(process: Process) -> int:
        await process.sleep(1)
        process.log("late\n")
        return 5

    async def scenario(b: Bench) -> None:
        container = await b.started(image="talks")
        terminal = await b.runtime.attach(container, tty=False, stdin=False)
        await b.clock.advance(2)
        assert (await terminal.read_stdout(), await terminal.read_stdout(), await terminal.read_stderr()) == (
            b"late\n",
            None,
            None,
        )
        assert await terminal.wait() == 5
        await terminal.close()

    play(tmp_path, scenario, {"talks": talks})


def test_a_forwarded_port_answers_http(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        container = await b.started()
        tunnel = await b.runtime.port_forward((await b.seen(container)).sandbox_id, 80)
        await tunnel.write(b"GET /path HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await tunnel.read()).endswith(b"\r\n\r\npod /path\n")
        assert await tunnel.read() == b""
        await tunnel.close()

    play(tmp_path, scenario)


def test_nothing_simulated_outlives_the_runtime(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bench(tmp_path, {"job": runs(1e6)}) as b:
            await b.started(image="job")

    asyncio.run(scenario())
