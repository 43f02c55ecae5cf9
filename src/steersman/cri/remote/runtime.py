"""RemoteRuntime: interface.Runtime over CRI v1 gRPC, for containerd (1.6 and later) and CRI-O.

This module joins the parts: calls.py (gRPC), messages.py and views.py (words), listing.py, changes.py (events), streams.py
(exec, attach, port-forward). Where the interface promises more than CRI, namely that calls can be repeated, a failed call looks
for what an earlier one made. Use it as a context manager; leaving it stops nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self

from cri_api.v1 import api_pb2 as cri
from google.protobuf.message import Message

from steersman.cri.interface import NotThere, RuntimeFault
from steersman.cri.messages import (
    Container,
    ContainerConfig,
    ContainerState,
    ExecResult,
    Resources,
    RuntimeEvent,
    Sandbox,
    SandboxConfig,
    SandboxState,
    Usage,
)
from steersman.cri.remote import changes, messages, spdyclient, streams, views
from steersman.cri.remote.abilities import no_image_volumes
from steersman.cri.remote.calls import RUNTIME, SLOW_S, A, Endpoint, OutOfTime
from steersman.cri.remote.listing import Listing
from steersman.cri.remote.spdyclient import Session
from steersman.cri.remote.streams import RemoteTerminal, RemoteTunnel
from steersman.cri.remote.whole import whole
from steersman.machinery.clock import Clock

_EXEC_MARGIN_S = 15.0
_EXIT_PATIENCE_S, _EXIT_POLL_S = 5.0, 0.02


class NodeNetwork(Protocol):
    """What the node does about the pod network beside the runtime, which wires pods by CNI itself."""

    async def set_pod_cidr(self, pod_cidr: str, conf_dir: str, bin_dir: str) -> None:
        """The node's range is known. The directories are those of the runtime's CNI configurations and plugins, '' if it does
        not say. Raises OSError."""

    async def ready(self) -> str: ...


class RemoteRuntime:
    """See the module."""

    def __init__(self, endpoint: Endpoint, network: NodeNetwork, clock: Clock) -> None:
        self._endpoint, self._network, self._clock = endpoint, network, clock
        self._listing = Listing(endpoint, clock)
        self._hints = changes.Hints(endpoint, clock)
        self._following = False
        self._recursive_read_only = self._user_namespaces = self._supplemental_groups_policy = False
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._endpoint.close)
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._running: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *details: Any) -> None:
        for task in self._running:
            task.cancel()
        await self._stack.aclose()

    def _background(self, work: Callable[[], Awaitable[None]]) -> None:
        async def body() -> None:
            await work()

        task = self._tasks.create_task(body())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _make(self, method: str, request: Message, answer: type[A], timeout_s: float) -> A:
        return await whole(self._tasks, self._clock, self._endpoint.call(RUNTIME + method, request, answer, timeout_s))

    # The runtime itself

    async def version(self) -> tuple[str, str]:
        answer = await self._endpoint.call(RUNTIME + "Version", cri.VersionRequest(), cri.VersionResponse)
        return answer.runtime_name, answer.runtime_version

    async def status(self) -> tuple[str, str]:
        answer = await self._status(verbose=False)
        handler = next((each for each in answer.runtime_handlers if not each.name), None)
        self._recursive_read_only = bool(handler and handler.features.recursive_read_only_mounts)
        self._user_namespaces = bool(handler and handler.features.user_namespaces)
        self._supplemental_groups_policy = answer.features.supplemental_groups_policy
        faults = {each.type: each.message or each.reason for each in answer.status.conditions if not each.status}
        return faults.get("RuntimeReady", ""), await self._network.ready() or faults.get("NetworkReady", "")

    def user_namespaces(self) -> bool:
        """containerd says so since 2.0; one that does not know of them would quietly use the node's."""
        return self._user_namespaces

    def supplemental_groups_policy(self) -> bool:
        return self._supplemental_groups_policy

    async def _status(self, *, verbose: bool) -> cri.StatusResponse:
        return await self._endpoint.call(RUNTIME + "Status", cri.StatusRequest(verbose=verbose), cri.StatusResponse)

    async def update_runtime_config(self, pod_cidr: str) -> None:
        cni = views.details((await self._status(verbose=True)).info, "config").get("cni") or {}
        # containerd 2 has several directories for plugins.
        bin_dir = cni.get("binDir") or next(iter(cni.get("binDirs") or ()), "")
        try:
            await self._network.set_pod_cidr(pod_cidr, cni.get("confDir") or "", bin_dir)
        except OSError as error:
            raise RuntimeFault(f"the pod network could not be set up: {error}") from error
        network = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr=pod_cidr))
        request = cri.UpdateRuntimeConfigRequest(runtime_config=network)
        await self._endpoint.call(RUNTIME + "UpdateRuntimeConfig", request, cri.UpdateRuntimeConfigResponse)

    # Sandboxes

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        request = cri.RunPodSandboxRequest(config=messages.sandbox(config), runtime_handler=config.runtime_handler)
        try:
            answer = await self._make("RunPodSandbox", request, cri.RunPodSandboxResponse, 2 * SLOW_S)
        except RuntimeFault as error:
            for each in await self._listing.sandboxes(config.uid):
                if each.attempt == config.attempt and each.state is SandboxState.READY:
                    return each.id
            raise RuntimeFault(str(error), reason="CreatePodSandboxError") from error
        self._hints.note()
        return answer.pod_sandbox_id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        request = cri.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
        try:
            await self._endpoint.call(RUNTIME + "StopPodSandbox", request, cri.StopPodSandboxResponse, SLOW_S)
        except NotThere:
            return
        self._hints.note()

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self.stop_pod_sandbox(sandbox_id)
        request = cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        try:
            await self._endpoint.call(RUNTIME + "RemovePodSandbox", request, cri.RemovePodSandboxResponse, SLOW_S)
        except NotThere:
            return
        self._hints.note()

    async def pod_sandbox_status(self, sandbox_id: str) -> Sandbox:
        return await self._listing.sandbox(sandbox_id)

    async def list_pod_sandboxes(self, *, pod_uid: str = "") -> list[Sandbox]:
        return await self._listing.sandboxes(pod_uid)

    # Containers

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        if any(mount.recursive_read_only for mount in config.mounts) and not self._recursive_read_only:
            # An older runtime would not know the field, and mount what lies below writable.
            raise RuntimeFault("the container runtime knows no recursive read-only mounts", reason="CreateContainerError")
        if any(mount.image for mount in config.mounts) and (lacking := no_image_volumes(*await self.version())):
            raise RuntimeFault(lacking, reason="CreateContainerError")
        request = cri.CreateContainerRequest(
            pod_sandbox_id=sandbox_id, config=messages.container(config, sandbox), sandbox_config=messages.sandbox(sandbox)
        )
        try:
            answer = await self._make("CreateContainer", request, cri.CreateContainerResponse, SLOW_S)
        except RuntimeFault:
            for each in await self._listing.containers(sandbox_id=sandbox_id):
                if (each.name, each.attempt) == (config.name, config.attempt):
                    if each.state is ContainerState.CREATED:
                        return each.id
                    text = f"container {config.name!r} attempt {config.attempt} already exists: {each.id}"
                    raise RuntimeFault(text) from None
            raise
        self._hints.note()
        return answer.container_id

    async def start_container(self, container_id: str) -> None:
        request = cri.StartContainerRequest(container_id=container_id)
        try:
            await self._make("StartContainer", request, cri.StartContainerResponse, SLOW_S)
        except NotThere:
            raise
        except RuntimeFault as error:
            if (await self._listing.container(container_id)).state is not ContainerState.RUNNING:
                raise RuntimeFault(str(error), reason=error.reason) from error
        self._hints.note()

    async def stop_container(self, container_id: str, timeout_s: float) -> None:
        timeout = math.ceil(timeout_s)
        request = cri.StopContainerRequest(container_id=container_id, timeout=timeout)
        try:
            await self._endpoint.call(RUNTIME + "StopContainer", request, cri.StopContainerResponse, timeout + SLOW_S)
        except NotThere:
            return
        self._hints.note()

    async def remove_container(self, container_id: str) -> None:
        await self.stop_container(container_id, 0)
        request = cri.RemoveContainerRequest(container_id=container_id)
        try:
            await self._endpoint.call(RUNTIME + "RemoveContainer", request, cri.RemoveContainerResponse, SLOW_S)
        except NotThere:
            return
        self._hints.note()

    async def container_status(self, container_id: str) -> Container:
        return await self._listing.container(container_id)

    async def list_containers(self, *, pod_uid: str = "") -> list[Container]:
        return await self._listing.containers(pod_uid)

    async def update_container_resources(self, container_id: str, resources: Resources) -> None:
        request = cri.UpdateContainerResourcesRequest(container_id=container_id, linux=messages.resources(resources))
        await self._endpoint.call(RUNTIME + "UpdateContainerResources", request, cri.UpdateContainerResourcesResponse, SLOW_S)

    async def reopen_container_log(self, container_id: str) -> None:
        request = cri.ReopenContainerLogRequest(container_id=container_id)
        await self._endpoint.call(RUNTIME + "ReopenContainerLog", request, cri.ReopenContainerLogResponse)

    async def container_stats(self, container_id: str) -> Usage:
        request = cri.ContainerStatsRequest(container_id=container_id)
        answer = await self._endpoint.call(RUNTIME + "ContainerStats", request, cri.ContainerStatsResponse)
        return views.usage(answer.stats, self._clock.now())

    # Streams

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        timeout = math.ceil(timeout_s)
        request = cri.ExecSyncRequest(container_id=container_id, cmd=command, timeout=timeout)
        limit_s = timeout + _EXEC_MARGIN_S if timeout else None
        try:
            answer = await self._endpoint.call(RUNTIME + "ExecSync", request, cri.ExecSyncResponse, limit_s)
        except OutOfTime as error:
            raise RuntimeFault(f"command timed out after {timeout_s:g}s", reason="DeadlineExceeded") from error
        return ExecResult(answer.stdout, answer.stderr, answer.exit_code)

    async def exec(self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> RemoteTerminal:
        request = cri.ExecRequest(container_id=container_id, cmd=command, tty=tty, stdin=stdin, stdout=True, stderr=not tty)
        answer = await self._endpoint.call(RUNTIME + "Exec", request, cri.ExecResponse)
        return RemoteTerminal(await self._session(answer.url, streams.COMMAND_PROTOCOLS), tty=tty, stdin=stdin)

    async def attach(self, container_id: str, *, tty: bool, stdin: bool) -> RemoteTerminal:
        request = cri.AttachRequest(container_id=container_id, tty=tty, stdin=stdin, stdout=True, stderr=not tty)
        answer = await self._endpoint.call(RUNTIME + "Attach", request, cri.AttachResponse)
        session = await self._session(answer.url, streams.COMMAND_PROTOCOLS)

        async def exit_code() -> int:
            """The streams end a moment before the runtime knows of the exit; 0 if the container goes on without us."""
            for _ in range(round(_EXIT_PATIENCE_S / _EXIT_POLL_S)):
                status = await self.container_status(container_id)
                if status.state is ContainerState.EXITED:
                    return status.exit_code
                await self._clock.sleep(_EXIT_POLL_S)
            return 0

        return RemoteTerminal(session, tty=tty, stdin=stdin, wait_exit=exit_code)

    async def port_forward(self, sandbox_id: str, port: int) -> RemoteTunnel:
        request = cri.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[port])
        answer = await self._endpoint.call(RUNTIME + "PortForward", request, cri.PortForwardResponse)
        return RemoteTunnel(await self._session(answer.url, streams.FORWARD_PROTOCOLS), port)

    async def _session(self, url: str, protocols: tuple[str, ...]) -> Session:
        session = await spdyclient.connect(url, protocols)
        self._background(session.run)
        return session

    def events(self) -> AsyncIterator[RuntimeEvent]:
        if not self._following:
            self._following = True
            self._background(self._hints.follow)
        return changes.events(self._endpoint, self._hints)
