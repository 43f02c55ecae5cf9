"""One test's place for the CRI contract: a private runtime, its logs and events, and what it would have left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.fakes.containerd import Containerd

from steersman.cri.interface import Runtime
from steersman.cri.messages import ContainerConfig, ContainerState, EventKind, RuntimeEvent, SandboxConfig
from steersman.cri.native.images import NativeImages
from steersman.cri.native.runtime import NativeRuntime
from steersman.cri.remote.calls import Endpoint
from steersman.cri.remote.runtime import RemoteRuntime
from steersman.machinery.clock import RealClock
from steersman.network.bridge import NetworkFault

LIMIT_S = 180
"""Of a scenario: so that one that hangs ends. Not a promise of anybody's."""
_PATIENCE_S, _PAUSE_S = 60, 0.05


@dataclass(slots=True)
class LoopbackNetwork:
    """A SandboxNetwork that leaves sandboxes with loopback alone and notes what it was asked."""

    attached: list[str] = field(default_factory=list)
    detached: list[str] = field(default_factory=list)
    refuses: bool = False

    async def attach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> tuple[str, ...]:
        assert os.path.exists(netns_path)
        if self.refuses:
            raise NetworkFault("no IP addresses available")
        self.attached.append(sandbox_id)
        return ("127.0.0.1",)

    async def detach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> None:
        self.detached.append(sandbox_id)

    async def set_pod_cidr(self, pod_cidr: str) -> None:
        return None

    async def keep_only(self, sandbox_ids: Collection[str]) -> None:
        return None

    async def ready(self) -> str:
        return ""


class OutsideNetwork:
    """What a node does beside a runtime that wires pods by CNI: here, nothing."""

    async def set_pod_cidr(self, pod_cidr: str, conf_dir: str, bin_dir: str) -> None:
        return None

    async def ready(self) -> str:
        return ""


@dataclass(slots=True)
class Bench:
    """One test's runtime directories. `runtime()` may be opened several times, one after the other, like restarts.

    `oci`: crun or runc below the native runtime; with `containerd` that daemon is the runtime.
    """

    oci: str
    root: Path
    archive: Path
    cgroup: str
    containerd: Containerd | None = None
    counts_processes: bool = True
    """CRI does not."""
    network: LoopbackNetwork = field(default_factory=LoopbackNetwork)
    clock: RealClock = field(default_factory=RealClock)
    events: list[RuntimeEvent] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @contextlib.asynccontextmanager
    async def runtime(self) -> AsyncIterator[Runtime]:
        opened = self._native() if self.containerd is None else self._remote(self.containerd)
        async with opened as runtime, asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(runtime.events()))
            try:
                yield runtime
            finally:
                listening.cancel()

    @contextlib.asynccontextmanager
    async def _remote(self, containerd: Containerd) -> AsyncIterator[Runtime]:
        async with RemoteRuntime(Endpoint(containerd.socket, self.clock), OutsideNetwork(), self.clock) as runtime:
            yield runtime

    @contextlib.asynccontextmanager
    async def _native(self) -> AsyncIterator[Runtime]:
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
        async with runtime:
            yield runtime

    async def _listen(self, events: AsyncIterator[RuntimeEvent]) -> None:
        async for event in events:
            async with self.news:
                self.events.append(event)
                self.news.notify_all()

    async def event(self, kind: EventKind, identity: str) -> None:
        """Wait until the runtime has told of it."""
        async with self.news:
            await self.news.wait_for(lambda: any((event.kind, event.container_id) == (kind, identity) for event in self.events))

    async def ended(self, runtime: Runtime, container: str) -> None:
        """Wait until it has, and all that it said is in its log."""
        if (await runtime.container_status(container)).state is not ContainerState.EXITED:
            await self.event(EventKind.STOPPED, container)
        if self.containerd is not None:
            # It tells the end and writes the last lines in no order of its own.
            log = (await runtime.container_status(container)).log_path
            while self.containerd.has_open(log):
                await self.clock.sleep(_PAUSE_S)

    def pod(self, name: str = "pod", **more: Any) -> SandboxConfig:
        config = SandboxConfig(name=name, uid=f"uid-{name}", namespace="default", hostname=name, cgroup_parent=self.cgroup)
        return replace(config, log_directory=str(self.root / "logs" / name), **more)

    async def started(self, runtime: Runtime, config: ContainerConfig, pod: SandboxConfig | None = None) -> tuple[str, str]:
        """(sandbox, container) of a container running in a pod, which is made if need be."""
        pod = pod or self.pod()
        sandbox = await runtime.run_pod_sandbox(pod)
        container = await runtime.create_container(sandbox, config, pod)
        await runtime.start_container(container)
        return sandbox, container

    async def output(self, runtime: Runtime, config: ContainerConfig, pod: SandboxConfig | None = None) -> list[str]:
        """What a container writes until it ends."""
        _, container = await self.started(runtime, config, pod)
        await self.ended(runtime, container)
        return [text for _, _, text in self.log(config.name)]

    def log(self, name: str = "c") -> list[tuple[str, str, str]]:
        """(stream, tag, text) of every line of a container's log."""
        lines = (self.root / "logs" / "pod" / name / "0.log").read_text().splitlines()
        return [(stream, tag, text) for _, stream, tag, text in (line.split(" ", 3) for line in lines)]

    async def written(self, count: int, name: str = "c") -> list[tuple[str, str]]:
        """(stream, text) of the log of a container that runs on, once it has that many lines."""
        async with asyncio.timeout(_PATIENCE_S):
            while len(found := self.log(name)) < count:
                await self.clock.sleep(0.01)
        return [(stream, text) for stream, _, text in found]

    def attached(self) -> list[str]:
        """The sandboxes that were given a network."""
        return self.network.attached if self.containerd is None else self.containerd.network_calls("ADD")

    def refuse_networks(self, yes: bool) -> None:
        if self.containerd is not None:
            self.containerd.refuse_networks(yes)
        self.network.refuses = yes

    def detached(self) -> list[str]:
        return self.network.detached if self.containerd is None else self.containerd.network_calls("DEL")

    async def remove_everything(self) -> None:
        async with self.runtime() as runtime:
            for sandbox in await runtime.list_pod_sandboxes():
                await runtime.remove_pod_sandbox(sandbox.id)
            for container in await runtime.list_containers():
                await runtime.remove_container(container.id)

    async def leftovers(self, *, cut_short: bool = False) -> list[str]:
        """Mounts, processes, control groups and files that name this test and should be gone.

        cut_short: containerd's client was killed while it had it make something; what it forgets then is ended here.
        """
        for _ in range(int(_PATIENCE_S / _PAUSE_S) if self.containerd else 0):
            # containerd's shims end a moment after their pods.
            if not self._leftovers():
                break
            if cut_short and self.containerd:
                self.containerd.end_forgotten()
            await self.clock.sleep(_PAUSE_S)
        return self._leftovers()

    def _leftovers(self) -> list[str]:
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
        pods = self.containerd.leftovers() if self.containerd else []
        return mounts + processes + groups + files + pods


def shell(script: str, **more: Any) -> ContainerConfig:
    """A busybox container that runs a script."""
    name = more.pop("name", "c")
    config = ContainerConfig(name=name, image="busybox", command=("sh", "-c", script), log_path=f"{name}/0.log")
    return replace(config, **more)
