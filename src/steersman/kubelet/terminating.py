"""Stopping: single containers, and whole pods with their grace period and order.

Source: upstream pkg/kubelet/kuberuntime (killContainer, killContainersWithSyncResult), pkg/kubelet/pod_workers.go.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from steersman.cri.interface import NotThere, Runtime
from steersman.cri.messages import Container, ContainerState
from steersman.kubelet import pods
from steersman.kubelet.httpcheck import Reach
from steersman.kubelet.kit import Recorder, field_path
from steersman.kubelet.lifecycle import HookFailed, run_hook
from steersman.kubelet.view import PodView
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

MINIMUM_CRI_GRACE_S = 2.0


def grace_period(pod: Obj, in_force: int | None, override: int | None = None) -> int:
    """The grace period from now on, in seconds: it never grows and is at least 1."""
    grace = in_force
    applied = False
    for wanted in (dig(pod, "metadata", "deletionGracePeriodSeconds", default=None), override):
        if wanted is not None and (grace is None or wanted < grace):
            grace = int(wanted)
        applied = applied or wanted is not None
    if not applied and grace is None:
        grace = int(dig(pod, "spec", "terminationGracePeriodSeconds", default=30))
    return max(grace if grace is not None else 1, 1)


def probe_grace(pod: Obj, spec: Obj | None, cause: str) -> float:
    """The grace for a container that a probe kills: the probe's own value, else the pod's."""
    own = dig(spec, cause, "terminationGracePeriodSeconds", default=None) if cause else None
    return float(own if own is not None else dig(pod, "spec", "terminationGracePeriodSeconds", default=30))


@dataclass(slots=True)
class Stopper:
    runtime: Runtime
    recorder: Recorder
    clock: Clock
    reach: Reach

    async def stop_container(self, pod: Obj, container: Container, grace_s: float, why: str = "", pod_ip: str = "") -> None:
        """preStop hook, stop signal, SIGKILL after what is left of the grace period. Raises RuntimeFault."""
        where = field_path(pod, container.name)
        if container.state is ContainerState.RUNNING:
            text = why or f"Stopping container {container.name}"
            self.recorder.event(pod, "Normal", "Killing", text, field_path=where)
        deadline_s = self.clock.monotonic() + grace_s
        spec = pods.find_container(pod, container.name)
        hook = dig(spec, "lifecycle", "preStop", default=None) if spec else None
        if hook and spec and container.state is ContainerState.RUNNING and grace_s > 0:
            await self._pre_stop(pod, spec, hook, container, grace_s, pod_ip)
        left_s = max(deadline_s - self.clock.monotonic(), MINIMUM_CRI_GRACE_S)
        try:
            await self.runtime.stop_container(container.id, left_s)
        except NotThere:
            log.info("container was gone before its stop pod=%s container=%s", pods.full_name(pod), container.name)

    async def _pre_stop(self, pod: Obj, spec: Obj, hook: Obj, container: Container, grace_s: float, pod_ip: str) -> None:
        async def hooked() -> None:
            await run_hook(self.runtime, self.reach, self.clock, self.recorder, pod, spec, hook, container.id, pod_ip)

        try:
            if not await within(self.clock, grace_s, hooked):
                log.info("preStop hook ran out of time pod=%s container=%s", pods.full_name(pod), spec["name"])
        except HookFailed as error:
            log.info("preStop hook failed pod=%s container=%s error=%s", pods.full_name(pod), spec["name"], error)
            where = field_path(pod, spec["name"])
            self.recorder.event(pod, "Warning", "FailedPreStopHook", "PreStopHook failed", field_path=where)

    async def stop_pod(self, pod: Obj, view: PodView, grace_s: float) -> None:
        """Stop all containers, sidecars after those they serve, then the sandboxes. Raises RuntimeFault (in a group)."""
        alive = [item for item in view.containers if item.state in (ContainerState.RUNNING, ContainerState.UNKNOWN)]
        order = [spec["name"] for spec in pods.sidecars(pod)]
        done = {item.id: asyncio.Event() for item in alive}
        deadline_s = self.clock.monotonic() + grace_s
        ip = view.sandbox.ips[0] if view.sandbox is not None and view.sandbox.ips else ""

        async def stop(item: Container) -> None:
            rank = order.index(item.name) if item.name in order else len(order)
            if rank < len(order):
                later = [each for each in alive if (order.index(each.name) if each.name in order else len(order)) > rank]
                await self._wait_all([done[each.id] for each in later], deadline_s)
            left_s = max(deadline_s - self.clock.monotonic(), 0.0)
            try:
                await self.stop_container(pod, item, left_s, pod_ip=ip)
            finally:
                done[item.id].set()

        async with asyncio.TaskGroup() as group:
            for item in alive:
                group.create_task(stop(item))
        await self.stop_sandboxes(view)

    async def stop_sandboxes(self, view: PodView) -> None:
        """All of them: one that is not ready, half made or without its first process, may still hold a network and an address.

        Raises RuntimeFault.
        """
        for sandbox in view.sandboxes:
            try:
                await self.runtime.stop_pod_sandbox(sandbox.id)
            except NotThere:
                continue

    async def _wait_all(self, events: list[asyncio.Event], deadline_s: float) -> None:
        async def all_set() -> None:
            for event in events:
                await event.wait()

        if events:
            await within(self.clock, max(deadline_s - self.clock.monotonic(), 0.0), all_set)
