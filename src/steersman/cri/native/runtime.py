"""NativeRuntime: interface.Runtime over crun (or runc), conmon, overlayfs and our own sandboxes.

This module only joins the parts: sandboxes.py, containers.py, execs.py, attach.py, forwarding.py, recovery.py. Use it as a
context manager:
entering recovers what an earlier process left running; leaving lets go without stopping anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar

from steersman.cri.broadcast import Broadcast
from steersman.cri.interface import RuntimeFault, SandboxNetwork, Terminal, Tunnel
from steersman.cri.messages import (
    Container,
    ContainerConfig,
    ContainerState,
    ExecResult,
    NamespaceMode,
    Resources,
    RuntimeEvent,
    Sandbox,
    SandboxConfig,
    SandboxState,
    Usage,
)
from steersman.cri.native import attach, execs, machine, procs, stats, usernamespaces
from steersman.cri.native.cgroups import Cgroups, settle_hybrid
from steersman.cri.native.containers import Containers
from steersman.cri.native.creation import IMAGE_VOLUME_FAILED, Maker
from steersman.cri.native.files import write_atomic
from steersman.cri.native.forwarding import open_tunnel
from steersman.cri.native.imageindex import ImageRecord
from steersman.cri.native.images import NativeImages
from steersman.cri.native.layout import Layout
from steersman.cri.native.oci import OciRuntime
from steersman.cri.native.pause import pause_program
from steersman.cri.native.records import ContainerRecord, Records, SandboxRecord, boot_id
from steersman.cri.native.recovery import recover
from steersman.cri.native.sandboxes import Sandboxes
from steersman.cri.native.threads import finish, off_loop
from steersman.cri.native.waiting import all_or_first_failure
from steersman.cri.native.watching import Watches
from steersman.machinery.clock import Clock

log = logging.getLogger(__name__)

NAME, VERSION = "steersman", "0.1.0"
T = TypeVar("T")
_EVENTS_QUEUED = 4096


class NativeRuntime:
    """See the module. `network` wires sandboxes up; `images` is where containers' images come from, in the same root."""

    def __init__(
        self,
        *,
        root: str = "/var/lib/steersman/containers",
        run_dir: str = "/run/steersman/containers",
        images: NativeImages,
        network: SandboxNetwork,
        clock: Clock,
        oci_runtime: str = "crun",
        conmon: str = "conmon",
    ) -> None:
        self._layout = Layout(os.path.abspath(root), os.path.abspath(run_dir))
        self._images, self._network, self._clock = images, network, clock
        self._oci = OciRuntime(self._layout, oci_runtime, conmon)
        self._news = Broadcast(_EVENTS_QUEUED)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await off_loop(self._prepare)
        boot, cgroups = boot_id(), Cgroups()
        watches = Watches()
        self._stack.callback(watches.close)
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._maker = Maker(self._layout, self._images.snapshots, cgroups, self._clock, boot, machine.own_capabilities())
        self._sandboxes = Sandboxes(
            layout=self._layout,
            records=Records(self._layout.sandboxes, SandboxRecord),
            network=self._network,
            cgroups=cgroups,
            clock=self._clock,
            boot_id=boot,
            emit=self._news.tell,
            watch_end=watches.end_of,
        )
        self._containers = Containers(
            maker=self._maker,
            oci=self._oci,
            records=Records(self._layout.containers, ContainerRecord),
            clock=self._clock,
            emit=self._news.tell,
            watch_end=watches.end_of,
            spawn_task=self._look_at,
        )
        watches.exits(self._layout.exits, self._look_at)
        await recover(self._sandboxes, self._containers, boot)
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._stack.aclose()

    def _prepare(self) -> None:
        procs.keep_descriptors_to_ourselves()
        self._layout.prepare()
        path = f"{self._layout.pause_root}/pause"
        if not os.path.exists(path):
            write_atomic(path, pause_program(), mode=0o755)
        os.chmod(path, 0o755)
        self._settle()

    def _look_at(self, container_id: str) -> None:
        """Have a possible end of a container looked at, in the background."""

        async def look() -> None:
            try:
                await self._containers.ended(container_id)
            except Exception:
                log.exception("end of a container not handled container=%s", container_id)

        self._tasks.create_task(look())

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work to its end even if the caller is cancelled: half a sandbox would be found by nobody."""
        outcome = await finish(self._tasks.create_task(_quietly(work)))
        return outcome()

    def events(self) -> AsyncIterator[RuntimeEvent]:
        return self._news.listen()

    async def version(self) -> tuple[str, str]:
        return NAME, VERSION

    async def status(self) -> tuple[str, str]:
        return self._oci.missing(), await self._network.ready()

    def user_namespaces(self) -> bool:
        return not usernamespaces.missing()

    def supplemental_groups_policy(self) -> bool:
        return True

    async def update_runtime_config(self, pod_cidr: str) -> None:
        try:
            await self._network.set_pod_cidr(pod_cidr)
        except OSError as error:
            raise RuntimeFault(f"the pod network could not be set up: {error}") from error
        try:
            await self._network.keep_only(self._sandboxes.records.known)
        except OSError as error:
            log.warning("addresses of sandboxes that are no more not released error=%s", error)

    def _settle(self) -> None:
        """Before every pod, as another cluster of this machine may have taken its mount back: else one small file is read."""
        if self._oci.name == "crun":
            settle_hybrid()

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        if config.runtime_handler not in ("", self._oci.name):
            # containerd's words.
            raise RuntimeFault(f'failed to get sandbox runtime: no runtime for "{config.runtime_handler}" is configured')
        self._settle()
        return await self._whole(self._sandboxes.run(config))

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        await all_or_first_failure(self._containers.stop(each.id, 0) for each in self._containers.of_sandbox(sandbox_id))
        await self._whole(self._sandboxes.stop(sandbox_id))

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await all_or_first_failure(self._containers.remove(each.id) for each in self._containers.of_sandbox(sandbox_id))
        await self._whole(self._sandboxes.remove(sandbox_id))

    async def pod_sandbox_status(self, sandbox_id: str) -> Sandbox:
        return self._sandboxes.get(sandbox_id).view()

    async def list_pod_sandboxes(self, *, pod_uid: str = "") -> list[Sandbox]:
        records = self._sandboxes.records.known.values()
        return [record.view() for record in records if not pod_uid or record.config.uid == pod_uid]

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        record = self._sandboxes.get(sandbox_id)
        image = self._images.find(config.image)
        if image is None:
            raise RuntimeFault(f"image {config.image!r} not found")
        volumes: dict[str, ImageRecord] = {}
        for wanted in {mount.image for mount in config.mounts if mount.image}:
            volume = self._images.find(wanted)
            if volume is None:
                raise RuntimeFault(f"{IMAGE_VOLUME_FAILED}: image {wanted!r} not found")
            volumes[wanted] = volume
        return await self._whole(self._containers.create(record, config, image, volumes))

    async def start_container(self, container_id: str) -> None:
        sandbox = self._sandboxes.get(self._containers.get(container_id).sandbox_id)
        if sandbox.state is not SandboxState.READY:
            raise RuntimeFault(f"sandbox {sandbox.id} is not ready")
        await self._whole(self._containers.start(container_id))

    async def stop_container(self, container_id: str, timeout_s: float) -> None:
        await self._containers.stop(container_id, timeout_s)

    async def remove_container(self, container_id: str) -> None:
        await self._whole(self._containers.remove(container_id))

    async def container_status(self, container_id: str) -> Container:
        return self._containers.get(container_id).view()

    async def list_containers(self, *, pod_uid: str = "") -> list[Container]:
        records = self._containers.records.known.values()
        return [record.view() for record in records if not pod_uid or record.pod_uid == pod_uid]

    async def update_container_resources(self, container_id: str, resources: Resources) -> None:
        await self._whole(self._containers.update(container_id, resources))

    async def reopen_container_log(self, container_id: str) -> None:
        self._containers.running(container_id)
        self._oci.reopen_log(container_id)

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        session = self._exec(container_id, command, tty=False, stdin=False)
        return await execs.exec_to_end(session, self._clock, timeout_s)

    async def exec(self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Terminal:
        return self._exec(container_id, command, tty=tty, stdin=stdin)

    def _exec(self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> execs.ExecTerminal:
        self._containers.running(container_id)
        bundle = self._layout.bundle(container_id)
        process = execs.exec_process(bundle, command, tty=tty)
        return execs.start_exec(self._oci, self._clock, container_id, process, bundle, tty=tty, stdin=stdin)

    async def attach(self, container_id: str, *, tty: bool, stdin: bool) -> Terminal:
        record = self._containers.running(container_id)
        connection = attach.connect(self._layout.bundle(container_id))
        return attach.AttachTerminal(
            connection,
            lambda: self._containers.wait(container_id),
            lambda width, height: self._oci.resize(container_id, width, height) if record.config.tty else None,
            stdin=stdin and record.config.stdin,
            stdin_once=record.config.stdin_once,
            clock=self._clock,
        )

    async def port_forward(self, sandbox_id: str, port: int) -> Tunnel:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox.state is not SandboxState.READY:
            raise RuntimeFault(f"sandbox {sandbox_id} is not ready")
        own = sandbox.config.network is not NamespaceMode.NODE
        return await open_tunnel(self._layout.netns(sandbox_id) if own else "", port, self._clock)

    async def container_stats(self, container_id: str) -> Usage:
        record = self._containers.get(container_id)
        rootfs = await off_loop(self._images.snapshots.usage, container_id)
        cgroup = record.cgroup if record.state is ContainerState.RUNNING else ""
        return stats.usage(self._maker.cgroups, cgroup, self._clock, rootfs=rootfs) if cgroup else Usage(at=self._clock.now())


async def _quietly(work: Coroutine[Any, Any, T]) -> Callable[[], T]:
    """The outcome of the work as a function that returns or raises it: a failure belongs to the caller, not to the task group."""
    try:
        result = await work
    except Exception as error:
        # A full disk or a vanished directory is this runtime's failure like any other.
        failure = RuntimeFault(str(error)) if isinstance(error, OSError) else error

        def fail() -> T:
            raise failure

        return fail
    return lambda: result
