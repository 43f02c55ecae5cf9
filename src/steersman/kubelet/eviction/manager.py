"""Looks every ten seconds whether the node runs short of something or a pod exceeds its limits, and ends pods if it must.

signals.py judges, ranking.py chooses, measuring.py reads. One pod per round; then its end is waited for.
Source: upstream pkg/kubelet/eviction/eviction_manager.go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from steersman.cri.interface import Runtime
from steersman.kubelet import pods
from steersman.kubelet.eviction import limits, wording
from steersman.kubelet.eviction.measuring import Meter
from steersman.kubelet.eviction.ranking import PodUse, ranked
from steersman.kubelet.eviction.reclaiming import reclaim_disk
from steersman.kubelet.eviction.signals import (
    DISK_PRESSURE,
    SIGNALS,
    Reading,
    Settings,
    Threshold,
    Watch,
    is_passed,
)  # fmt: skip
from steersman.kubelet.garbage.images import ImageCollector
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.status import Ending
from steersman.kubelet.steadytime import SteadyTime
from steersman.kubelet.worker import PodWorker, State
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig, uid_of
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

EVERY_S, CLEANUP_S, AT_ONCE_S = 10.0, 30.0, 1


class Recorder(Protocol):
    """Records events, with annotations."""

    def event(
        self, about: Obj, type: str, reason: str, message: str, *, annotations: Mapping[str, str] | None = None
    ) -> None: ...


class Evictions:
    """workers(): all of the node. changed(): the node's conditions are others now."""

    def __init__(
        self,
        settings: Settings,
        meter: Meter,
        runtime: Runtime,
        images: ImageCollector,
        clock: Clock,
        recorder: Recorder,
        facts: NodeFacts,
        workers: Callable[[], Iterable[PodWorker]],
        changed: Callable[[], None],
    ) -> None:
        self._settings, self._meter, self._runtime, self._images = settings, meter, runtime, images
        self._clock, self._recorder, self._facts = clock, recorder, facts
        self._workers, self._changed = workers, changed
        self._watch, self._steady = Watch(settings), SteadyTime(clock)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            ended = await self.round()
            if ended is None:
                await self._clock.sleep(EVERY_S)
            elif not await within(self._clock, CLEANUP_S, ended.released.wait):
                log.warning("evicted pod is still there pod=%s", pods.full_name(ended.pod))

    async def round(self) -> PodWorker | None:
        """Look once. The pod that has to end, if any."""
        readings = await self._meter.readings()
        found = self._watch.assess(readings, self._steady.now())
        if found.pressures != self._facts.pressures:
            self._facts.pressures = found.pressures
            self._changed()
        living = [worker for worker in self._workers() if _lives(worker)]
        if (over := await self._over_limits(living)) is not None:
            return over
        if not found.due:
            return None
        threshold = found.due[0]
        log.warning("node runs short signal=%s available=%d", threshold.signal, readings[threshold.signal].available)
        if self._facts.node is not None:
            text = f"Attempting to reclaim {SIGNALS[threshold.signal].resource}"
            self._recorder.event(self._facts.node, "Warning", "EvictionThresholdMet", text)
        if SIGNALS[threshold.signal].condition == DISK_PRESSURE:
            await reclaim_disk(self._runtime, self._images, {worker.uid for worker in living})
            readings = await self._meter.readings()
            if not is_passed(threshold, readings, reclaim=True):
                return None
        return await self._end_one(threshold, readings, living)

    async def _over_limits(self, living: list[PodWorker]) -> PodWorker | None:
        """The first of those that wrote more than they may; all of them end."""
        first = None
        for worker in living:
            use = await self._meter.limited(worker)
            signal, message = (limits.excess(use) if use is not None else None) or ("", "")
            if message and self._evict(worker, signal, message, AT_ONCE_S, {}, disrupted=False):
                first = first or worker
        return first

    async def _end_one(self, threshold: Threshold, readings: Mapping[str, Reading], living: list[PodWorker]) -> PodWorker | None:
        by_uid = {worker.uid: worker for worker in living}
        dedicated = self._meter.dedicated
        uses: list[PodUse] = await self._meter.all_of(living)
        for use in ranked(uses, threshold.signal, dedicated=dedicated):
            worker = by_uid[uid_of(use.pod)]
            message, annotations = wording.low(use, threshold, readings[threshold.signal], dedicated=dedicated)
            grace_s = self._grace_s(threshold, worker.pod)
            if self._evict(worker, threshold.signal, message, grace_s, annotations, disrupted=True):
                return worker
        log.warning("node runs short, but there is no pod that may end for it signal=%s", threshold.signal)
        return None

    def _grace_s(self, threshold: Threshold, pod: Obj) -> int:
        if threshold.hard:
            return AT_ONCE_S
        own = int(dig(pod, "spec", "terminationGracePeriodSeconds", default=30))
        return min(self._settings.max_grace_s, own) if self._settings.max_grace_s else own

    def _evict(
        self, worker: PodWorker, signal: str, message: str, grace_s: int, annotations: Mapping[str, str], *, disrupted: bool
    ) -> bool:
        if pods.is_critical(worker.pod) or not _lives(worker):
            return False
        self._recorder.event(worker.pod, "Warning", wording.REASON, message, annotations=annotations)
        disruption = {"reason": "TerminationByKubelet", "message": message} if disrupted else None
        worker.kill(Ending(wording.REASON, message, disruption=disruption), grace_s)
        self._facts.counts.count("kubelet_evictions", eviction_signal=signal)
        log.warning("evicted pod=%s message=%s", pods.full_name(worker.pod), message)
        return True


def _lives(worker: PodWorker) -> bool:
    return worker.admitted and worker.state is State.SYNC
