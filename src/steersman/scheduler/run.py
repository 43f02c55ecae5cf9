"""The scheduler at work: informers fill the table and the queue, decisions are made one by one, bindings go out beside.

A placed pod is counted on its node at once (assumed), long before the server has confirmed the binding, so the next
decision need not wait; a binding that fails is taken back and the pod tried again. All state is this process's own: a
new leader starts from what the informers list.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, replace

from steersman.api.resources import NODES, PODS
from steersman.client.events import EventRecorder
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.loop.queue import WorkQueue
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.meta import Key, Obj, dig, is_deleting, key_of, name_of, uid_of
from steersman.machinery.waiting import within
from steersman.scheduler import conditions
from steersman.scheduler.counting import Counts, SchedulingCounts
from steersman.scheduler.cycle import Cycle, Placed
from steersman.scheduler.evicting import Evictions, Preemption
from steersman.scheduler.framework import Event, Happening, Profile
from steersman.scheduler.happenings import assigned_pod_events, node_events, waiting_pod_events
from steersman.scheduler.nodetable import NodeTable
from steersman.scheduler.nominations import Nominations
from steersman.scheduler.podinfo import PodInfo, PodInfos
from steersman.scheduler.prebinding import PreBinding
from steersman.scheduler.preemption import Decision
from steersman.scheduler.profiles import default_profile
from steersman.scheduler.queue import QueuedPod, SchedulingQueue, spec_changed
from steersman.scheduler.surroundings import Surroundings
from steersman.scheduler.watching import SurroundingsWatch

log = logging.getLogger(__name__)

BINDERS = 32
STATUS_WRITERS = 4
DECISIONS_PER_TURN = 20
"""How many decisions are made before the event loop gets a turn: a few milliseconds of work."""


async def run(
    client: Client,
    clock: Clock,
    *,
    profile: Profile | None = None,
    recorder: EventRecorder | None = None,
    rng: random.Random | None = None,
    counts: SchedulingCounts | None = None,
) -> None:
    """Schedule until cancelled; also runs the recorder. At most one may, of those with the same scheduler name: see leases."""
    profile = profile or default_profile()
    recorder = recorder or EventRecorder(client, profile.scheduler_name, "", clock)
    scheduler = Scheduler(client, clock, profile, recorder, rng or random.Random())
    if counts is not None:
        counts.follow(scheduler.counts, scheduler.queue, profile.scheduler_name)
    await scheduler.run()


@dataclass(frozen=True, slots=True, eq=False)
class _Assumed:
    """A pod's place, once it is chosen: this one and no other that it may get later."""

    queued: QueuedPod
    node: str


class Scheduler:
    """One profile over one cluster."""

    def __init__(self, client: Client, clock: Clock, profile: Profile, recorder: EventRecorder, rng: random.Random) -> None:
        self._client, self._clock, self._profile, self._recorder = client, clock, profile, recorder
        self.table = NodeTable()
        self.queue = SchedulingQueue(profile)
        self.nominations = Nominations()
        self.counts = Counts()
        self._infos = PodInfos()
        self._around = Surroundings()
        self._watch = SurroundingsWatch(client, clock, self._around, self._storage_changed)
        self._cycle = Cycle(profile, self.table, rng, self._around, self.nominations)
        self._evictions = Evictions(client, clock, recorder, profile.scheduler_name, self._evicted)
        self._nodes = Informer(client, NODES, clock=clock)
        # Pods that have ended hold nothing, so they are not even listed.
        self._pods = Informer(client, PODS, clock=clock, field_selector="status.phase!=Succeeded,status.phase!=Failed")
        self._prebinding = PreBinding(client, clock, self._around, lambda name: self._nodes.get("", name), self._prebound)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)
        self._wake = asyncio.Event()
        self._bindings: asyncio.Queue[_Assumed] = asyncio.Queue()
        # Placed, but no binding was sent yet: these can be displaced without anybody outside knowing.
        self._unsent: dict[str, _Assumed] = {}
        self._verdicts: dict[Key, conditions.Verdict] = {}
        self._verdict_keys: WorkQueue[Key] = WorkQueue(clock)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            informers = (self._nodes.run, self._pods.run, self._watch.run)
            for work in (*informers, self._recorder.run, self._verdict_keys.run, self._evictions.run, self._prebinding.run):
                group.create_task(work())
            for synced in (self._nodes.synced, self._pods.synced, self._watch.synced):
                await synced.wait()
            for _ in range(BINDERS):
                group.create_task(self._bind_all())
            for _ in range(STATUS_WRITERS):
                group.create_task(self._write_verdicts())
            await self._decide_all()

    # --- what the informers say ------------------------------------------------------------------------------------

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            self.table.remove_node(name_of(old or {}))
            self._prebinding.changed()
        elif not self.table.set_node(new):
            return
        for event in node_events(old, new):
            self._happened(event)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            self._pod_gone(old or {})
        elif new["spec"].get("nodeName"):
            self.queue.delete(key_of(new))
            self.nominations.remove(uid_of(new))
            self.table.add_pod(self._infos.make(new), new["spec"]["nodeName"])
            for event in assigned_pod_events(old, new):
                self._happened(event)
        elif is_deleting(new) or (new["spec"].get("schedulerName") or "") != self._profile.scheduler_name:
            self.queue.delete(key_of(new))
            self.nominations.remove(uid_of(new))
        elif old is None or spec_changed(old, new):
            events = waiting_pod_events(old, new) if old is not None else ()
            info = self._infos.make(new)
            self._note_nomination(old, info)
            self.queue.update(info, self._clock.monotonic(), events)
            self._wake.set()

    def _note_nomination(self, old: Obj | None, info: PodInfo) -> None:
        before, after = (dig(obj, "status", "nominatedNodeName", default="") for obj in (old, info.obj))
        if after:
            self.nominations.set(info, after)
        elif before or not (node := self.nominations.node_of(info.uid)):
            self.nominations.remove(info.uid)
        else:
            # Decided here, but not yet written.
            self.nominations.set(info, node)

    def _pod_gone(self, pod: Obj) -> None:
        self.queue.delete(key_of(pod))
        uid = uid_of(pod)
        # Its own node, the one it was assumed on, or the one kept for it: in any case room was made.
        placed = self.table.node_of(uid) is not None
        self.table.remove_pod(uid)
        self._unsent.pop(uid, None)
        self._prebinding.drop(uid)
        if self.nominations.remove(uid) or placed:
            self._happened(Event(Happening.ASSIGNED_POD_DELETE, pod, None))

    def _happened(self, event: Event) -> None:
        self.queue.happened(event, self._clock.monotonic())
        self._wake.set()

    def _storage_changed(self, event: Event) -> None:
        self._prebinding.changed()
        self._happened(event)

    # --- deciding --------------------------------------------------------------------------------------------------

    async def _decide_all(self) -> None:
        decided = 0
        while True:
            now_s = self._clock.monotonic()
            queued = self.queue.pop(now_s)
            if queued is None:
                await self._wait(self.queue.next_flush_s(now_s))
                continue
            placed = self._decide(queued)
            decided += 1
            # Saying why no node fits, and looking for victims, takes longer than placing many pods.
            if not placed or decided % DECISIONS_PER_TURN == 0:
                await self._clock.sleep(0)

    async def _wait(self, seconds: float | None) -> None:
        self._wake.clear()
        if seconds is None:
            await self._wake.wait()
        else:
            await within(self._clock, seconds, self._wake.wait)

    def _decide(self, queued: QueuedPod) -> bool:
        """True if a node was found.

        The per-pod boundary: a plugin that fails costs this pod an attempt, not the scheduler its life.
        """
        info = queued.info
        began_s = self._clock.monotonic()
        try:
            outcome = self._cycle.schedule(info)
        except Exception as error:
            log.exception("scheduling failed pod=%s/%s", *info.key)
            self.counts.attempt("error", self._clock.monotonic() - began_s)
            self.queue.fail(queued, self._clock.monotonic())
            self._tell(info, conditions.ERROR, str(error) or type(error).__name__)
            return False
        placed = isinstance(outcome, Placed)
        self.counts.attempt("scheduled" if placed else "unschedulable", self._clock.monotonic() - began_s)
        if isinstance(outcome, Placed):
            self.nominations.remove(info.uid)
            self.table.add_pod(info, outcome.node)
            assumed = self._unsent[info.uid] = _Assumed(queued, outcome.node)
            if outcome.plan is None:
                self._bindings.put_nowait(assumed)
            else:
                self._prebinding.add(queued, outcome.plan)
            return True
        preemption = self._preemption(info, outcome.decision)
        self.queue.reject(queued, outcome.plugins, self._clock.monotonic())
        self._tell(info, conditions.UNSCHEDULABLE, outcome.message, outcome.decision.node)
        if preemption is not None:
            self._preempt(preemption)
        return False

    # --- preempting ------------------------------------------------------------------------------------------------

    def _preemption(self, info: PodInfo, decision: Decision) -> Preemption | None:
        """Keep the place that is going to be free; what has to be done for it."""
        if not decision.node:
            return None
        superseded = self.nominations.below(decision.node, info.priority)
        self.nominations.set(info, decision.node)
        return Preemption(info, decision.node, decision.victims, superseded)

    def _preempt(self, preemption: Preemption) -> None:
        """The preemptor is held back until its victims have been told to go."""
        now_s = self._clock.monotonic()
        for pod in preemption.superseded:
            self.nominations.remove(pod.uid)
            self.queue.activate(pod.key, now_s)
        if self._profile.post_filter is not None:
            self._profile.post_filter.preempting.add(preemption.preemptor.uid)
        self.counts.preempted(len(preemption.victims))
        to_evict = [victim for victim in preemption.victims if not self._displaced(victim, now_s)]
        self._evictions.add(replace(preemption, victims=to_evict))

    def _displaced(self, victim: PodInfo, now_s: float) -> bool:
        """A victim whose binding was not sent yet is just not bound."""
        assumed = self._unsent.pop(victim.uid, None)
        if assumed is None:
            return False
        self._prebinding.drop(victim.uid)
        self.table.remove_pod(victim.uid)
        self.queue.fail(assumed.queued, now_s)
        self._happened(Event(Happening.ASSIGNED_POD_DELETE, victim.obj, None))
        return True

    def _evicted(self, preemption: Preemption, complete: bool) -> None:
        now_s, preemptor = self._clock.monotonic(), preemption.preemptor
        if self._profile.post_filter is not None:
            self._profile.post_filter.preempting.discard(preemptor.uid)
        self.queue.release(preemptor.key, now_s)
        if not complete:
            self.queue.activate(preemptor.key, now_s)
        self._wake.set()

    # --- binding ---------------------------------------------------------------------------------------------------

    def _prebound(self, queued: QueuedPod, node: str, error: Exception | None) -> None:
        """Its volumes are there, or will not be. It may have been deleted or displaced meanwhile."""
        assumed = self._unsent.get(queued.info.uid)
        if assumed is None or assumed.queued is not queued or assumed.node != node:
            return
        if error is None:
            self._bindings.put_nowait(assumed)
        else:
            del self._unsent[queued.info.uid]
            self._give_back(queued, error, f'running PreBind plugin "VolumeBinding": binding volumes: {error}')

    async def _bind_all(self) -> None:
        while True:
            assumed = await self._bindings.get()
            uid = assumed.queued.info.uid
            # Displaced meanwhile, it may have been placed again: then this is not where.
            if self._unsent.get(uid) is assumed:
                del self._unsent[uid]
                await self._bind(assumed.queued, assumed.node)

    async def _bind(self, queued: QueuedPod, node: str) -> None:
        info = queued.info
        namespace, name = info.key
        try:
            binding = self._profile.bind.binding(info, node)
            await self._client.create(PODS, binding, namespace, name=name, subresource="binding")
        except (StatusError, ConnectionError) as error:
            self._binding_failed(queued, error)
            return
        except Exception as error:
            log.exception("binding failed pod=%s/%s", *info.key)
            self._binding_failed(queued, error)
            return
        message = f"Successfully assigned {namespace}/{name} to {node}"
        self._recorder.event(info.obj, "Normal", "Scheduled", message, action="Binding")

    def _binding_failed(self, queued: QueuedPod, error: Exception) -> None:
        info = queued.info
        seen = self._pods.get(*info.key)
        if seen is not None and uid_of(seen) == info.uid and seen["spec"].get("nodeName"):
            # The binding was made, only its answer was lost; or somebody else made one.
            return
        self._give_back(queued, error, f"binding rejected: {error}")

    def _give_back(self, queued: QueuedPod, error: Exception, message: str) -> None:
        """The place that was taken is free again, and the pod is tried once more after a while."""
        info = queued.info
        log.warning("binding failed pod=%s/%s error=%s", *info.key, error)
        self.table.remove_pod(info.uid)
        self._happened(Event(Happening.ASSIGNED_POD_DELETE, info.obj, None))
        self.queue.fail(queued, self._clock.monotonic())
        self._wake.set()
        self.nominations.remove(info.uid)
        if not isinstance(error, NotFound):
            self._tell(info, conditions.ERROR, message)

    # --- telling ---------------------------------------------------------------------------------------------------

    def _tell(self, info: PodInfo, reason: str, message: str, nominated: str | None = "") -> None:
        """Say on the pod, in an event and in its condition, why it has no node."""
        if nominated == "":
            self.nominations.remove(info.uid)
        self._recorder.event(info.obj, "Warning", "FailedScheduling", conditions.event_text(message), action="Scheduling")
        self._verdicts[info.key] = conditions.Verdict(info.uid, reason, message, nominated)
        self._verdict_keys.add(info.key)

    async def _write_verdicts(self) -> None:
        while True:
            key = await self._verdict_keys.get()
            try:
                await self._write_verdict(key)
            except Exception:
                log.exception("condition not written pod=%s/%s", *key)
            finally:
                self._verdict_keys.done(key)

    async def _write_verdict(self, key: Key) -> None:
        verdict, pod = self._verdicts.pop(key, None), self._pods.get(*key)
        if verdict is None or pod is None or uid_of(pod) != verdict.uid or dig(pod, "spec", "nodeName"):
            return
        patch = conditions.patch(pod, verdict, self._clock.now())
        if patch is None:
            return
        try:
            await self._client.patch(PODS, key[1], patch, key[0], kind="strategic", subresource="status")
        except (StatusError, ConnectionError) as error:
            # The next failed attempt writes it again.
            log.info("condition not written pod=%s/%s error=%s", *key, error)
