"""Sandboxes and containers with everything the interface tells of them, at the price of one list call.

CRI's lists lack what its status calls have (addresses, exit codes, times, process ids). A status is asked for once per state:
what the kubelet reads of it does not change while the state stays. The exception is a fresh exit: containerd may learn of an
out-of-memory kill a moment after the exit itself, so a kill that has no better reason yet is asked for again.
"""

from __future__ import annotations

from datetime import timedelta

from cri_api.v1 import api_pb2 as cri

from steersman.cri.interface import NotThere
from steersman.cri.messages import Container, ContainerState, Sandbox
from steersman.cri.remote import views
from steersman.cri.remote.calls import RUNTIME, Endpoint
from steersman.cri.remote.messages import UID_LABEL
from steersman.machinery.clock import Clock

_KILLED = 137
_SETTLED = timedelta(seconds=3)
_FRESH = timedelta(seconds=0.5)
_AGAIN_S = 0.05


class Listing:
    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint, self._clock = endpoint, clock
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, Container] = {}

    async def sandbox(self, sandbox_id: str) -> Sandbox:
        """Raises RuntimeFault, NotThere."""
        request = cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
        answer = await self._endpoint.call(RUNTIME + "PodSandboxStatus", request, cri.PodSandboxStatusResponse)
        found = views.sandbox(answer)
        self._sandboxes[found.id] = found
        return found

    async def container(self, container_id: str, sandbox_id: str = "") -> Container:
        """Raises RuntimeFault, NotThere."""
        known = self._containers.get(container_id)
        sandbox_id = sandbox_id or (known.sandbox_id if known else "")
        request = cri.ContainerStatusRequest(container_id=container_id, verbose=True)
        while True:
            answer = await self._endpoint.call(RUNTIME + "ContainerStatus", request, cri.ContainerStatusResponse)
            found = views.container(answer, sandbox_id)
            if not self._may_be_out_of_memory(found):
                break
            await self._clock.sleep(_AGAIN_S)
        self._containers[found.id] = found
        return found

    def _may_be_out_of_memory(self, found: Container) -> bool:
        fresh = found.finished_at is not None and self._clock.now() - found.finished_at < _FRESH
        return fresh and found.exit_code == _KILLED and found.reason == "Error"

    async def sandboxes(self, pod_uid: str = "") -> list[Sandbox]:
        """Raises RuntimeFault."""
        chosen = cri.PodSandboxFilter(label_selector={UID_LABEL: pod_uid} if pod_uid else None)
        request = cri.ListPodSandboxRequest(filter=chosen)
        answer = await self._endpoint.call(RUNTIME + "ListPodSandbox", request, cri.ListPodSandboxResponse)
        found = []
        for item in answer.items:
            known = self._sandboxes.get(item.id)
            if known is None or known.state is not views.sandbox_state(item.state):
                try:
                    known = await self.sandbox(item.id)
                except NotThere:
                    continue
            found.append(known)
        if not pod_uid:
            self._sandboxes = {each.id: each for each in found}
        return found

    async def containers(self, pod_uid: str = "", sandbox_id: str = "") -> list[Container]:
        """Raises RuntimeFault."""
        labels = {UID_LABEL: pod_uid} if pod_uid else None
        request = cri.ListContainersRequest(filter=cri.ContainerFilter(label_selector=labels, pod_sandbox_id=sandbox_id))
        answer = await self._endpoint.call(RUNTIME + "ListContainers", request, cri.ListContainersResponse)
        found = []
        for item in answer.containers:
            known = self._containers.get(item.id)
            if known is None or known.state is not views.container_state(item.state) or not self._final(known):
                try:
                    known = await self.container(item.id, item.pod_sandbox_id)
                except NotThere:
                    continue
            found.append(known)
        if not pod_uid and not sandbox_id:
            self._containers = {each.id: each for each in found}
        return found

    def _final(self, known: Container) -> bool:
        """Whether the record stays true as long as the state does."""
        if known.state is not ContainerState.EXITED:
            return known.state is not ContainerState.UNKNOWN
        return known.finished_at is not None and self._clock.now() - known.finished_at > _SETTLED
