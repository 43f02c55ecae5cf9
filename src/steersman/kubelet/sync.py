"""Carrying out what decide.py planned for one pod: volumes, sandbox, kills, starts; and undoing it at the end.

worker.py owns the state and the status; this owns the reasons why containers wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerState
from steersman.kubelet import attempts, cleaning, pods, restartall
from steersman.kubelet.decide import Kill, Plan, Start, backoff_key, decide
from steersman.kubelet.images import with_default_tag
from steersman.kubelet.parts import Parts
from steersman.kubelet.placing import NoSandbox, Placer, SyncFailed
from steersman.kubelet.resize.actuate import Actuator
from steersman.kubelet.resize.state import PodResize
from steersman.kubelet.sandboxes import Place
from steersman.kubelet.steadytime import SteadyTime
from steersman.kubelet.terminating import probe_grace
from steersman.kubelet.view import PodView
from steersman.kubelet.volumes.image import mounted_images
from steersman.kubelet.volumes.manager import MountFailed
from steersman.machinery.meta import Obj, dig, name_of, namespace_of
from steersman.machinery.waiting import Backoff

log = logging.getLogger(__name__)

FIRST_PULL_RETRY_S = 5.0
START_RETRY_S = 10.0
FIRST_MOUNT_RETRY_S, LAST_MOUNT_RETRY_S = 0.5, 122.0
ATTACH_RETRY_S = 2.0
NETWORK_RETRY_S = 1.0
_SANDBOX = ""
"""Among the holds: no container has this name."""


class PodOver(Exception):
    """The pod may not begin again, though not all of it has run: it has failed."""


class PodSync:
    """reasons: container -> (waiting reason, message). holds: container -> monotonic time before which it isn't tried again."""

    def __init__(self, parts: Parts, uid: str) -> None:
        self.reasons: dict[str, tuple[str, str]] = {}
        self.holds: dict[str, float] = {}
        self._parts, self._uid = parts, uid
        self.restarting = False
        """All of its containers are beginning anew."""
        self._prepared = False
        self._refreshed_s = float("-inf")
        self._stale = 0
        """How often it was said that what volumes show has changed."""
        self._volumes: Mapping[str, Path] = {}
        self._released = False
        self._placer = Placer(parts, uid)
        self._steady = SteadyTime(parts.clock)
        self._mount_pauses = Backoff(FIRST_MOUNT_RETRY_S, LAST_MOUNT_RETRY_S, jitter=0.0)
        self.resize = PodResize(parts.config.pod_dir(uid), parts.recorder)
        self._actuator = Actuator(parts.config, parts.runtime, parts.cgroups, self.resize)

    async def turn(self, pod: Obj, view: PodView) -> float | None:
        """One round. Seconds until the next is due (None: no special time), 0: something was done. Raises SyncFailed, PodOver."""
        parts = self._parts
        parts.probes.sync(pod, view, _pod_ip(view, parts.node.host_ips))
        self.restarting = self.restarting and not restartall.is_over(pod, view)
        resized = self.resize.restarts(pod, view) if self.resize.due else ()
        plan = decide(pod, self._steady.view(view), self._steady.now(), parts.backoff, parts.probes.results, resized)
        if plan.over:
            raise PodOver("Pod sandbox has gone before all containers had run, and restartPolicy is Never")
        self._drop_held(plan)
        self._note_waiting(pod, plan)
        if plan.create_sandbox is not None and parts.node.network_fault and not pods.is_host_network(pod):
            text = f"network is not ready: {parts.node.network_fault}"
            parts.recorder.event(pod, "Warning", "NetworkNotReady", text)
            raise SyncFailed(text, NETWORK_RETRY_S)
        held_s = self.holds.get(_SANDBOX, 0.0) - parts.clock.monotonic()
        if plan.create_sandbox is not None and held_s > 0:
            raise SyncFailed("the last attempt at a sandbox failed a moment ago", held_s)
        self._prepare(pod)
        await self._mount(pod)
        problem = await self._actuate(pod, view) if self.resize.due and not plan.kill_pod else ""
        if plan.empty:
            await cleaning.collect(parts, view)
            if problem:
                raise SyncFailed(problem)
            return plan.again_after_s
        await self._perform(pod, view, plan)
        return 0.0

    def _drop_held(self, plan: Plan) -> None:
        now_s = self._parts.clock.monotonic()
        for start in list(plan.starts):
            left_s = self.holds.get(start.spec["name"], 0.0) - now_s
            if left_s > 0:
                plan.starts.remove(start)
                plan.kills = [kill for kill in plan.kills if kill.container.name != start.spec["name"]]
                plan.later(left_s)

    def _note_waiting(self, pod: Obj, plan: Plan) -> None:
        for name, (reason, message) in plan.waiting.items():
            if self.reasons.get(name, ("",))[0] != reason:
                text = f"Back-off restarting failed container {name} in pod {pods.full_name(pod)}"
                self._parts.recorder.event(pod, "Warning", "BackOff", text)
            self.reasons[name] = (reason, message)

    def _prepare(self, pod: Obj) -> None:
        """The pod's cgroup and folders: once."""
        if self._prepared:
            return
        parts = self._parts
        parts.objects.register(self._uid)
        self._actuator.make_cgroup(pod, throttled=not parts.cpus.owns(self._uid))
        pod_dir = parts.config.pod_dir(self._uid)
        for folder in (pod_dir, pod_dir / "volumes", pod_dir / "plugins"):
            folder.mkdir(0o750, parents=True, exist_ok=True)
        parts.config.pod_log_dir(namespace_of(pod), name_of(pod), self._uid).mkdir(0o755, parents=True, exist_ok=True)
        self._prepared = True

    async def _actuate(self, pod: Obj, view: PodView) -> str:
        """Carry out a resize; why that failed, or ''."""
        try:
            await self._actuator.run(pod, view)
        except RuntimeFault as error:
            self.resize.failed(pod, str(error))
            return str(error)
        return ""

    def refresh_volumes(self) -> None:
        self._refreshed_s = float("-inf")
        self._stale += 1

    async def _mount(self, pod: Obj) -> None:
        """Volumes, at first, when what they show has changed, and once per sync period."""
        parts = self._parts
        now_s, stale = parts.clock.monotonic(), self._stale
        if now_s - self._refreshed_s < parts.config.sync_frequency_s:
            return
        try:
            self._volumes = await parts.volumes.set_up(pod)
        except MountFailed as error:
            for message in error.messages:
                parts.recorder.event(pod, "Warning", "FailedMount", message)
            # What attaches volumes wakes the pod by way of the Node, but not every attacher writes there at once.
            retry_s = self._mount_pauses.next() if error.messages else ATTACH_RETRY_S
            if error.usable is None:
                raise SyncFailed(str(error), retry_s) from None
            # What can't be brought up to date (its Secret is gone) stays as it was: that keeps no container from its restart.
            self._volumes = error.usable
            if self._stale == stale:
                self._refreshed_s = now_s - parts.config.sync_frequency_s + min(retry_s, parts.config.sync_frequency_s)
            return
        if self._stale == stale:
            # Else something has changed behind the look at it.
            self._refreshed_s = now_s
        self._mount_pauses.reset()

    # --- acting ----------------------------------------------------------------------------------------------------

    async def _perform(self, pod: Obj, view: PodView, plan: Plan) -> None:
        parts = self._parts
        if plan.doomed:
            await self._restart_all(pod, plan)
            return
        if plan.sandbox_changed and plan.create_sandbox is not None:
            text = "Pod sandbox changed, it will be killed and re-created."
            parts.recorder.event(pod, "Normal", "SandboxChanged", text)
        if plan.kill_pod:
            grace_s = float(dig(pod, "spec", "terminationGracePeriodSeconds", default=30))
            await parts.stopper.stop_pod(pod, view, grace_s)
            if plan.create_sandbox is None:
                return
        async with asyncio.TaskGroup() as group:
            for kill in plan.kills:
                group.create_task(self._kill(pod, view, kill))
        if plan.create_sandbox is None and not plan.starts:
            return
        try:
            place = await self._placer.place(pod, view, plan.create_sandbox, self._volumes)
        except NoSandbox:
            # Held: what is left of the attempt shows as a change of the pod, and changes wake the worker.
            self.holds[_SANDBOX] = parts.clock.monotonic() + START_RETRY_S
            raise
        failed = False
        for start in plan.starts:
            if self.restarting and view.newest(start.spec["name"]) is None:
                logs = parts.config.pod_log_dir(namespace_of(pod), name_of(pod), self._uid) / start.spec["name"]
                start = replace(start, attempt=attempts.following(str(logs)))
            if not await self._start(place, start):
                failed = True
                if start.blocking:
                    break
        if failed and plan.create_sandbox is not None and place.sandbox.id_mappings:
            parts.node.counts.count("kubelet_started_user_namespaced_pods_errors_total")

    async def _restart_all(self, pod: Obj, plan: Plan) -> None:
        self.restarting = True
        await restartall.remove_all(self._parts, pod, plan.doomed)
        for cause in plan.causes:
            key = backoff_key(pod, cause.spec)
            self._parts.backoff.next(key, cause.ended or self._steady.now(), self._steady.now())

    async def _kill(self, pod: Obj, view: PodView, kill: Kill) -> None:
        container, parts = kill.container, self._parts
        if container.state is not ContainerState.RUNNING:
            await parts.runtime.remove_container(container.id)
            return
        grace_s = probe_grace(pod, pods.find_container(pod, container.name), kill.cause)
        ip = _pod_ip(view, parts.node.host_ips)
        await parts.stopper.stop_container(pod, container, grace_s, kill.why, ip)
        parts.probes.results.forget(container.id)

    async def _start(self, place: Place, start: Start) -> bool:
        """True if it runs. A failure becomes its waiting reason and a pause before the next try."""
        parts, name = self._parts, start.spec["name"]
        try:
            await parts.starter.start(place, start)
        except RuntimeFault as error:
            reason = error.reason or "CreateContainerError"
            log.info("container not started pod=%s container=%s reason=%s", pods.full_name(place.pod), name, reason)
            self.reasons[name] = (reason, str(error))
            self.holds[name] = parts.clock.monotonic() + self._retry_in(place.pod, start, reason)
            return False
        self.resize.started(start.spec)
        self.reasons.pop(name, None)
        self.holds.pop(name, None)
        if start.ended is not None:
            parts.backoff.next(backoff_key(place.pod, start.spec), start.ended, self._steady.now())
        return True

    def _retry_in(self, pod: Obj, start: Start, reason: str) -> float:
        if reason in ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"):
            names = [start.spec["image"], *(each["reference"] for each in mounted_images(pod, start.spec).values())]
            left_s = max(self._parts.images.retry_in(pod, with_default_tag(name)) for name in names)
            return left_s if reason == "ImagePullBackOff" else min(left_s, FIRST_PULL_RETRY_S)
        return START_RETRY_S

    # --- the end ---------------------------------------------------------------------------------------------------

    async def release(self, pod: Obj) -> None:
        """The pod has ended: give back volumes, cgroup, caches. Raises OSError."""
        if not self._released:
            await cleaning.release(self._parts, self._uid, pod)
            self._released = True

    async def remove(self, pod: Obj, view: PodView) -> None:
        """The pod is gone from the API: remove what was kept for reading. Raises RuntimeFault."""
        await cleaning.remove(self._parts, self._uid, pod, view)


def _pod_ip(view: PodView, host_ips: Sequence[str]) -> str:
    sandbox = view.sandbox
    if sandbox is None:
        return ""
    return sandbox.ips[0] if sandbox.ips else (host_ips[0] if host_ips else "")
