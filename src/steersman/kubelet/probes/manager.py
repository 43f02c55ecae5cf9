"""Runs the probes: one task per container instance and probe, writing settled results and waking the pod's worker.

A task lives as long as its container instance: after a liveness failure or a startup result it ends, and the next instance gets
new ones, which is upstream's "hold until the container ID changes".
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from steersman.cri.interface import Runtime
from steersman.cri.messages import Container, ContainerState
from steersman.kubelet import pods
from steersman.kubelet.httpcheck import Reach
from steersman.kubelet.kit import Recorder, field_path
from steersman.kubelet.probes.handlers import Outcome, run_probe
from steersman.kubelet.probes.results import ProbeResults, Result
from steersman.kubelet.steadytime import SteadyTime
from steersman.kubelet.view import PodView
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig, name_of, namespace_of, uid_of
from steersman.machinery.waiting import Nudge

log = logging.getLogger(__name__)

KINDS = ("startupProbe", "livenessProbe", "readinessProbe")
_WORDS = {"startupProbe": "Startup", "livenessProbe": "Liveness", "readinessProbe": "Readiness"}


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[None]
    pod_uid: str
    nudge: Nudge = field(default_factory=Nudge)


Counted = tuple[str, str, str, str, str, str]
"""(namespace, pod, its uid, container, Liveness | Readiness | Startup, successful | failed | unknown)"""


class ProbeManager:
    """`group`: where probe tasks run. settled(uid): the pod's worker should look."""

    def __init__(
        self,
        runtime: Runtime,
        reach: Reach,
        clock: Clock,
        recorder: Recorder,
        group: asyncio.TaskGroup,
        settled: Callable[[str], None],
        rng: random.Random,
    ) -> None:
        self.results = ProbeResults()
        self._runtime, self._reach = runtime, reach
        self._clock, self._recorder, self._group = clock, recorder, group
        self._settled, self._rng = settled, rng
        self._running: dict[tuple[str, str], _Running] = {}
        self._adopted: set[str] = set()
        self.counts: dict[Counted, int] = {}
        """How often a probe of a container that is still there ended how."""
        self._started_s, self._steady = clock.monotonic(), SteadyTime(clock)

    def sync(self, pod: Obj, view: PodView, pod_ip: str) -> None:
        """Have the right tasks for what runs now."""
        alive = set()
        for spec in pods.all_containers(pod):
            container = view.newest(spec["name"])
            if container is None or container.state is not ContainerState.RUNNING:
                continue
            alive.add(container.id)
            self._age_s(container)
            for kind in KINDS:
                if spec.get(kind):
                    self._ensure(pod, spec, kind, container, pod_ip)
        for (container_id, _), running in list(self._running.items()):
            if running.pod_uid == uid_of(pod) and container_id not in alive:
                running.task.cancel()
        for container in view.containers:
            if container.state is ContainerState.EXITED:
                self.results.forget(container.id)
                self._adopted.discard(container.id)
                self._steady.forget(container.id)

    def adopt(self, pod: Obj, view: PodView) -> None:
        """Containers that ran before this kubelet keep the readiness the API shows for them: a restart disturbs nobody."""
        for spec in pods.all_containers(pod):
            container = view.newest(spec["name"])
            if container is not None and container.state is ContainerState.RUNNING:
                self._adopt(pod, spec, container)

    def _adopt(self, pod: Obj, spec: Obj, container: Container) -> None:
        if container.id in self._adopted:
            return
        self._adopted.add(container.id)
        key = "initContainerStatuses" if spec in pods.init_containers(pod) else "containerStatuses"
        for entry in dig(pod, "status", key, default=None) or ():
            if entry.get("name") == spec["name"] and (entry.get("containerID") or "").endswith(f"://{container.id}"):
                if entry.get("started") and spec.get("startupProbe"):
                    self.results.startup.setdefault(container.id, Result.SUCCESS)
                if entry.get("ready") and spec.get("readinessProbe"):
                    self.results.readiness.setdefault(container.id, Result.SUCCESS)

    def _ensure(self, pod: Obj, spec: Obj, kind: str, container: Container, pod_ip: str) -> None:
        key = (container.id, kind)
        running = self._running.get(key)
        if running is not None:
            if kind == "readinessProbe" and not self.results.ready(spec, container):
                running.nudge.set()
            return
        if kind == "startupProbe":
            if container.id in self.results.startup:
                return
        elif not self.results.started(spec, container) or self.results.liveness.get(container.id) is Result.FAILURE:
            return
        nudge = Nudge()
        task = self._group.create_task(self._probe(pod, spec, kind, container, pod_ip, nudge))
        self._running[key] = _Running(task, uid_of(pod), nudge)

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        for counted in [counted for counted in self.counts if counted[2] == pod_uid]:
            del self.counts[counted]

    def stop(self, pod_uid: str, kinds: tuple[str, ...] = KINDS) -> None:
        """End tasks of a pod that is stopping or gone."""
        for (_, kind), running in list(self._running.items()):
            if running.pod_uid == pod_uid and kind in kinds:
                running.task.cancel()

    async def _probe(self, pod: Obj, spec: Obj, kind: str, container: Container, pod_ip: str, nudge: Nudge) -> None:
        try:
            await self._first_delay(spec[kind], container)
            await self._loop(pod, spec, kind, container, pod_ip, nudge)
        finally:
            self._running.pop((container.id, kind), None)

    def _age_s(self, container: Container) -> float:
        """Since it was started. Asked as soon as it runs, so that the wall clock is believed then and not later."""
        if container.started_at is None:
            return 0.0
        return (self._steady.now() - self._steady.of(container.id, container.started_at)).total_seconds()

    async def _first_delay(self, probe: Obj, container: Container) -> None:
        period_s = float(probe.get("periodSeconds") or 10)
        own_age_s = self._clock.monotonic() - self._started_s
        if own_age_s < period_s and self._age_s(container) > own_age_s:
            # Only what ran before the kubelet itself started: spread the probes of many pods.
            await self._clock.sleep(self._rng.random() * period_s)
        delay_s = float(probe.get("initialDelaySeconds") or 0) - self._age_s(container)
        if delay_s > 0:
            await self._clock.sleep(delay_s)

    async def _loop(self, pod: Obj, spec: Obj, kind: str, container: Container, pod_ip: str, nudge: Nudge) -> None:
        probe, table = spec[kind], self.results.of(kind)
        limits = {
            Result.SUCCESS: probe.get("successThreshold") or 1,
            Result.FAILURE: probe.get("failureThreshold") or 3,
        }
        run, last = 0, Result.UNKNOWN
        while True:
            outcome = await run_probe(self._runtime, self._reach, self._clock, probe, spec, container, pod_ip)
            self._report(pod, spec, kind, outcome)
            if outcome.result is not Result.UNKNOWN:
                run = run + 1 if outcome.result is last else 1
                last = outcome.result
                if run >= limits[last] and table.get(container.id) is not last:
                    table[container.id] = last
                    log.info("probe settled pod=%s container=%s kind=%s result=%s", uid_of(pod), spec["name"], kind, last.value)
                    self._settled(uid_of(pod))
                    if kind == "startupProbe" or (kind == "livenessProbe" and last is Result.FAILURE):
                        return
            nudge.clear()
            await nudge.wait_within(self._clock, float(probe.get("periodSeconds") or 10))

    def _report(self, pod: Obj, spec: Obj, kind: str, outcome: Outcome) -> None:
        where, word = field_path(pod, spec["name"]), _WORDS[kind]
        result = {Result.SUCCESS: "successful", Result.FAILURE: "failed"}.get(outcome.result, "unknown")
        counted = (namespace_of(pod), name_of(pod), uid_of(pod), spec["name"], word, result)
        self.counts[counted] = self.counts.get(counted, 0) + 1
        if outcome.result is Result.UNKNOWN:
            text = f"{word} probe errored and resulted in unknown state: {outcome.output}"
            self._recorder.event(pod, "Warning", "Unhealthy", text, field_path=where)
        elif outcome.result is Result.FAILURE:
            self._recorder.event(pod, "Warning", "Unhealthy", f"{word} probe failed: {outcome.output}", field_path=where)
        elif outcome.warning:
            self._recorder.event(pod, "Warning", "ProbeWarning", f"{word} probe warning: {outcome.output}", field_path=where)
