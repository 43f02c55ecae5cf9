"""What upstream's scheduler_* tell: attempts by their result, how long they took, pods by where they wait, preemptions."""

from __future__ import annotations

from steersman.machinery.counting import Histogram
from steersman.scheduler.queue import SchedulingQueue

_SECONDS = tuple(0.001 * 2**power for power in range(15))
_VICTIMS = tuple(float(2**power) for power in range(7))


class Counts:
    """Of one scheduler. Results are scheduled, unschedulable and error."""

    def __init__(self) -> None:
        self.attempts: dict[str, Histogram] = {}
        self.preemptions = 0
        self.victims = Histogram(_VICTIMS)

    def attempt(self, result: str, seconds: float) -> None:
        found = self.attempts.get(result)
        if found is None:
            found = self.attempts[result] = Histogram(_SECONDS)
        found.observe(seconds)

    def preempted(self, victims: int) -> None:
        self.preemptions += 1
        self.victims.observe(victims)


class SchedulingCounts:
    """Those of the scheduler that works now; of a process that waits for its turn, nothing."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.profile = ""
        self._queue: SchedulingQueue | None = None

    def follow(self, counts: Counts, queue: SchedulingQueue, profile: str) -> None:
        self.counts, self._queue, self.profile = counts, queue, profile

    def pending(self) -> dict[str, int]:
        """Pods by upstream's names of the places they wait in."""
        return self._queue.sizes() if self._queue is not None else {}
