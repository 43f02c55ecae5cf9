"""Ends the node's pods when the machine shuts down, in the time that is configured. Off unless it is.

plan.py says who ends when; a `Notice` (logind.py) tells of the shutdown and holds it up meanwhile.
Source: upstream pkg/kubelet/nodeshutdown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol

from steersman.kubelet import pods
from steersman.kubelet.kit import NodeFacts, Recorder
from steersman.kubelet.shutdown.plan import Group, grace_s, groups
from steersman.kubelet.status import Ending
from steersman.kubelet.worker import PodWorker
from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within

log = logging.getLogger(__name__)

REASON, MESSAGE = "Terminated", "Pod was terminated in response to imminent node shutdown."
ENDING = Ending(REASON, MESSAGE, disruption={"reason": "TerminationByKubelet", "message": MESSAGE})
_RETRY_S = 1.0


class Unavailable(Exception):
    """There is nobody who tells of shutdowns."""


class Notice(Protocol):
    """Who tells that the machine is about to shut down, and waits for us."""

    async def hold(self, seconds: float) -> None:
        """From now on, wait for us that long before shutting down. Raises Unavailable."""

    def release(self) -> None:
        """Wait for us no longer."""

    def shutdowns(self) -> AsyncIterator[bool]:
        """True: the machine is about to shut down; False: it won't after all. Raises Unavailable when nobody tells any more."""

    async def close(self) -> None: ...


class Shutdown:
    """workers(): all pod workers. changed(): the Node's readiness is another now."""

    def __init__(
        self,
        periods: tuple[tuple[int, float], ...],
        facts: NodeFacts,
        clock: Clock,
        recorder: Recorder,
        workers: Callable[[], Iterable[PodWorker]],
        changed: Callable[[], None],
    ) -> None:
        self._periods, self._facts, self._clock, self._recorder = periods, facts, clock, recorder
        self._workers, self._changed = workers, changed

    async def run(self, opened: Callable[[], Notice]) -> None:
        """Until cancelled. Who tells of shutdowns may be restarted; if there is none at all, that is said once."""
        told = False
        while True:
            notice = opened()
            try:
                await notice.hold(sum(seconds for _, seconds in self._periods))
                told = False
                await self._listen(notice)
            except Unavailable as error:
                if not told:
                    log.warning("graceful node shutdown is configured, but nobody will tell of shutdowns error=%s", error)
                    told = True
            finally:
                await notice.close()
            await self._clock.sleep(_RETRY_S if not told else 60 * _RETRY_S)

    async def _listen(self, notice: Notice) -> None:
        async with asyncio.TaskGroup() as group:
            ending: asyncio.Task[None] | None = None
            async for coming in notice.shutdowns():
                if coming and ending is None:
                    log.warning("the machine is shutting down, ending pods")
                    self._say(True)
                    ending = group.create_task(self._end(notice))
                elif not coming:
                    log.warning("the machine does not shut down after all")
                    if ending is not None:
                        ending.cancel()
                        # It lets the machine go, which is to be held again.
                        await asyncio.wait({ending})
                        ending = None
                    self._say(False)
                    await notice.hold(sum(seconds for _, seconds in self._periods))

    def _say(self, shutting_down: bool) -> None:
        self._facts.shutting_down = shutting_down
        if self._facts.node is not None and shutting_down:
            text = "Shutdown manager detected shutdown event"
            self._recorder.event(self._facts.node, "Normal", "NodeShutdown", text)
        self._changed()

    async def _end(self, notice: Notice) -> None:
        try:
            await self.end_pods()
        finally:
            notice.release()

    async def end_pods(self) -> None:
        """All of them, group after group; what has not ended when its group's time is over is left to what follows."""
        known = {
            id(worker.pod): worker for worker in self._workers() if not pods.is_terminal_phase(worker.status.get("phase") or "")
        }
        for group in groups(self._periods, [worker.pod for worker in known.values()]):
            await self._end_group(group, [known[id(pod)] for pod in group.pods])

    async def _end_group(self, group: Group, workers: list[PodWorker]) -> None:
        for pod, worker in zip(group.pods, workers, strict=True):
            worker.kill(ENDING, grace_s(pod, group))

        async def all_ended() -> None:
            for worker in workers:
                await worker.stopped.wait()

        if not await within(self._clock, group.seconds, all_ended):
            left = [pods.full_name(worker.pod) for worker in workers if not worker.stopped.is_set()]
            log.warning("pods did not end in time seconds=%g pods=%s", group.seconds, ",".join(left))
