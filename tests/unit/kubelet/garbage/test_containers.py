"""Dead containers and logs that nobody needs go, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from tests.unit.kubelet.conftest import FakeRuntime

from steersman.cri.messages import ContainerConfig, SandboxConfig
from steersman.kubelet.garbage.containers import EVERY_S, ContainerCollector
from steersman.machinery.clock import VirtualClock


def sandbox_config(root: Path, uid: str) -> SandboxConfig:
    return SandboxConfig(
        name="p", uid=uid, namespace="ns", attempt=0, hostname="h", log_directory=str(root / "logs" / f"ns_p_{uid}")
    )


async def container(runtime: FakeRuntime, root: Path, uid: str, name: str, attempt: int, *, labels: bool = True) -> str:
    config = sandbox_config(root, uid)
    sandbox = await runtime.run_pod_sandbox(config)
    marks = {"io.kubernetes.container.name": name, "io.kubernetes.pod.uid": uid if labels else ""}
    path = f"{name}/{attempt}.log"
    made = await runtime.create_container(
        sandbox, ContainerConfig(name=name, attempt=attempt, image="i", labels=marks, log_path=path), config
    )
    await runtime.start_container(made)
    file = Path(config.log_directory) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    await runtime.clock.advance(1)
    return made


def test_only_the_newest_dead_container_of_a_name_stays(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        runtime = FakeRuntime(clock)
        first = await container(runtime, tmp_path, "u", "a", 0)
        runtime.exit("a")
        second = await container(runtime, tmp_path, "u", "a", 1)
        runtime.exit("a")
        running = await container(runtime, tmp_path, "u", "a", 2)
        other = await container(runtime, tmp_path, "u", "b", 0)
        runtime.exit("b")
        foreign = [await container(runtime, tmp_path, "v", "a", each, labels=False) for each in (0, 1)]
        for each in foreign:
            runtime._end(each, 0)
        await ContainerCollector(runtime, clock, lambda: None, tmp_path / "logs", None).collect()
        assert set(runtime.containers) == {second, running, other, *foreign}
        logs = sorted(str(path.relative_to(tmp_path / "logs" / "ns_p_u")) for path in tmp_path.glob("logs/ns_p_u/*/*"))
        assert logs == ["a/1.log", "a/2.log", "b/0.log"] and first not in runtime.containers

    asyncio.run(scenario())


def test_logs_of_pods_that_are_gone_go_after_a_second_look(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        runtime, known = FakeRuntime(clock), list[Collection[str] | None]([None])
        await container(runtime, tmp_path, "held", "a", 0)
        for uid in ("gone", "known", "late"):
            (tmp_path / "logs" / f"ns_p_{uid}" / "c").mkdir(parents=True)
        (tmp_path / "logs" / "something else").mkdir()
        (tmp_path / "links").mkdir()
        (tmp_path / "links" / "dangling.log").symlink_to(tmp_path / "logs" / "ns_p_gone" / "c" / "0.log")
        (tmp_path / "links" / "good.log").symlink_to(tmp_path / "logs" / "ns_p_held" / "a" / "0.log")
        collector = ContainerCollector(runtime, clock, lambda: known[0], tmp_path / "logs", tmp_path / "links")

        def folders() -> list[str]:
            return sorted(path.name for path in (tmp_path / "logs").iterdir())

        everything = folders()
        for _ in range(3):
            await collector.collect()
        assert folders() == everything  # as long as the pods are not known, all stay
        known[0] = {"known"}
        await collector.collect()
        assert folders() == everything
        known[0] = {"known", "late"}
        await collector.collect()
        assert folders() == ["ns_p_held", "ns_p_known", "ns_p_late", "something else"]
        assert [path.name for path in (tmp_path / "links").iterdir()] == ["good.log"]

    asyncio.run(scenario())


def test_it_looks_once_a_minute(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        runtime = FakeRuntime(clock)
        await container(runtime, tmp_path, "u", "a", 0)
        runtime.exit("a")
        await container(runtime, tmp_path, "u", "a", 1)
        runtime.exit("a")
        collector = ContainerCollector(runtime, clock, lambda: None, tmp_path / "logs", None)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(collector.run())
            await clock.advance(EVERY_S - 1)
            assert len(runtime.containers) == 2
            await clock.advance(1)
            assert len(runtime.containers) == 1
            task.cancel()

    asyncio.run(scenario())
