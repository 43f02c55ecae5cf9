"""Containers of the native runtime: create, start, stop, remove, and what happens when one ends.

A container's own lock orders its changes; an end is learnt from conmon's exit file (watching.py), or from conmon's death.
Streams are execs.py's and attach.py's, what a crash left behind is recovery.py's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from weakref import WeakValueDictionary

import orjson

from steersman.cri.interface import NotThere, RuntimeFault
from steersman.cri.messages import (
    ContainerConfig,
    ContainerState,
    EventKind,
    NamespaceMode,
    Resources,
    RuntimeEvent,
    SandboxState,
)
from steersman.cri.native import procs
from steersman.cri.native.creation import Maker
from steersman.cri.native.imageindex import ImageRecord
from steersman.cri.native.oci import OciRuntime, Started, exit_code_in, signal_number
from steersman.cri.native.records import ContainerRecord, Records, SandboxRecord
from steersman.cri.native.spec import linux_resources
from steersman.cri.native.threads import off_loop
from steersman.cri.native.waiting import wait_event
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import Locks

log = logging.getLogger(__name__)

_UNKNOWN_EXIT = 255
_START_FAILED = 128


@dataclass(slots=True)
class Containers:
    """All containers of one runtime. `emit` publishes events; `watch_end(process, callback)` calls back when a process has
    ended."""

    maker: Maker
    oci: OciRuntime
    records: Records[ContainerRecord]
    clock: Clock
    emit: Callable[[RuntimeEvent], None]
    watch_end: Callable[[procs.ProcessId, Callable[[], None]], None]
    spawn_task: Callable[[str], None]
    """Has `ended(id)` run in the background."""
    _locks: Locks[str] = field(default_factory=Locks)
    _over: WeakValueDictionary[str, asyncio.Event] = field(default_factory=WeakValueDictionary)
    """Who waits for the end of a container that has not ended yet."""

    def get(self, container_id: str) -> ContainerRecord:
        record = self.records.get(container_id)
        if record is None:
            raise NotThere(f"container {container_id!r} not found")
        return record

    def running(self, container_id: str) -> ContainerRecord:
        """The record of a container that must be running. Raises RuntimeFault."""
        record = self.get(container_id)
        if record.state is not ContainerState.RUNNING:
            raise RuntimeFault(f"container {container_id} is in {record.state} state")
        return record

    def of_sandbox(self, sandbox_id: str) -> list[ContainerRecord]:
        return [record for record in self.records.known.values() if record.sandbox_id == sandbox_id]

    async def create(
        self, sandbox: SandboxRecord, config: ContainerConfig, image: ImageRecord, volumes: Mapping[str, ImageRecord]
    ) -> str:
        """A new container in CREATED state. The same (name, attempt) again gives the same container while it has not been
        started. `volumes`: the images of its mounts."""
        for record in self.of_sandbox(sandbox.id):
            if (record.config.name, record.config.attempt) == (config.name, config.attempt):
                if record.state is ContainerState.CREATED:
                    return record.id
                raise RuntimeFault(f"container {config.name!r} attempt {config.attempt} already exists: {record.id}")
        if sandbox.state is not SandboxState.READY or not procs.alive(sandbox.pause):
            raise RuntimeFault(f"sandbox {sandbox.id} is not ready")
        target = 0
        if config.security.pid is NamespaceMode.TARGET:
            process = self.running(config.security.target_id).process
            target = process.pid if process else 0
        made = await self.maker.make(sandbox, config, image, target, volumes)
        self.records.save(made)
        self._event(EventKind.CREATED, made)
        return made.id

    async def start(self, container_id: str) -> None:
        """Run it. Raises RuntimeFault; the container is then EXITED with reason StartError."""
        async with self._locks[container_id]:
            record = self.get(container_id)
            if record.state is ContainerState.RUNNING:
                return
            if record.state is not ContainerState.CREATED:
                raise RuntimeFault(f"container {container_id} is in {record.state} state")
            record = self.records.save(replace(record, starting=True))
            try:
                log_path = await off_loop(_log_file, record.log_path)
                config = record.config
                started = await self.oci.create(
                    container_id, log_path, tty=config.tty, stdin=config.stdin, stdin_once=config.stdin_once
                )
                # Not after it: a program that ends at once would have ended before it was started.
                begun = self.clock.now()
                await self.oci.start(container_id)
            except (RuntimeFault, OSError) as error:
                await self._failed(record, str(error))
                raise RuntimeFault(f"failed to start container {record.config.name!r}: {error}") from error
            self._started(record, started, begun)

    def _started(self, record: ContainerRecord, started: Started, begun: datetime) -> None:
        record = replace(record, state=ContainerState.RUNNING, starting=False, started_at=begun)
        record = self.records.save(replace(record, process=started.process, conmon=started.conmon))
        self._event(EventKind.STARTED, record)
        self.watch(record)

    async def resume(self, record: ContainerRecord) -> None:
        """Recovery: a start that was cut short is brought to its end if its monitor holds the container, else it is ended.

        So that a program is run once, though the kubelet was killed between making its container and noting that it runs.
        """
        async with self._locks[record.id]:
            half = await self.oci.half_started(record.id)
            if half is not None:
                started, state = half
                begun = self.clock.now()
                try:
                    if state == "created":
                        await self.oci.start(record.id)
                    self._started(record, started, begun)
                    return
                except RuntimeFault as fault:
                    log.warning("a start cut short could not go on container=%s error=%s", record.id, fault)
        await self.abandon(record, "the runtime was restarted while the container was starting")

    def watch(self, record: ContainerRecord) -> None:
        """Notice its end: by the exit file (the runtime's watcher), or because conmon is gone."""
        if record.conmon is not None:
            self.watch_end(record.conmon, lambda: self.spawn_task(record.id))
        if record.conmon is None or os.path.exists(self.maker.layout.exit_file(record.id)):
            self.spawn_task(record.id)

    async def _failed(self, record: ContainerRecord, message: str) -> None:
        await self.oci.end(record.id)
        await self._finish(record, _START_FAILED, "StartError", message, self.clock.now())
        await self._release(self.get(record.id))

    async def ended(self, container_id: str) -> None:
        """Look whether a running container has ended; write it down and clean up. Called on every hint; idempotent."""
        async with self._locks[container_id]:
            record = self.records.get(container_id)
            if record is None or record.state is not ContainerState.RUNNING:
                return
            path = self.maker.layout.exit_file(container_id)
            # In this order: what the monitor wrote, it wrote before it was gone.
            watched = procs.alive(record.conmon)
            code = exit_code_in(path)
            if code is None and watched:
                return
            if code is None:
                # Without its monitor a container has neither log nor exit code: it is ended like one whose end was missed.
                self.maker.cgroups.kill(record.cgroup)
                await procs.gone(record.process)
                await self._finish(record, _UNKNOWN_EXIT, "Error", "the container's monitor ended", self.clock.now())
            else:
                oom = self.maker.cgroups.oom_kills(record.cgroup) > 0
                reason = "OOMKilled" if oom else "Error" if code else "Completed"
                finished = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
                await self._finish(record, code, reason, "", finished)
            await self._release(self.get(container_id))

    async def _finish(self, record: ContainerRecord, code: int, reason: str, message: str, at: datetime) -> None:
        record = replace(record, state=ContainerState.EXITED, starting=False, exit_code=code, reason=reason, message=message)
        record = self.records.save(replace(record, finished_at=at))
        self._event(EventKind.STOPPED, record)
        if (over := self._over.get(record.id)) is not None:
            over.set()

    async def _release(self, record: ContainerRecord) -> None:
        """Give back what an ended container holds: stray processes, runtime state, cgroups, mounts."""
        if record.config.security.pid is not NamespaceMode.CONTAINER:
            self.maker.cgroups.kill(record.cgroup)
        await self.oci.delete(record.id)
        await off_loop(self._release_rest, record)
        self.records.save(replace(record, released=True))

    def _release_rest(self, record: ContainerRecord) -> None:
        self.maker.release(record.id)
        self.maker.cgroups.remove(record.cgroup)

    async def abandon(self, record: ContainerRecord, message: str) -> None:
        """Recovery: a container whose start or end was missed is ended now."""
        # Killing it makes its monitor write the exit file, which brings `ended` here too: one of them does the releasing.
        async with self._locks[record.id]:
            await self.oci.end(record.id)
            if record.state is not ContainerState.EXITED:
                await self._finish(record, _UNKNOWN_EXIT, "Unknown", message, self.clock.now())
            await self._release(self.get(record.id))

    async def stop(self, container_id: str, timeout_s: float) -> None:
        """Stop signal, after the time SIGKILL; returns when it has ended."""
        record = self.records.get(container_id)
        if record is None or record.state is not ContainerState.RUNNING:
            return
        over = self._end_of(container_id)
        asked = timeout_s > 0 and procs.send(record.process, signal_number(record.stop_signal))
        if asked and await wait_event(self.clock, over, timeout_s):
            return
        await self.kill(record)
        await over.wait()

    async def kill(self, record: ContainerRecord) -> None:
        """SIGKILL to its first process; with a shared PID namespace to all it started."""
        if record.config.security.pid is not NamespaceMode.CONTAINER:
            await off_loop(self.maker.cgroups.kill, record.cgroup)
        if not procs.send(record.process, signal.SIGKILL):
            self.spawn_task(record.id)

    def _end_of(self, container_id: str) -> asyncio.Event:
        return self._over.setdefault(container_id, asyncio.Event())

    async def wait(self, container_id: str) -> int:
        """The exit code, once it has ended."""
        record = self.get(container_id)
        if record.state is not ContainerState.EXITED:
            await self._end_of(container_id).wait()
            record = self.get(container_id)
        return record.exit_code

    async def remove(self, container_id: str) -> None:
        """Kill it if it runs, forget it and its writable layer."""
        while True:
            await self.stop(container_id, 0)
            async with self._locks[container_id]:
                record = self.records.get(container_id)
                if record is None:
                    return
                if record.state is ContainerState.RUNNING:
                    # A start was under way: there is somebody to stop now.
                    continue
                if not record.released:
                    await self._release(record)
                await off_loop(self.maker.discard, container_id)
                self.records.drop(container_id)
                self._event(EventKind.DELETED, record)
                return

    async def update(self, container_id: str, resources: Resources) -> None:
        """New limits, now and on record. Raises RuntimeFault."""
        async with self._locks[container_id]:
            record = self.get(container_id)
            if record.state is ContainerState.RUNNING:
                path = f"{self.maker.layout.bundle(container_id)}/resources.json"
                with open(path, "wb") as file:
                    file.write(orjson.dumps(linux_resources(resources, v2=self.maker.cgroups.v2)))
                await self.oci.update(container_id, path)
            # What is not given stays as it is.
            given = {field.name: value for field in fields(resources) if (value := getattr(resources, field.name))}
            merged = replace(record.config.resources, **given)
            self.records.save(replace(record, config=replace(record.config, resources=merged)))

    def _event(self, kind: EventKind, record: ContainerRecord) -> None:
        self.emit(RuntimeEvent(kind, record.id, record.pod_uid))


def _log_file(path: str) -> str:
    """Where conmon shall write; /dev/null for a container without a log."""
    if not path:
        return os.devnull
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    return path
