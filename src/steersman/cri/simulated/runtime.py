"""The simulated runtime: sandboxes and containers as records, on the injected clock.

`async with` it: programs run as its tasks. A container that serves has none. What is not here: the network between pods, and
images (images.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from steersman.cri.interface import (
    Container,
    ContainerConfig,
    ContainerState,
    EventKind,
    ExecResult,
    NamespaceMode,
    NotThere,
    Resources,
    RuntimeEvent,
    RuntimeFault,
    Sandbox,
    SandboxConfig,
    SandboxState,
    Terminal,
    Tunnel,
    Usage,
)  # fmt: skip
from steersman.cri.simulated.images import SimulatedImages
from steersman.cri.simulated.logs import LogFile
from steersman.cri.simulated.program import CannotStart, Exit, Process
from steersman.cri.simulated.script import Programs, execute
from steersman.cri.simulated.streams import Attached, Executed, Forwarded
from steersman.machinery.clock import Clock
from steersman.machinery.meta import new_uid
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

_KILLED = 128 + signal.SIGKILL


@dataclass(slots=True, eq=False)
class _Record:
    """A container. `seen` is what the kubelet gets, made anew at each change."""

    seen: Container
    process: Process
    log: LogFile
    task: asyncio.Task[None] | None = None
    ended: asyncio.Event | None = None
    """There once somebody waits for the end."""


@dataclass(slots=True, eq=False)
class _Pod:
    seen: Sandbox
    config: SandboxConfig
    records: list[_Record] = field(default_factory=list)


class SimulatedRuntime:
    """A Runtime. `log_files`: containers write logs below their sandbox's log directory; without, what they say is dropped."""

    def __init__(
        self, clock: Clock, images: SimulatedImages, programs: Programs | None = None, *, log_files: bool = False
    ) -> None:
        self._clock, self._images, self._programs, self._log_files = clock, images, programs or Programs(), log_files
        self._pods: dict[str, _Pod] = {}
        self._records: dict[str, _Record] = {}
        self._by_uid: dict[str, list[_Pod]] = {}
        self._listeners: list[asyncio.Queue[RuntimeEvent]] = []
        self._addresses: Iterator[str] = iter(())
        self._taken: set[str] = set()
        self._range = ""
        self._tasks: asyncio.TaskGroup | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> SimulatedRuntime:
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing simulated outlives the runtime."""
        for record in self._records.values():
            if record.task is not None:
                record.task.cancel()
        await self._stack.aclose()

    # --- the runtime itself ----------------------------------------------------------------------------------------

    async def version(self) -> tuple[str, str]:
        return "simulated", "0.1.0"

    async def status(self) -> tuple[str, str]:
        return "", "" if self._range else "the node has no range of pod addresses yet"

    async def update_runtime_config(self, pod_cidr: str) -> None:
        if pod_cidr != self._range:
            self._range = pod_cidr
            self._addresses = _addresses(pod_cidr)

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    def _tell(self, kind: EventKind, identity: str, pod_uid: str) -> None:
        for queue in self._listeners:
            queue.put_nowait(RuntimeEvent(kind, identity, pod_uid))

    # --- sandboxes -------------------------------------------------------------------------------------------------

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        for pod in self._by_uid.get(config.uid, ()):
            if pod.seen.attempt == config.attempt and pod.seen.state is SandboxState.READY:
                return pod.seen.id
        ips = (self._take_address(),) if config.network is NamespaceMode.POD else ()
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

    def _take_address(self) -> str:
        for _ in range(2):
            for address in self._addresses:
                if address not in self._taken:
                    self._taken.add(address)
                    return address
            # From the beginning again: what was given back is free.
            self._addresses = _addresses(self._range)
        raise RuntimeFault(f"no address is free in {self._range or 'a range that is not known yet'}")

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        pod = self._pods.get(sandbox_id)
        if pod is None or pod.seen.state is SandboxState.NOT_READY:
            return
        for record in pod.records:
            self._end(record, _KILLED)
        self._taken.difference_update(pod.seen.ips)
        pod.seen = replace(pod.seen, state=SandboxState.NOT_READY)
        self._tell(EventKind.STOPPED, sandbox_id, pod.seen.uid)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        pod = self._pods.get(sandbox_id)
        if pod is None:
            return
        await self.stop_pod_sandbox(sandbox_id)
        for record in list(pod.records):
            await self.remove_container(record.seen.id)
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
        for other in pod.records:
            if (other.seen.name, other.seen.attempt) == (config.name, config.attempt):
                if other.seen.state is ContainerState.CREATED and other.process.config == config:
                    return other.seen.id
                raise RuntimeFault(f"container {config.name!r} attempt {config.attempt} already exists: {other.seen.id}")
        image = self._images.find(config.image)
        if image is None:
            raise RuntimeFault(f"image {config.image!r} not found")
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
        record = self._records[made.id] = _Record(made, process, logfile)
        pod.records.append(record)
        self._tell(EventKind.CREATED, made.id, pod.seen.uid)
        return made.id

    async def start_container(self, container_id: str) -> None:
        record = self._record(container_id)
        if record.seen.state is ContainerState.RUNNING:
            return
        if record.seen.state is not ContainerState.CREATED:
            raise RuntimeFault(f"container {container_id} is in {record.seen.state} state")
        if self._tasks is None:
            raise RuntimeError("the simulated runtime is used outside of its `async with`")
        process = record.process
        try:
            running = self._programs.of(process.config, process.sandbox, process.image)(process)
        except CannotStart as error:
            record.seen = replace(record.seen, state=ContainerState.RUNNING, started_at=self._clock.now())
            self._end(record, 128, "StartError", str(error))
            raise RuntimeFault(f"failed to start container {record.seen.name!r}: {error}") from None
        security = process.config.security
        user = (security.run_as_user or 0, security.run_as_group or 0, security.supplemental_groups or (0,))
        record.seen = replace(record.seen, state=ContainerState.RUNNING, started_at=self._clock.now(), user=user)
        record.log.open()
        if running is not None:
            record.task = self._tasks.create_task(self._run(record, running))
            # One that is cancelled before its first turn has not begun, and must not be waited for in vain.
            record.task.add_done_callback(lambda _: running.close())
        self._tell(EventKind.STARTED, container_id, self._pod(record.seen.sandbox_id).seen.uid)

    async def _run(self, record: _Record, running: Coroutine[Any, Any, int]) -> None:
        """A program to its end; the boundary where its faults become crashes."""
        code, reason, message = 0, "", ""
        try:
            code = await running
        except Exit as end:
            code, reason, message = end.code, end.reason, end.message
        except Exception as error:
            log.info("simulated program crashed container=%s", record.seen.name, exc_info=True)
            code = 1
            record.process.log(f"{type(error).__name__}: {error}\n", "stderr")
        record.task = None
        self._end(record, code, reason, message)

    def _end(self, record: _Record, code: int, reason: str = "", message: str = "") -> None:
        """It is over. Created containers that never ran end likewise, as a sandbox's end takes them."""
        if record.seen.state is ContainerState.EXITED:
            return
        task, record.task = record.task, None
        if task is not None:
            task.cancel()
        record.seen = replace(
            record.seen,
            state=ContainerState.EXITED,
            exit_code=code,
            finished_at=self._clock.now(),
            reason=reason or ("Completed" if code == 0 else "Error"),
            message=message,
        )
        if record.ended is not None:
            record.ended.set()
        record.log.end()
        self._tell(EventKind.STOPPED, record.seen.id, self._pod(record.seen.sandbox_id).seen.uid)

    async def stop_container(self, container_id: str, timeout_s: float) -> None:
        record = self._records.get(container_id)
        if record is None or record.seen.state is not ContainerState.RUNNING:
            return
        process = record.process
        if timeout_s <= 0:
            self._end(record, _KILLED)
        elif process.trapped is None:
            self._end(record, 128 + _signal(process.config.stop_signal))
        else:
            process.trapped.set()
            record.ended = record.ended or asyncio.Event()
            if not await within(self._clock, timeout_s, record.ended.wait):
                self._end(record, _KILLED)

    async def remove_container(self, container_id: str) -> None:
        record = self._records.get(container_id)
        if record is None:
            return
        self._end(record, _KILLED)
        del self._records[container_id]
        pod = self._pod(record.seen.sandbox_id)
        pod.records.remove(record)
        self._tell(EventKind.DELETED, container_id, pod.seen.uid)

    async def container_status(self, container_id: str) -> Container:
        return self._record(container_id).seen

    async def list_containers(self, *, pod_uid: str = "") -> list[Container]:
        if not pod_uid:
            return [record.seen for record in self._records.values()]
        return [record.seen for pod in self._by_uid.get(pod_uid, ()) for record in pod.records]

    def process(self, container_id: str) -> Process:
        """What runs in a container, for tests and probes. Raises NotThere, RuntimeFault if it does not run."""
        record = self._record(container_id)
        if record.seen.state is not ContainerState.RUNNING:
            raise RuntimeFault(f"container {container_id} is in {record.seen.state} state")
        return record.process

    def _record(self, container_id: str) -> _Record:
        record = self._records.get(container_id)
        if record is None:
            raise NotThere(f"container {container_id!r} not found")
        return record

    # --- in and around running containers ---------------------------------------------------------------------------

    async def update_container_resources(self, container_id: str, resources: Resources) -> None:
        self._record(container_id)

    async def reopen_container_log(self, container_id: str) -> None:
        self._record(container_id).log.open()

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
        record = self._record(container_id)
        record.ended = record.ended or asyncio.Event()
        return Attached(record.log, record.ended, lambda: record.seen.exit_code)

    async def port_forward(self, sandbox_id: str, port: int) -> Tunnel:
        ready = [record for record in self._pod(sandbox_id).records if _answers(record)]
        if not ready:
            raise RuntimeFault(f"failed to connect to localhost:{port} inside the pod: connection refused")
        return Forwarded(ready[0].process)

    async def container_stats(self, container_id: str) -> Usage:
        record = self._record(container_id)
        process, now = record.process, self._clock.now()
        used = int(_age_s(record, now) * process.cpu_milli * 1_000_000)
        return Usage(now, used, process.memory, process.memory, process.memory, processes=1)


def _answers(record: _Record) -> bool:
    return record.seen.state is ContainerState.RUNNING and record.process.ready


def _age_s(record: _Record, now: datetime) -> float:
    started = record.seen.started_at
    return ((record.seen.finished_at or now) - started).total_seconds() if started else 0.0


def _signal(name: str) -> int:
    return int(signal.Signals[name]) if name in signal.Signals.__members__ else int(signal.SIGTERM)


def _addresses(pod_cidr: str) -> Iterator[str]:
    """All but network, gateway and broadcast, in order. The first network, if there is one of each family."""
    if not pod_cidr:
        return iter(())
    network = ipaddress.ip_network(pod_cidr.partition(",")[0])
    first = int(network.network_address)
    last = first + network.num_addresses - 1
    return (str(ipaddress.ip_address(number)) for number in range(first + 2, last))
