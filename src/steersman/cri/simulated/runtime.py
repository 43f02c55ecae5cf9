"""The simulated runtime: sandboxes and containers as instances, on the injected clock.

`async with` it: programs run as its tasks. A container that serves has none. What is not here: the network between pods, and
images (images.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from steersman.cri.broadcast import Broadcast
from steersman.cri.interface import NotThere, RuntimeFault, Terminal, Tunnel
from steersman.cri.messages import (
    Container,
    ContainerConfig,
    ContainerState,
    EventKind,
    ExecResult,
    NamespaceMode,
    Resources,
    RuntimeEvent,
    Sandbox,
    SandboxConfig,
    SandboxState,
    Usage,
)  # fmt: skip
from steersman.cri.simulated.addresses import Addresses
from steersman.cri.simulated.images import SimulatedImages
from steersman.cri.simulated.instance import KILLED, Instance
from steersman.cri.simulated.logs import LogFile
from steersman.cri.simulated.program import Process
from steersman.cri.simulated.script import Programs, execute
from steersman.cri.simulated.streams import Attached, Executed, Forwarded
from steersman.machinery.clock import Clock
from steersman.machinery.meta import new_uid
from steersman.machinery.waiting import within


@dataclass(slots=True, eq=False)
class _Pod:
    seen: Sandbox
    config: SandboxConfig
    instances: list[Instance] = field(default_factory=list)


class SimulatedRuntime:
    """A Runtime. `log_files`: containers write logs below their sandbox's log directory; without, what they say is dropped."""

    def __init__(
        self, clock: Clock, images: SimulatedImages, programs: Programs | None = None, *, log_files: bool = False
    ) -> None:
        self._clock, self._images, self._programs, self._log_files = clock, images, programs or Programs(), log_files
        self._pods: dict[str, _Pod] = {}
        self._instances: dict[str, Instance] = {}
        self._by_uid: dict[str, list[_Pod]] = {}
        self._news = Broadcast()
        self._addresses = Addresses()
        self._tasks: asyncio.TaskGroup | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> SimulatedRuntime:
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing simulated outlives the runtime."""
        for instance in self._instances.values():
            instance.forsake()
        await self._stack.aclose()

    # --- the runtime itself ----------------------------------------------------------------------------------------

    async def version(self) -> tuple[str, str]:
        return "simulated", "0.1.0"

    async def status(self) -> tuple[str, str]:
        return "", "" if self._addresses.range else "the node has no range of pod addresses yet"

    def user_namespaces(self) -> bool:
        return True

    def supplemental_groups_policy(self) -> bool:
        return True

    async def update_runtime_config(self, pod_cidr: str) -> None:
        self._addresses.use(pod_cidr)

    def events(self) -> AsyncIterator[RuntimeEvent]:
        return self._news.listen()

    def _tell(self, kind: EventKind, identity: str, pod_uid: str) -> None:
        self._news.tell(RuntimeEvent(kind, identity, pod_uid))

    # --- sandboxes -------------------------------------------------------------------------------------------------

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        for pod in self._by_uid.get(config.uid, ()):
            if pod.seen.attempt == config.attempt and pod.seen.state is SandboxState.READY:
                return pod.seen.id
        ips = (self._addresses.take(),) if config.network is NamespaceMode.POD else ()
        made = _Pod(
            Sandbox(
                id=new_uid().replace("-", ""),
                name=config.name,
                uid=config.uid,
                namespace=config.namespace,
                attempt=config.attempt,
                state=SandboxState.READY,
                created_at=self._clock.now(),
                network=config.network,
                ips=ips,
                labels=config.labels,
                annotations=config.annotations,
            ),
            config,
        )
        self._pods[made.seen.id] = made
        self._by_uid.setdefault(config.uid, []).append(made)
        self._tell(EventKind.STARTED, made.seen.id, config.uid)
        return made.seen.id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        pod = self._pods.get(sandbox_id)
        if pod is None or pod.seen.state is SandboxState.NOT_READY:
            return
        for instance in pod.instances:
            instance.end(KILLED)
        self._addresses.give_back(pod.seen.ips)
        pod.seen = replace(pod.seen, state=SandboxState.NOT_READY)
        self._tell(EventKind.STOPPED, sandbox_id, pod.seen.uid)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        pod = self._pods.get(sandbox_id)
        if pod is None:
            return
        await self.stop_pod_sandbox(sandbox_id)
        for instance in list(pod.instances):
            await self.remove_container(instance.seen.id)
        del self._pods[sandbox_id]
        left = self._by_uid[pod.seen.uid]
        left.remove(pod)
        if not left:
            del self._by_uid[pod.seen.uid]
        self._tell(EventKind.DELETED, sandbox_id, pod.seen.uid)

    async def pod_sandbox_status(self, sandbox_id: str) -> Sandbox:
        return self._pod(sandbox_id).seen

    async def list_pod_sandboxes(self, *, pod_uid: str = "") -> list[Sandbox]:
        found = self._by_uid.get(pod_uid, ()) if pod_uid else self._pods.values()
        return [pod.seen for pod in found]

    def _pod(self, sandbox_id: str) -> _Pod:
        pod = self._pods.get(sandbox_id)
        if pod is None:
            raise NotThere(f"sandbox {sandbox_id!r} not found")
        return pod

    # --- containers ------------------------------------------------------------------------------------------------

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        pod = self._pod(sandbox_id)
        for other in pod.instances:
            if (other.seen.name, other.seen.attempt) == (config.name, config.attempt):
                if other.seen.state is ContainerState.CREATED and other.process.config == config:
                    return other.seen.id
                raise RuntimeFault(f"container {config.name!r} attempt {config.attempt} already exists: {other.seen.id}")
        image = self._images.find(config.image)
        if image is None:
            raise RuntimeFault(f"image {config.image!r} not found")
        for mount in config.mounts:
            if mount.image and self._images.find(mount.image) is None:
                raise RuntimeFault(f"ImageVolumeMountFailed: image {mount.image!r} not found")
        if pod.seen.state is not SandboxState.READY:
            raise RuntimeFault(f"sandbox {sandbox_id} is not ready")
        name = (image.repo_tags or image.repo_digests)[0]
        log_path = f"{sandbox.log_directory}/{config.log_path}" if sandbox.log_directory and config.log_path else ""
        logfile = LogFile(log_path if self._log_files else "", self._clock)
        made = Container(
            id=new_uid().replace("-", ""),
            sandbox_id=sandbox_id,
            name=config.name,
            attempt=config.attempt,
            state=ContainerState.CREATED,
            image=name,
            image_ref=image.repo_digests[0],
            created_at=self._clock.now(),
            started_at=None,
            finished_at=None,
            exit_code=0,
            reason="",
            message="",
            labels=config.labels,
            annotations=config.annotations,
            log_path=log_path,
        )
        process = Process(config, sandbox, name, self._clock, logfile.write)
        tell = partial(self._tell, identity=made.id, pod_uid=pod.seen.uid)
        instance = self._instances[made.id] = Instance(made, process, logfile, self._clock, tell)
        pod.instances.append(instance)
        self._tell(EventKind.CREATED, made.id, pod.seen.uid)
        return made.id

    async def start_container(self, container_id: str) -> None:
        instance = self._instance(container_id)
        if instance.seen.state is ContainerState.RUNNING:
            return
        if instance.seen.state is not ContainerState.CREATED:
            raise RuntimeFault(f"container {container_id} is in {instance.seen.state} state")
        if self._tasks is None:
            raise RuntimeError("the simulated runtime is used outside of its `async with`")
        process = instance.process
        instance.start(self._programs.of(process.config, process.sandbox, process.image), self._tasks)

    async def stop_container(self, container_id: str, timeout_s: float) -> None:
        instance = self._instances.get(container_id)
        if instance is not None:
            await instance.stop(timeout_s)

    async def remove_container(self, container_id: str) -> None:
        instance = self._instances.get(container_id)
        if instance is None:
            return
        instance.end(KILLED)
        del self._instances[container_id]
        pod = self._pod(instance.seen.sandbox_id)
        pod.instances.remove(instance)
        self._tell(EventKind.DELETED, container_id, pod.seen.uid)

    async def container_status(self, container_id: str) -> Container:
        return self._instance(container_id).seen

    async def list_containers(self, *, pod_uid: str = "") -> list[Container]:
        if not pod_uid:
            return [instance.seen for instance in self._instances.values()]
        return [instance.seen for pod in self._by_uid.get(pod_uid, ()) for instance in pod.instances]

    def process(self, container_id: str) -> Process:
        """What runs in a container, for tests and probes. Raises NotThere, RuntimeFault if it does not run."""
        instance = self._instance(container_id)
        if instance.seen.state is not ContainerState.RUNNING:
            raise RuntimeFault(f"container {container_id} is in {instance.seen.state} state")
        return instance.process

    def _instance(self, container_id: str) -> Instance:
        instance = self._instances.get(container_id)
        if instance is None:
            raise NotThere(f"container {container_id!r} not found")
        return instance

    # --- in and around running containers ---------------------------------------------------------------------------

    async def update_container_resources(self, container_id: str, resources: Resources) -> None:
        self._instance(container_id)

    async def reopen_container_log(self, container_id: str) -> None:
        self._instance(container_id).log.open()

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        process = self.process(container_id)
        found: list[ExecResult] = []

        async def run() -> None:
            found.append(await execute(process, command))

        if not timeout_s:
            await run()
        elif not await within(self._clock, timeout_s, run):
            raise RuntimeFault(f"command timed out after {timeout_s:g}s", reason="DeadlineExceeded")
        return found[0]

    async def exec(self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Terminal:
        return Executed(self.process(container_id), command)

    async def attach(self, container_id: str, *, tty: bool, stdin: bool) -> Terminal:
        self.process(container_id)
        instance = self._instance(container_id)
        return Attached(instance.log, instance.ended, lambda: instance.seen.exit_code)

    async def port_forward(self, sandbox_id: str, port: int) -> Tunnel:
        ready = [instance for instance in self._pod(sandbox_id).instances if instance.answers]
        if not ready:
            raise RuntimeFault(f"failed to connect to localhost:{port} inside the pod: connection refused")
        return Forwarded(ready[0].process)

    async def container_stats(self, container_id: str) -> Usage:
        return self._instance(container_id).usage()
