"""CRI's RuntimeService over an interface.Runtime: one method per call, in the words of api.proto.

Ids may be shortened, as finding.py says; what ends or removes can be repeated. What the interface does not know is not served:
checkpoints, metric descriptors, and a change of a sandbox's own resources.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from cri_api.v1 import api_pb2 as cri

from steersman.cri.interface import NotThere, Runtime, RuntimeFault
from steersman.cri.messages import Container, Sandbox, SandboxState
from steersman.cri.server import answers, requests
from steersman.cri.server.finding import has_labels, whole_id
from steersman.cri.server.streaming import StreamServer
from steersman.machinery.clock import Clock

API_VERSION = "v1"
_KUBE_API_VERSION = "0.1.0"


class RuntimeService:
    """Methods are named as CRI's calls, and found by their names (serving.py)."""

    def __init__(self, runtime: Runtime, streams: StreamServer, clock: Clock) -> None:
        self._runtime, self._streams, self._clock = runtime, streams, clock
        self._making: list[tuple[str, int]] = []
        """(pod uid, attempt) of sandboxes that are not whole yet. They are not listed: they would look like stopped ones."""

    async def Version(self, request: cri.VersionRequest) -> cri.VersionResponse:
        name, version = await self._runtime.version()
        return cri.VersionResponse(
            version=_KUBE_API_VERSION, runtime_name=name, runtime_version=version, runtime_api_version=API_VERSION
        )

    async def Status(self, request: cri.StatusRequest) -> cri.StatusResponse:
        faults = zip(("RuntimeReady", "NetworkReady"), await self._runtime.status())
        conditions = [
            cri.RuntimeCondition(type=kind, status=not fault, reason=f"{kind[:-5]}NotReady" if fault else "", message=fault)
            for kind, fault in faults
        ]
        features = cri.RuntimeHandlerFeatures(recursive_read_only_mounts=True, user_namespaces=self._runtime.user_namespaces())
        return cri.StatusResponse(
            status=cri.RuntimeStatus(conditions=conditions),
            runtime_handlers=[cri.RuntimeHandler(features=features)],
            features=cri.RuntimeFeatures(supplemental_groups_policy=self._runtime.supplemental_groups_policy()),
        )

    async def RuntimeConfig(self, request: cri.RuntimeConfigRequest) -> cri.RuntimeConfigResponse:
        return cri.RuntimeConfigResponse(linux=cri.LinuxRuntimeConfiguration(cgroup_driver=cri.CGROUPFS))

    async def UpdateRuntimeConfig(self, request: cri.UpdateRuntimeConfigRequest) -> cri.UpdateRuntimeConfigResponse:
        if cidr := request.runtime_config.network_config.pod_cidr:
            await self._runtime.update_runtime_config(cidr)
        return cri.UpdateRuntimeConfigResponse()

    # Sandboxes

    async def RunPodSandbox(self, request: cri.RunPodSandboxRequest) -> cri.RunPodSandboxResponse:
        config = replace(requests.sandbox(request.config), runtime_handler=request.runtime_handler)
        self._making.append((config.uid, config.attempt))
        try:
            return cri.RunPodSandboxResponse(pod_sandbox_id=await self._runtime.run_pod_sandbox(config))
        finally:
            self._making.remove((config.uid, config.attempt))

    async def StopPodSandbox(self, request: cri.StopPodSandboxRequest) -> cri.StopPodSandboxResponse:
        with contextlib.suppress(NotThere):
            await self._runtime.stop_pod_sandbox(await self._sandbox_id(request.pod_sandbox_id))
        return cri.StopPodSandboxResponse()

    async def RemovePodSandbox(self, request: cri.RemovePodSandboxRequest) -> cri.RemovePodSandboxResponse:
        with contextlib.suppress(NotThere):
            await self._runtime.remove_pod_sandbox(await self._sandbox_id(request.pod_sandbox_id))
        return cri.RemovePodSandboxResponse()

    async def PodSandboxStatus(self, request: cri.PodSandboxStatusRequest) -> cri.PodSandboxStatusResponse:
        found = await self._runtime.pod_sandbox_status(await self._sandbox_id(request.pod_sandbox_id))
        return cri.PodSandboxStatusResponse(
            status=answers.sandbox_status(found), info=answers.sandbox_details(found) if request.verbose else None
        )

    async def ListPodSandbox(self, request: cri.ListPodSandboxRequest) -> cri.ListPodSandboxResponse:
        wanted = request.filter
        found = await self._sandboxes(wanted.id, dict(wanted.label_selector))
        items = [answers.sandbox_item(each) for each in found]
        if wanted.HasField("state"):
            items = [each for each in items if each.state == wanted.state.state]
        return cri.ListPodSandboxResponse(items=items)

    # Containers

    async def CreateContainer(self, request: cri.CreateContainerRequest) -> cri.CreateContainerResponse:
        sandbox_id = await self._sandbox_id(request.pod_sandbox_id)
        config, sandbox = requests.container(request.config), requests.sandbox(request.sandbox_config)
        return cri.CreateContainerResponse(container_id=await self._runtime.create_container(sandbox_id, config, sandbox))

    async def StartContainer(self, request: cri.StartContainerRequest) -> cri.StartContainerResponse:
        await self._runtime.start_container(await self._container_id(request.container_id))
        return cri.StartContainerResponse()

    async def StopContainer(self, request: cri.StopContainerRequest) -> cri.StopContainerResponse:
        await self._runtime.stop_container(await self._container_id(request.container_id), max(0, request.timeout))
        return cri.StopContainerResponse()

    async def RemoveContainer(self, request: cri.RemoveContainerRequest) -> cri.RemoveContainerResponse:
        with contextlib.suppress(NotThere):
            await self._runtime.remove_container(await self._container_id(request.container_id))
        return cri.RemoveContainerResponse()

    async def ContainerStatus(self, request: cri.ContainerStatusRequest) -> cri.ContainerStatusResponse:
        found = await self._runtime.container_status(await self._container_id(request.container_id))
        return cri.ContainerStatusResponse(
            status=answers.container_status(found), info=answers.container_details(found) if request.verbose else None
        )

    async def ListContainers(self, request: cri.ListContainersRequest) -> cri.ListContainersResponse:
        wanted = request.filter
        found = await self._containers(wanted.id, wanted.pod_sandbox_id, dict(wanted.label_selector))
        items = [answers.container_item(each) for each in found]
        if wanted.HasField("state"):
            items = [each for each in items if each.state == wanted.state.state]
        return cri.ListContainersResponse(containers=items)

    async def UpdateContainerResources(
        self, request: cri.UpdateContainerResourcesRequest
    ) -> cri.UpdateContainerResourcesResponse:
        container_id = await self._container_id(request.container_id)
        await self._runtime.update_container_resources(container_id, requests.resources(request.linux))
        return cri.UpdateContainerResourcesResponse()

    async def ReopenContainerLog(self, request: cri.ReopenContainerLogRequest) -> cri.ReopenContainerLogResponse:
        await self._runtime.reopen_container_log(await self._container_id(request.container_id))
        return cri.ReopenContainerLogResponse()

    # Streams

    async def ExecSync(self, request: cri.ExecSyncRequest) -> cri.ExecSyncResponse:
        container_id = await self._container_id(request.container_id)
        result = await self._runtime.exec_sync(container_id, list(request.cmd), max(0, request.timeout))
        return cri.ExecSyncResponse(stdout=result.stdout, stderr=result.stderr, exit_code=result.exit_code)

    async def Exec(self, request: cri.ExecRequest) -> cri.ExecResponse:
        container_id, command = await self._running(request.container_id), list(request.cmd)
        tty, stdin = request.tty, request.stdin
        kinds = _kinds(request)
        url = await self._streams.command(lambda: self._runtime.exec(container_id, command, tty=tty, stdin=stdin), kinds)
        return cri.ExecResponse(url=url)

    async def Attach(self, request: cri.AttachRequest) -> cri.AttachResponse:
        container_id = await self._running(request.container_id)
        tty, stdin = request.tty, request.stdin
        kinds = _kinds(request)
        url = await self._streams.command(lambda: self._runtime.attach(container_id, tty=tty, stdin=stdin), kinds)
        return cri.AttachResponse(url=url)

    async def PortForward(self, request: cri.PortForwardRequest) -> cri.PortForwardResponse:
        sandbox_id = await self._sandbox_id(request.pod_sandbox_id)
        return cri.PortForwardResponse(url=await self._streams.ports(lambda port: self._runtime.port_forward(sandbox_id, port)))

    # Statistics

    async def ContainerStats(self, request: cri.ContainerStatsRequest) -> cri.ContainerStatsResponse:
        found = await self._runtime.container_status(await self._container_id(request.container_id))
        return cri.ContainerStatsResponse(stats=answers.container_stats(found, await self._runtime.container_stats(found.id)))

    async def ListContainerStats(self, request: cri.ListContainerStatsRequest) -> cri.ListContainerStatsResponse:
        wanted = request.filter
        found = await self._containers(wanted.id, wanted.pod_sandbox_id, dict(wanted.label_selector))
        stats = [answers.container_stats(each, await self._runtime.container_stats(each.id)) for each in found]
        return cri.ListContainerStatsResponse(stats=stats)

    async def PodSandboxStats(self, request: cri.PodSandboxStatsRequest) -> cri.PodSandboxStatsResponse:
        found = await self._runtime.pod_sandbox_status(await self._sandbox_id(request.pod_sandbox_id))
        return cri.PodSandboxStatsResponse(stats=await self._sandbox_stats(found))

    async def ListPodSandboxStats(self, request: cri.ListPodSandboxStatsRequest) -> cri.ListPodSandboxStatsResponse:
        found = await self._sandboxes(request.filter.id, dict(request.filter.label_selector))
        return cri.ListPodSandboxStatsResponse(stats=[await self._sandbox_stats(each) for each in found])

    async def _sandbox_stats(self, sandbox: Sandbox) -> cri.PodSandboxStats:
        containers = await self._containers("", sandbox.id, {})
        usages = [(each, await self._runtime.container_stats(each.id)) for each in containers]
        return answers.sandbox_stats(sandbox, usages, self._clock.now())

    # Events

    async def GetContainerEvents(self, request: cri.GetEventsRequest) -> AsyncIterator[cri.ContainerEventResponse]:
        """A stream, until the client goes."""
        async for event in self._runtime.events():
            sandboxes = await self._runtime.list_pod_sandboxes(pod_uid=event.pod_uid)
            containers = await self._runtime.list_containers(pod_uid=event.pod_uid)
            yield cri.ContainerEventResponse(
                container_id=event.container_id,
                container_event_type=answers.event_kind(event.kind),
                created_at=answers.nanoseconds(self._clock.now()),
                pod_sandbox_status=answers.sandbox_status(sandboxes[-1]) if sandboxes else None,
                containers_statuses=[answers.container_status(each) for each in containers],
            )

    # What is meant

    async def _sandbox_id(self, given: str) -> str:
        return whole_id(given, (each.id for each in await self._runtime.list_pod_sandboxes()), "sandbox")

    async def _container_id(self, given: str) -> str:
        return whole_id(given, (each.id for each in await self._runtime.list_containers()), "container")

    async def _running(self, given: str) -> str:
        """A URL is only given out for what it can lead to."""
        found = await self._runtime.container_status(await self._container_id(given))
        if found.pid == 0:
            raise RuntimeFault(f"container {found.id} is not running but {found.state.value}")
        return found.id

    async def _sandboxes(self, prefix: str, labels: dict[str, str]) -> list[Sandbox]:
        found = await self._runtime.list_pod_sandboxes()
        whole = [each for each in found if each.state is SandboxState.READY or (each.uid, each.attempt) not in self._making]
        return [each for each in whole if each.id.startswith(prefix) and has_labels(each.labels, labels)]

    async def _containers(self, prefix: str, sandbox_prefix: str, labels: dict[str, str]) -> list[Container]:
        return [
            each
            for each in await self._runtime.list_containers()
            if each.id.startswith(prefix) and each.sandbox_id.startswith(sandbox_prefix) and has_labels(each.labels, labels)
        ]


def _kinds(request: cri.ExecRequest | cri.AttachRequest) -> frozenset[str]:
    """The streams that the client is to open, beside `error`."""
    asked = {"stdin": request.stdin, "stdout": request.stdout, "stderr": request.stderr, "resize": request.tty}
    return frozenset(kind for kind, wanted in asked.items() if wanted)
