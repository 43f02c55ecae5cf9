"""The contract of interface.Runtime: sandboxes and containers from their making to their removal."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.contract.cri.bench import Bench, shell

from steersman.cri.interface import NotThere, RuntimeFault
from steersman.cri.messages import ContainerState, EventKind, Resources, SandboxState
from steersman.cri.native import procs

pytestmark = pytest.mark.root
Run = Callable[[Callable[[Bench], Awaitable[None]]], None]


def test_a_container_runs_logs_in_cri_format_and_leaves_its_exit_code(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            sandbox, container = await bench.started(runtime, shell("echo out; echo err >&2; printf partial; exit 3"))
            await bench.ended(runtime, container)
            status = await runtime.container_status(container)
            assert (status.state, status.exit_code, status.reason) == (ContainerState.EXITED, 3, "Error")
            assert status.started_at and status.finished_at
            finished = status.finished_at + timedelta(milliseconds=20)
            assert status.created_at <= status.started_at and status.created_at <= finished
            # containerd looks at the clock when the start is over, and so, perhaps, when the program is, too.
            assert status.started_at <= finished or bench.containerd is not None
            assert status.image == "docker.io/library/busybox:latest"
            assert status.user == (0, 0, (0,))
            assert sorted(bench.log()) == [("stderr", "F", "err"), ("stdout", "F", "out"), ("stdout", "P", "partial")]
            with open(status.log_path) as file:
                assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d) ", file.readline())

    run(scenario)


def test_an_exit_without_failure_is_completed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("exit 0"))
            await bench.ended(runtime, container)
            assert (await runtime.container_status(container)).reason == "Completed"

    run(scenario)


def test_a_stop_lets_the_program_finish_and_a_deaf_one_is_killed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, polite = await bench.started(
                runtime, shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done", name="polite")
            )
            _, deaf = await bench.started(runtime, shell("trap '' TERM; echo up; while :; do sleep 0.05; done", name="deaf"))
            await asyncio.gather(*(bench.written(1, name) for name in ("polite", "deaf")))
            await asyncio.gather(runtime.stop_container(polite, 60), runtime.stop_container(deaf, 0.3))
            codes = [(await runtime.container_status(each)).exit_code for each in (polite, deaf)]
            assert codes == [9, 128 + signal.SIGKILL]
            await runtime.stop_container(deaf, 10)

    run(scenario)


def test_a_container_can_name_its_stop_signal(run_native: Run) -> None:
    """containerd 1.6 knows only its image's."""

    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            script = "trap 'exit 8' USR1; echo up; while :; do sleep 0.05; done"
            _, asked = await bench.started(runtime, shell(script, stop_signal="SIGUSR1"))
            await bench.written(1)
            await runtime.stop_container(asked, 60)
            assert (await runtime.container_status(asked)).exit_code == 8

    run_native(scenario)


def test_a_command_that_does_not_exist_fails_the_start(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            pod = bench.pod()
            sandbox = await runtime.run_pod_sandbox(pod)
            container = await runtime.create_container(sandbox, shell("", command=("/no/such",)), pod)
            with pytest.raises(RuntimeFault, match="/no/such"):
                await runtime.start_container(container)
            status = await runtime.container_status(container)
            assert (status.state, status.exit_code, status.reason) == (ContainerState.EXITED, 128, "StartError")
            assert "/no/such" in status.message
            with pytest.raises(RuntimeFault, match="not found"):
                await runtime.create_container(sandbox, shell("", image="nothing:here", name="other"), pod)

    run(scenario)


def test_running_out_of_memory_shows_as_oomkilled(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            greedy = shell("exec tail /dev/zero", resources=Resources(memory_limit=24 << 20))
            _, container = await bench.started(runtime, greedy)
            await bench.ended(runtime, container)
            status = await runtime.container_status(container)
            assert (status.exit_code, status.reason) == (137, "OOMKilled")

    run(scenario)


def test_calls_can_be_repeated(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            pod, config = bench.pod(), shell("sleep 100")
            sandbox = await runtime.run_pod_sandbox(pod)
            assert await runtime.run_pod_sandbox(pod) == sandbox
            container = await runtime.create_container(sandbox, config, pod)
            assert await runtime.create_container(sandbox, config, pod) == container
            await runtime.start_container(container)
            await runtime.start_container(container)
            with pytest.raises(RuntimeFault, match="already exists"):
                await runtime.create_container(sandbox, config, pod)
            for _ in range(2):
                await runtime.stop_container(container, 0)
                await runtime.remove_container(container)
                await runtime.stop_pod_sandbox(sandbox)
            assert bench.detached() == [sandbox]
            assert (await runtime.pod_sandbox_status(sandbox)).state is SandboxState.NOT_READY
            for _ in range(2):
                await runtime.remove_pod_sandbox(sandbox)
            with pytest.raises(NotThere):
                await runtime.pod_sandbox_status(sandbox)
            with pytest.raises(NotThere):
                await runtime.container_status(container)

    run(scenario)


def test_stopping_a_sandbox_kills_what_runs_in_it_and_removing_takes_all(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            pod = bench.pod()
            sandbox, first = await bench.started(runtime, shell("sleep 100", name="first"), pod)
            _, second = await bench.started(runtime, shell("sleep 100", name="second"), pod)
            await runtime.stop_pod_sandbox(sandbox)
            states = {container.state for container in await runtime.list_containers(pod_uid=pod.uid)}
            assert states == {ContainerState.EXITED}
            with pytest.raises(RuntimeFault, match="not ready|no running task found"):
                await runtime.create_container(sandbox, shell("", name="late"), pod)
            await runtime.remove_pod_sandbox(sandbox)
            assert await runtime.list_containers() == []
            assert await runtime.list_pod_sandboxes() == []
            assert await bench.leftovers() == []

    run(scenario)


def test_events_tell_of_every_step(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            sandbox, container = await bench.started(runtime, shell("exit 0"))
            await bench.ended(runtime, container)
            await runtime.remove_pod_sandbox(sandbox)
            await bench.event(EventKind.DELETED, sandbox)
            assert {event.pod_uid for event in bench.events} == {"uid-pod"}
            of_container = [event.kind for event in bench.events if event.container_id == container]
            assert of_container == [EventKind.CREATED, EventKind.STARTED, EventKind.STOPPED, EventKind.DELETED]
            of_sandbox = [event.kind for event in bench.events if event.container_id == sandbox]
            assert of_sandbox == [EventKind.STARTED, EventKind.STOPPED, EventKind.DELETED]

    run(scenario)


def test_who_listens_before_looking_misses_nothing(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            late = runtime.events()
            _, container = await bench.started(runtime, shell("exit 0"))
            await bench.ended(runtime, container)
            kinds = []
            async for event in late:
                kinds += [event.kind] * (event.container_id == container)
                if EventKind.STOPPED in kinds:
                    break
            assert kinds == [EventKind.CREATED, EventKind.STARTED, EventKind.STOPPED]

    run(scenario)


def test_a_sandbox_without_its_pause_process_is_not_ready(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            sandbox = await runtime.run_pod_sandbox(bench.pod())
            assert procs.send(procs.identify((await runtime.pod_sandbox_status(sandbox)).pid), signal.SIGKILL)
            await bench.event(EventKind.STOPPED, sandbox)
            assert (await runtime.pod_sandbox_status(sandbox)).state is SandboxState.NOT_READY

    run(scenario)


def test_a_container_without_its_monitor_is_ended(run_native: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("sleep 100"))
            pid = int((bench.root / "run" / "bundles" / container / "conmon.pid").read_text())
            assert procs.send(procs.identify(pid), signal.SIGKILL)
            await bench.event(EventKind.STOPPED, container)
            status = await runtime.container_status(container)
            assert (status.state, status.exit_code) == (ContainerState.EXITED, 255)

    run_native(scenario)


def test_many_pods_at_once(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:

            async def one(number: int) -> str:
                pod = bench.pod(f"pod{number}")
                sandbox, container = await bench.started(runtime, shell("sleep 100"), pod)
                result = await runtime.exec_sync(container, ["hostname"], 60)
                assert result.stdout.decode().strip() == pod.name
                return sandbox

            sandboxes = await asyncio.gather(*(one(number) for number in range(12)))
            await asyncio.gather(*(runtime.remove_pod_sandbox(sandbox) for sandbox in sandboxes))
            assert await bench.leftovers() == []

    run(scenario)


def test_a_cancelled_sandbox_is_whole_or_gone(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            making = asyncio.gather(runtime.run_pod_sandbox(bench.pod()))
            await asyncio.wait({making}, timeout=0.001)
            making.cancel()
            await asyncio.wait({making})
            for sandbox in await runtime.list_pod_sandboxes():
                assert sandbox.state is SandboxState.READY
                await runtime.remove_pod_sandbox(sandbox.id)
            assert await bench.leftovers() == []

    run(scenario)


def test_a_pod_that_cannot_have_a_network_is_refused_and_leaves_nothing(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            bench.refuse_networks(True)
            try:
                with pytest.raises(
                    RuntimeFault, match='failed to setup network for sandbox "[0-9a-f]+": .*no IP addresses avail'
                ):
                    await runtime.run_pod_sandbox(bench.pod())
            finally:
                bench.refuse_networks(False)
            assert [each.state for each in await runtime.list_pod_sandboxes() if each.state is SandboxState.READY] == []
            _, container = await bench.started(runtime, shell("exit 3"))
            await bench.ended(runtime, container)

    run(scenario)


def test_the_oci_runtime_that_was_asked_for_makes_the_containers(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        async with bench.runtime() as runtime:
            _, container = await bench.started(runtime, shell("sleep 100"))
            if bench.containerd is not None:
                (told,) = bench.containerd.root.glob(f"state/**/{container}/runtime")
                assert Path(told.read_text()).name == bench.oci == "runc"
                return
            conmon = int((bench.root / "run" / "bundles" / container / "conmon.pid").read_text())
            words = Path(f"/proc/{conmon}/cmdline").read_bytes().decode().split("\0")
            assert Path(words[words.index("-r") + 1]).name == bench.oci
            # What each remembers of a running container, under names of its own.
            kept = {path.name for path in (bench.root / "run" / "oci" / container).iterdir()}
            assert ("status" in kept, "state.json" in kept) == (bench.oci == "crun", bench.oci == "runc")

    run(scenario)
