"""One pod's worker: brings the pod to what its spec says, then to its end.

Life: sync -> terminating -> terminated, never back. It works in turns: read the state, publish the status, decide, act; turns
follow each other until nothing is left to do, then it sleeps until something wakes it. workers.py feeds it.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from enum import Enum

from steersman.cri.interface import RuntimeFault
from steersman.kubelet import conditions, pods, restartall, security
from steersman.kubelet.admission import NODE_AFFINITY, Rejection, admit, under_pressure
from steersman.kubelet.endings import Endings
from steersman.kubelet.eviction.wording import REASON as EVICTED
from steersman.kubelet.eviction.wording import refused
from steersman.kubelet.parts import Parts
from steersman.kubelet.placing import SyncFailed
from steersman.kubelet.probes.manager import KINDS
from steersman.kubelet.resize.feasible import infeasible
from steersman.kubelet.resize.state import DEFERRED, INFEASIBLE
from steersman.kubelet.status import Ending, Situation, generate
from steersman.kubelet.steadytime import SteadyTime
from steersman.kubelet.sync import PodOver, PodSync
from steersman.kubelet.terminating import grace_period
from steersman.kubelet.view import PodView
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, dig, is_deleting, parse_time, uid_of
from steersman.machinery.waiting import Nudge

log = logging.getLogger(__name__)

ERROR_PAUSE_S, ERROR_JITTER = 10.0, 0.5
_OWN_CONDITIONS_FROM_US = frozenset(conditions.OWNED)


class State(Enum):
    SYNC = "sync"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


_TURNS = {State.SYNC: "sync", State.TERMINATING: "kill", State.TERMINATED: "kill"}
"""What metrics call a turn."""


class PodWorker:
    """`pod` is the newest version seen; shared, never changed."""

    def __init__(self, parts: Parts, pod: Obj) -> None:
        self.pod, self.uid = pod, uid_of(pod)
        self.state = State.SYNC
        self.admitted = False
        self.status: Obj = dict(pod.get("status") or {})
        self._parts = parts
        self._sync = PodSync(parts, self.uid)
        self._sync.restarting = restartall.under_way(pod)
        self.resize = self._sync.resize
        self._wake = Nudge()
        self._turn: asyncio.Task[None] | None = None
        self._pause_s: float | None = 0.0
        self._grace_s: int | None = None
        self._ending: Ending | None = None
        self.stopped = asyncio.Event()
        """Set when nothing of it runs any more."""
        self.released = asyncio.Event()
        """Set when its volumes are gone as well."""
        self._removed = False
        self._over = False
        self.view = PodView(self.uid)
        self._endings = Endings()
        self._checked_s = parts.clock.monotonic()
        self._starting_since_s = None if self.status.get("startTime") else self._checked_s
        self._steady = SteadyTime(parts.clock)
        if is_deleting(pod) or pods.is_terminal_phase(self.status.get("phase") or ""):
            self._terminate()

    @property
    def allocated(self) -> Obj:
        """The pod with the resources that the node has allocated to it: during a resize others than it asks for."""
        return self.resize.pod(self.pod)

    # --- what happens to it ----------------------------------------------------------------------------------------

    def poke(self) -> None:
        """Something may have changed: look."""
        self._wake.set()

    def probed(self) -> None:
        """A probe has settled: shown at once, even during a turn that takes long. Stopping may take all of the grace period."""
        if self._turn is not None and self.admitted and not self.stopped.is_set():
            self.publish(self.view)
        self._wake.set()

    def refresh(self) -> None:
        """What its volumes are made of has changed: make them anew, without waiting for the sync period to pass."""
        self._sync.refresh_volumes()
        self._wake.set()

    def update(self, pod: Obj) -> None:
        """The API shows a newer version."""
        if any(dig(pod, "metadata", what) != dig(self.pod, "metadata", what) for what in ("labels", "annotations")):
            self._sync.refresh_volumes()
        changed_spec = dig(pod, "metadata", "generation") != dig(self.pod, "metadata", "generation")
        self.pod = pod
        if changed_spec:
            self._sync.holds.clear()
        ended = pods.is_terminal_phase(dig(pod, "status", "phase", default=""))
        if ended and not pods.is_terminal_phase(self.status.get("phase") or ""):
            # Somebody else has ended it: that is not taken back while its containers are being stopped.
            self.status = {**self.status, **{key: pod["status"].get(key) for key in ("phase", "reason", "message")}}
        if ended or is_deleting(pod):
            self._terminate()
        self._wake.set()

    @property
    def wanted(self) -> bool:
        """Whether the API, or the node's own files, still have it."""
        return not self._removed

    def remove(self) -> None:
        """The API has it no longer."""
        self._removed = True
        self._terminate()
        self._wake.set()

    def kill(self, ending: Ending, grace_s: int | None = None) -> None:
        """End it for a reason of the kubelet's own (eviction, deadline ...)."""
        self._ending = self._ending or ending
        self._terminate(grace_s)
        self._wake.set()

    def kill_orphan(self) -> None:
        """It runs, but the API never had it."""
        self._removed = True
        self._terminate(1)

    def _terminate(self, override_s: int | None = None) -> None:
        """Enter or hasten termination; what the current turn does is broken off if that changes anything."""
        if self.state is State.TERMINATED:
            return
        grace_s = grace_period(self.pod, self._grace_s, override_s)
        if self.state is State.SYNC or self._grace_s is None or grace_s < self._grace_s:
            self.state, self._grace_s = State.TERMINATING, grace_s
            if self._turn is not None and self._turn is not asyncio.current_task():
                self._turn.cancel()

    # --- turns -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the pod is gone from the API and everything of it is cleaned up."""
        while not self._over:
            await self._parts.health.wait_while_down()
            self._wake.clear()
            self._pause_s = 0.0
            async with asyncio.TaskGroup() as group:
                self._turn = group.create_task(self._guarded())
            self._turn = None
            if self._over or self._pause_s == 0.0:
                continue
            if self._pause_s is None:
                await self._wake.wait()
            else:
                await self._wake.wait_within(self._parts.clock, self._pause_s)

    async def _guarded(self) -> None:
        begun_s, kind = self._parts.clock.monotonic(), _TURNS[self.state] if self.admitted else "create"
        try:
            if self.state is State.SYNC:
                self._pause_s = await self._sync_turn()
            elif self.state is State.TERMINATING:
                await self._terminating_turn()
            elif not self._removed:
                await self._terminated_turn()
            else:
                await self._clean_up()
        except SyncFailed as failure:
            self._pause_s = failure.retry_s if failure.retry_s is not None else self._error_pause()
        except Exception as error:
            self._note_failure(error)
        finally:
            took_s = self._parts.clock.monotonic() - begun_s
            self._parts.node.counts.observe("kubelet_pod_worker_duration_seconds", took_s, operation_type=kind)

    def _note_failure(self, error: Exception) -> None:
        """The boundary of a pod: whatever goes wrong is recorded and tried again later."""
        causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        expected = all(isinstance(each, RuntimeFault | StatusError | OSError) for each in causes)
        text = "; ".join(map(str, causes))
        log.warning(
            "pod turn failed pod=%s state=%s error=%s", pods.full_name(self.pod), self.state.value, text,
            exc_info=None if expected else error,
        )  # fmt: skip
        reason, lead = (
            ("FailedKillPod", "error killing pod") if self.state is State.TERMINATING else ("FailedSync", "error syncing pod")
        )
        self._parts.recorder.event(self.pod, "Warning", reason, f"{lead}: {text}")
        self._pause_s = self._error_pause()

    def _error_pause(self) -> float:
        return ERROR_PAUSE_S * (1 + ERROR_JITTER * self._parts.rng.random())

    async def _sync_turn(self) -> float | None:
        """Seconds until the next one; 0 to go on at once."""
        parts = self._parts
        view = await self._look()
        if not await self._admit(view):
            return 0.0
        parts.probes.adopt(self.pod, view)
        self.publish(view)
        if pods.is_terminal_phase(self.status["phase"]):
            self._terminate()
            return 0.0
        if self.resize.wants(self.pod):
            parts.retry_resizes()
            self.publish(view)
        deadline_s = self._deadline()
        if deadline_s is not None and deadline_s <= 0:
            text = "Pod was active on the node longer than the specified deadline"
            self.kill(Ending("DeadlineExceeded", text))
            return 0.0
        try:
            pause_s = await self._sync.turn(self.allocated, view)
        except PodOver as why:
            self.kill(Ending("SandboxChanged", str(why)))
            return 0.0
        except BaseException:
            # Also when broken off: what is known by now (reasons) belongs into the status.
            self.publish(self.view)
            raise
        if pause_s == 0.0:
            return 0.0
        self.publish(view)
        resync_s = parts.config.sync_frequency_s * (1 + 0.5 * parts.rng.random())
        return min(each for each in (pause_s, deadline_s, resync_s) if each is not None)

    async def _look(self) -> PodView:
        self.view = await self._parts.pleg.view(self.uid)
        self._endings.note(self.pod, self.view, self._parts.node.counts)
        return self.view

    def _deadline(self) -> float | None:
        limit_s, started = dig(self.pod, "spec", "activeDeadlineSeconds"), parse_time(self.status.get("startTime"))
        if limit_s is None or started is None:
            return None
        begun = self._steady.of("", started)
        return (begun + timedelta(seconds=limit_s) - self._steady.now()).total_seconds()

    async def _admit(self, view: PodView) -> bool:
        """Once, unless the pod was here before this kubelet started."""
        if self.admitted or view.sandboxes or self.status.get("startTime"):
            if not self.admitted:
                self._parts.cpus.adopt(self.pod)
                self.resize.begin(self.pod, fresh=False)
                self.resize.resume(self.pod, view)
                self.admitted = True
                self._parts.retry_resizes()
            return True
        why = self._refusal()
        if why is not None and why.reason == NODE_AFFINITY:
            # The scheduler may have gone by labels that have not come here yet.
            await self._parts.look_at_node()
            why = self._refusal()
        if why is None:
            self.resize.begin(self.pod, fresh=True)
            self.admitted = True
            return True
        self._parts.recorder.event(self.pod, "Warning", why.reason, why.message)
        self.kill(Ending(why.reason, f"Pod was rejected: {why.message}"))
        return False

    def _refusal(self) -> Rejection | None:
        node = self._parts.node
        if node.shutting_down:
            return Rejection("NodeShutdown", "Pod was rejected as the node is shutting down.")
        if node.pressures and under_pressure(self.pod, node.pressures):
            return Rejection(EVICTED, refused(node.pressures))
        if not node.apparmor and security.wants_apparmor(self.pod):
            return Rejection("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host")
        others = self._parts.active_pods(self.uid)
        why = admit(self.pod, node.node, node.allocatable, others, self._parts.config.allowed_unsafe_sysctls)
        return why or self._parts.cpus.admit(self.pod)

    def try_resize(self) -> None:
        """It asks for other resources: they are allocated to it if the node has them. Raises OSError."""
        parts = self._parts
        if why := infeasible(self.pod, parts.config):
            news = self.resize.refuse(self.pod, INFEASIBLE, why)
        elif no_room := admit(self.pod, None, parts.node.allocatable, parts.active_pods(self.uid), ("*",)):
            news = self.resize.refuse(self.pod, DEFERRED, no_room.message)
        else:
            self.resize.accept(self.pod, self.view)
            self._sync.refresh_volumes()
            news = True
        if news:
            self._wake.set()

    async def _terminating_turn(self) -> None:
        parts = self._parts
        view = await self._look()
        self.publish(view)
        parts.probes.stop(self.uid, ("livenessProbe", "startupProbe"))
        if view.may_run or view.sandboxes:
            await parts.stopper.stop_pod(self.pod, view, float(self._grace_s or 1))
            view = await self._look()
        parts.probes.stop(self.uid, KINDS)
        if view.may_run:
            raise RuntimeFault("containers are still running after they were stopped")
        self.state = State.TERMINATED
        self.stopped.set()
        parts.retry_resizes()
        self.publish(view, stopped=True)
        self._pause_s = 0.0

    async def _terminated_turn(self) -> None:
        await self._sync.release(self.pod)
        self.released.set()
        self._parts.statuses.finish(self.uid)
        self._pause_s = None

    async def _clean_up(self) -> None:
        await self._sync.release(self.pod)
        self.released.set()
        await self._sync.remove(self.pod, await self._parts.pleg.view(self.uid))
        self._parts.statuses.forget(self.uid)
        self._over = True

    # --- status ----------------------------------------------------------------------------------------------------

    def publish(self, view: PodView, *, stopped: bool = False) -> None:
        """Make the status from what is known and hand it on."""
        parts = self._parts
        stopping = self.state is not State.SYNC
        situation = Situation(
            parts.node.runtime_name,
            parts.node.host_ips,
            self._sync.reasons,
            terminating=stopping,
            stopped=stopped,
            ending=self._ending,
            actuated=self.resize.actuated,
            resize=self.resize.conditions,
            restarting=self._sync.restarting,
        )
        self.status = generate(self.allocated, view, parts.probes.results, self._old(), parts.clock.now(), situation)
        now_s = parts.clock.monotonic()
        if self._starting_since_s is not None and self.status["phase"] == "Running":
            parts.node.counts.observe("kubelet_pod_start_duration_seconds", now_s - self._starting_since_s)
            self._starting_since_s = None
        recheck = now_s - self._checked_s >= parts.config.sync_frequency_s
        if recheck:
            self._checked_s = now_s
        parts.statuses.set(self.uid, self.status, recheck=recheck)

    def _old(self) -> Obj:
        """Our last status with others' conditions as the API shows them now."""
        shown = dig(self.pod, "status", "conditions", default=None) or []
        ours = [item for item in self.status.get("conditions") or shown if item["type"] in _OWN_CONDITIONS_FROM_US]
        others = [item for item in shown if item["type"] not in _OWN_CONDITIONS_FROM_US]
        return {**self.status, "conditions": others + ours}
