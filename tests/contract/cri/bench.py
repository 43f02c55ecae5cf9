"""One test's place for the CRI contract: a private runtime, its logs and events, and what it would have left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from steersman.cri.interface import ContainerConfig, ContainerState, EventKind, RuntimeEvent, SandboxConfig
from steersman.cri.native.images import NativeImages
from steersman.cri.native.runtime import NativeRuntime
from steersman.machinery.clock import RealClock


@dataclass(slots=True)
class LoopbackNetwork:
    """A SandboxNetwork that leaves sandboxes with loopback alone and notes what it was asked."""

    attached: list[str] = field(default_factory=list)
    detached: list[str] = field(default_factory=list)

    async def attach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> tuple[str, ...]:
        assert os.path.exists(netns_path)
        self.attached.append(sandbox_id)
        return ("127.0.0.1",)

    async def detach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> None:
        self.detached.append(sandbox_id)

    async def set_pod_cidr(self, pod_cidr: str) -> None:
        return None

    async def ready(self) -> str:
        return ""


@dataclass(slots=True)
class Bench:
    """One test's runtime directories. `runtime()` may be opened several times, one after the other, like restarts."""

    oci: str
    root: Path
    archive: Path
    cgroup: str
    network: LoopbackNetwork = field(default_factory=LoopbackNetwork)
    clock: RealClock = field(default_factory=RealClock)
    events: list[RuntimeEvent] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @contextlib.asynccontextmanager
    async def runtime(self) -> AsyncIterator[NativeRuntime]:
        images = NativeImages(str(self.root / "state"), self.clock)
        if images.find("busybox") is None:
            await images.load(str(self.archive))
        runtime = NativeRuntime(
            root=str(self.root / "state"),
            run_dir=str(self.root / "run"),
            images=images,
            network=self.network,
            clock=self.clock,
            oci_runtime=self.oci,
        )
        async with runtime, asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(runtime))
            try:
                yield runtime
            finally:
                listening.cancel()

    async def _listen(self, runtime: NativeRuntime) -> None:
        async for event in runtime.events():
            async with self.news:
                self.events.append(event)
                self.news.notify_all()

    async def event(self, kind: EventKind, identity: str) -> None:
        """Wait until the runtime has told of it."""
        async with self.news:
            await self.news.wait_for(lambda: any((event.kind, event.container_id) == (kind, identity) for event in self.events))

    async def ended(self, runtime: NativeRuntime, container: str) -> None:
        if (await runtime.container_status(container)).state is not ContainerState.EXITED:
            await self.event(EventKind.STOPPED, container)

    def pod(self, name: str = "pod", **more: Any) -> SandboxConfig:
        config = SandboxConfig(name=name, uid=f"uid-{name}", namespace="default", hostname=name, cgroup_parent=self.cgroup)
        return replace(config, log_directory=str(self.root / "logs" / name), **more)

    async def started(self, runtime: NativeRuntime, config: ContainerConfig, pod: SandboxConfig | None = None) -> tuple[str, str]:
        """(sandbox, container) of a container running in a pod, which is made if need be."""
        pod = pod or self.pod()
        sandbox = await runtime.run_pod_sandbox(pod)
        container = await runtime.create_container(sandbox, config, pod)
        await runtime.start_container(container)
        return sandbox, container

    async def output(self, runtime: NativeRuntime, config: ContainerConfig, pod: SandboxConfig | None = None) -> list[str]:
        """What a container writes until it ends."""
        _, container = await self.started(runtime, config, pod)
        await self.ended(runtime, container)
        return [text for _, _, text in self.log(config.name)]

    def log(self, name: str = "c") -> list[tuple[str, str, str]]:
        """(stream, tag, text) of every line of a container's log."""
        lines = (self.root / "logs" / "pod" / name / "0.log").read_text().splitlines()
        return [(stream, tag, text) for _, stream, tag, text in (line.split(" ", 3) for line in lines)]

    async def remove_everything(self) -> None:
        async with self.runtime() as runtime:
            for sandbox in await runtime.list_pod_sandboxes():
                await runtime.remove_pod_sandbox(sandbox.id)
            for container in await runtime.list_containers():
                await runtime.remove_container(container.id)

    def leftovers(self) -> list[str]:
        """Mounts, processes, control groups and files that name this test and should be gone."""
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.root) in line]
        processes = []
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                text = command + (directory / "cgroup").read_text()
                ended = not command  # a zombie, which the machine's first process is about to reap
                if directory.name != str(os.getpid()) and not ended and (str(self.root) in text or self.cgroup in text):
                    processes.append(text)
        groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{self.cgroup}/*/")]
        places = ("state/sandboxes", "state/containers", "state/snapshots", "run/netns", "run/bundles", "run/exits", "run/oci")
        files = [str(path) for place in places for path in (self.root / place).glob("*")]
        return mounts + processes + groups + files


def shell(script: str, **more: Any) -> ContainerConfig:
    """A busybox container that runs a script."""
    name = more.pop("name", "c")
    config = ContainerConfig(name=name, image="busybox", command=("sh", "-c", script), log_path=f"{name}/0.log")
    return replace(config, **more)
